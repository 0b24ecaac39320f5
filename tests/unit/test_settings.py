"""The settings: from the environment and the command line, and what is refused."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fhirserver.app import derivation
from fhirserver.model.dates import interval
from fhirserver.settings import BadSettings, Settings, secret

URL = "mongodb://user:secret@127.0.0.1/"


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ({}, "http://127.0.0.1:8000/fhir"),
        ({"port": 9000}, "http://127.0.0.1:9000/fhir"),
        ({"host": "::1"}, "http://[::1]:8000/fhir"),
        ({"base_url": "https://fhir.example.org/fhir/"}, "https://fhir.example.org/fhir"),
    ],
)
def test_the_base_url_follows_the_address_unless_it_is_given(given: dict[str, Any], base_url: str) -> None:
    assert Settings(URL, **given).base_url == base_url


@pytest.mark.parametrize(
    "given",
    [
        {"auth": "none", "host": "0.0.0.0"},
        {"auth": "none", "host": "fhir.example.org"},
        {"auth": "basic"},
        {"log_level": "loud"},
        {"base_url": "fhir.example.org"},
        {"base_url": "ftp://fhir.example.org/fhir"},
        {"base_url": "https://user:secret@fhir.example.org/fhir"},
        {"base_url": "https://fhir.example.org/fhir?x=1"},
        {"port": 70000},
        {"url_size": 0},
        {"cors_origins": "app.example.org"},
        {"cors_origins": "https://app.example.org/"},
        {"cors_origins": "https://app.example.org https://*.example.org"},
        {"cors_origins": "null"},
        {"cors_origins": "*", "auth": "none"},
        {"consents_per_patient": 0},
        {"time_zone": "Nowhere/City"},
        {"time_zone": "/etc/localtime"},
        {"time_zone": "Europe"},
    ],
)
def test_settings_that_cannot_be_served_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadSettings):
        Settings(URL, **given)


def test_origins_stand_with_commas_or_blanks_between_them() -> None:
    settings = Settings(URL, cors_origins="https://app.example.org, http://localhost:3000")
    assert settings.origins == ("https://app.example.org", "http://localhost:3000")
    assert Settings.from_environment(settings.as_environment()).origins == settings.origins
    assert Settings(URL).origins == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_open_mode_is_for_loopback(host: str) -> None:
    assert Settings(URL, auth="none", host=host).auth == "none"


def test_the_command_line_goes_before_the_environment() -> None:
    environment = {"FHIRSERVER_MONGO_URL": URL, "FHIRSERVER_PORT": "9000", "FHIRSERVER_NATIVE_COPY": "false"}
    settings = Settings.from_environment(environment, port=9001, host=None)
    assert (settings.port, settings.native_copy, settings.host) == (9001, False, "127.0.0.1")


@pytest.mark.parametrize(
    "environment", [{}, {"FHIRSERVER_MONGO_URL": URL, "FHIRSERVER_PORT": "many"}, {"FHIRSERVER_MONGO_URL": ""}]
)
def test_an_environment_without_what_is_needed_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(BadSettings):
        Settings.from_environment(environment)


def test_worker_processes_get_the_same_settings() -> None:
    settings = Settings(URL, port=9000, auth="none", native_copy=False, database="other")
    assert Settings.from_environment(settings.as_environment()) == settings
    assert Settings.from_environment({"FHIRSERVER_MONGO_URL_FILE": "absent"} | settings.as_environment()) == settings


@pytest.mark.parametrize(("name", "text"), [("mongo_url", URL), ("token", "t-1")])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_can_be_given_by_a_file(tmp_path: Path, name: str, text: str, end: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(f"{text}{end}".encode())
    variable = f"FHIRSERVER_{name.upper()}"
    assert secret({f"{variable}_FILE": str(path)}, name) == text
    assert secret({variable: "", f"{variable}_FILE": str(path)}, name) == text
    assert secret({variable: text, f"{variable}_FILE": ""}, name) == text
    assert secret({variable: "", f"{variable}_FILE": ""}, name) is None


def test_the_address_of_the_database_is_read_from_its_file_and_others_from_none(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(URL)
    environment = {"FHIRSERVER_MONGO_URL_FILE": str(path), "FHIRSERVER_DATABASE_FILE": str(path)}
    settings = Settings.from_environment(environment)
    assert (settings.mongo_url, settings.database) == (URL, "fhirserver")
    assert Settings.from_environment(environment | {"FHIRSERVER_MONGO_URL_FILE": "absent"}, mongo_url=URL) == settings


@pytest.mark.parametrize(
    ("content", "more", "sentence"),
    [
        (None, {}, "FHIRSERVER_MONGO_URL_FILE: {path} cannot be read: No such file or directory."),
        (b"", {}, "FHIRSERVER_MONGO_URL_FILE: {path} is empty."),
        (b"\n", {}, "FHIRSERVER_MONGO_URL_FILE: {path} is empty."),
        (b"mongodb://secret\xff", {}, "FHIRSERVER_MONGO_URL_FILE: {path} is not UTF-8."),
        (b"secret" * 20_000, {}, "FHIRSERVER_MONGO_URL_FILE: {path} is longer than 65536 characters."),
        (b"secret", {}, "mongo_url begins with mongodb:// or mongodb+srv://."),
        (
            URL.encode(),
            {"FHIRSERVER_MONGO_URL": URL},
            "FHIRSERVER_MONGO_URL and FHIRSERVER_MONGO_URL_FILE are both given: one of them is enough.",
        ),
    ],
)
def test_a_file_without_a_secret_is_refused_and_what_it_holds_not_shown(
    tmp_path: Path, content: bytes | None, more: dict[str, str], sentence: str
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSettings) as refused:
        Settings.from_environment({"FHIRSERVER_MONGO_URL_FILE": str(path), **more})
    assert str(refused.value) == sentence.format(path=path)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_what_is_stored_of_a_period_is_in_the_time_zone_of_the_place() -> None:
    role = {"resourceType": "PractitionerRole", "id": "r", "period": {"end": "2026-06-01"}}
    facts = derivation(Settings(URL, time_zone="Europe/Moscow"))("PractitionerRole", role).security
    assert facts["role"]["high"] == interval("2026-06-01T20:59:59Z")[1]


def test_the_address_of_the_database_is_not_shown() -> None:
    assert "secret" not in repr(Settings(URL))


def test_the_page_for_operators_names_every_setting() -> None:
    """docs/operating.md, with the defaults of those that are words or small numbers."""
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `FHIRSERVER_")]
    named = {name: row for row in rows for name in re.findall(r"`(FHIRSERVER_[A-Z_]+)`", row.split("|")[1])}
    settings = {f"FHIRSERVER_{each.name.upper()}": each.default for each in fields(Settings)}
    assert named.keys() == settings.keys() | {"FHIRSERVER_DATA", "FHIRSERVER_MONGOD"}
    shown = {name: str(value).lower() for name, value in settings.items() if isinstance(value, str | int) and value}
    del shown["FHIRSERVER_BODY_SIZE"]  # in MiB
    assert all(f"`FHIRSERVER_{name}_FILE`" in page for name in ("MONGO_URL", "TOKEN"))
    assert [name for name, value in shown.items() if value not in named[name].split("|")[2].lower()] == []
