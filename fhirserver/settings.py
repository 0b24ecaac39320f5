"""The settings: read once, by the application and the command line; the rooms receive values.

Every one can come from the environment as `FHIRSERVER_<NAME>`; the command line goes before it. The address of the database
may hold a password and is never shown: it is a secret, which can also come from a file, `FHIRSERVER_<NAME>_FILE`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import UTC, tzinfo
from ipaddress import ip_address
from typing import Any, Literal, Self, cast, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

Auth = Literal["smart", "none"]
LogLevel = Literal["debug", "info", "warning", "error"]

PREFIX = "FHIRSERVER_"
SECRET_LENGTH = 64 * 1024
"""Characters of a file that holds a secret: whatever is longer is another file."""
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_MONGO = ("mongodb://", "mongodb+srv://")
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class BadSettings(ValueError):
    """A setting that the server cannot run with; the message says which and why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one server runs with."""

    mongo_url: str = field(repr=False)
    database: str = "fhirserver"
    host: str = "127.0.0.1"
    port: int = 8000
    base_url: str = ""
    auth: Auth = "smart"
    cors_origins: str = ""
    native_copy: bool = True
    referential_integrity: bool = False
    time_zone: str = "UTC"
    consents_per_patient: int = 200
    log_level: LogLevel = "info"
    log_requests: bool = True
    body_size: int = 16 * 1024 * 1024
    body_ratio: int = 20
    bundle_entries: int = 6000
    url_size: int = 8192
    search_count: int = 20
    search_count_bound: int = 1000
    search_parameters: int = 50
    search_alternatives: int = 100

    def __post_init__(self) -> None:
        if not self.base_url:
            host = f"[{self.host}]" if ":" in self.host else self.host
            object.__setattr__(self, "base_url", f"http://{host}:{self.port}/fhir")
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        for name, allowed in (("auth", get_args(Auth)), ("log_level", get_args(LogLevel))):
            if getattr(self, name) not in allowed:
                raise BadSettings(f"{name} is one of {', '.join(allowed)}.")
        if not 0 <= self.port <= 65535:
            raise BadSettings("port is between 0 and 65535.")
        if not is_base(self.base_url):
            raise BadSettings("base_url is an http or https address, as in https://fhir.example.org/fhir.")
        if any(each != "*" and _ORIGIN.fullmatch(each) is None for each in self.origins):
            raise BadSettings(
                "cors_origins are origins, as in https://app.example.org, with commas between them; or *."
            )
        if self.auth == "none" and "*" in self.origins:
            raise BadSettings("auth none with cors_origins * would let every page that is open here read every record.")
        try:
            _ = self.zone
        except (OSError, KeyError, ValueError):
            raise BadSettings(
                "time_zone is a name of the IANA database that this system has, as Europe/Moscow or UTC."
            ) from None
        if not self.mongo_url.startswith(_MONGO):
            raise BadSettings("mongo_url begins with mongodb:// or mongodb+srv://.")
        if self.auth == "none" and not is_loopback(self.host):
            raise BadSettings("auth none serves every record to everybody: it is for loopback only (--host 127.0.0.1).")
        for each in fields(self):
            if each.type == "int" and each.name != "port" and getattr(self, each.name) < 1:
                raise BadSettings(f"{each.name} is at least 1.")

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins whose pages may read answers in a browser."""
        return tuple(each for each in self.cors_origins.replace(",", " ").split() if each)

    @property
    def zone(self) -> tzinfo:
        """The time zone of the place; UTC is known without a database of zones."""
        return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **given: Any) -> Self:
        """The settings of the environment, with those that are `given` (and not None) before them."""
        values: dict[str, Any] = {}
        for each in fields(cls):
            value = given.get(each.name)
            if value is None and (text := _text(environment, each)):
                value = _read(each.name, cast("str", each.type), text)
            if value is not None:
                values[each.name] = value
        if "mongo_url" not in values:
            raise BadSettings("mongo_url is missing: give --mongo-url, or --data for the embedded database.")
        return cls(**values)

    def as_environment(self) -> dict[str, str]:
        """The same settings as variables, for worker processes; none of them is to be read from a file again."""
        files = {_file(each.name): "" for each in fields(self) if _is_secret(each)}
        return {PREFIX + each.name.upper(): _write(getattr(self, each.name)) for each in fields(self)} | files


def secret(environment: Mapping[str, str], name: str) -> str | None:
    """A setting that is a secret: its variable, or what the file holds that `FHIRSERVER_<NAME>_FILE` names; None without either.

    So are the secrets of Docker and Kubernetes given: https://docs.docker.com/compose/how-tos/use-secrets/. The newline at the end
    of the file is not part of it. Raises BadSettings where both are given, or the file cannot be read, is empty or too long.
    """
    given, variable = environment.get(PREFIX + name.upper()), _file(name)
    path = environment.get(variable)
    if not path:
        return given or None
    if given:
        raise BadSettings(f"{PREFIX}{name.upper()} and {variable} are both given: one of them is enough.")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(SECRET_LENGTH + 1)
    except OSError as error:
        raise BadSettings(f"{variable}: {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{variable}: {path} is not UTF-8.") from None
    if len(text) > SECRET_LENGTH:
        raise BadSettings(f"{variable}: {path} is longer than {SECRET_LENGTH} characters.")
    if not (text := text.rstrip("\r\n")):
        raise BadSettings(f"{variable}: {path} is empty.")
    return text


def is_base(text: str) -> bool:
    """Whether this can be the address of a FHIR base."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False  # of a host that is none, or a port past 65535
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    return not (parts.query or parts.fragment or parts.username)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _text(environment: Mapping[str, str], setting: Field[Any]) -> str | None:
    return secret(environment, setting.name) if _is_secret(setting) else environment.get(PREFIX + setting.name.upper())


def _is_secret(setting: Field[Any]) -> bool:
    """What is not shown."""
    return not setting.repr


def _file(name: str) -> str:
    return f"{PREFIX}{name.upper()}_FILE"


def _read(name: str, type: str, text: str) -> Any:
    try:
        if type == "int":
            return int(text)
        return _WORDS[text.lower()] if type == "bool" else text
    except (ValueError, KeyError):
        kind = "a whole number" if type == "int" else "true or false"
        raise BadSettings(f"{PREFIX}{name.upper()} is {kind}.") from None


def _write(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
