"""Addresses: the one parser of what stands behind `/fhir`, and the hosts that this server answers for.

A path is percent-decoded once and then read strictly: known types, legal ids, no empty, dot or operation segments. What it does
not know is `not-supported`, before any data is touched.

https://hl7.org/fhir/R4/http.html#3.1.0.1.1
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import cache
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from msgspec import Struct

from fhirserver.definitions import Definitions
from fhirserver.interactions.operations import OPERATIONS, Level, Operations
from fhirserver.model.outcome import BadRequest, FhirError, Misdirected, NotSupported

ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
BASE_PATH: Final = "/fhir"
_ILLEGAL_ID: Final = "An id is made of at most 64 letters, digits, hyphens and dots (A-Z, a-z, 0-9, - and .)."
_ENCODED: Final = re.compile(rb"%2f|%24", re.IGNORECASE)
"""What decoded would divide segments, or name an operation, that was not written as one."""


class Kind(StrEnum):
    """The shapes that an address can have, as R4 writes them."""

    SYSTEM = "[base]"
    METADATA = "[base]/metadata"
    TYPE = "[base]/[type]"
    SEARCH = "[base]/[type]/_search"
    INSTANCE = "[base]/[type]/[id]"
    HISTORY = "[base]/[type]/[id]/_history"
    TYPE_HISTORY = "[base]/[type]/_history"
    SYSTEM_HISTORY = "[base]/_history"
    SYSTEM_SEARCH = "[base]/_search"
    VERSION = "[base]/[type]/[id]/_history/[vid]"
    SYSTEM_OPERATION = "[base]/$[operation]"
    TYPE_OPERATION = "[base]/[type]/$[operation]"
    INSTANCE_OPERATION = "[base]/[type]/[id]/$[operation]"
    JOB = "[base]/_jobs/[id]"
    COMPARTMENT = "[base]/[compartment]/[id]/[type]"
    COMPARTMENT_SYSTEM = "[base]/[compartment]/[id]/*"
    COMPARTMENT_SEARCH = "[base]/[compartment]/[id]/[type]/_search"


class Address(Struct, frozen=True):
    """A parsed address. In a compartment `resource_type` is what is searched for, `compartment` and `id` where."""

    kind: Kind
    resource_type: str = ""
    id: str = ""
    version: str = ""
    compartment: str = ""
    operation: str = ""


class IllegalId(NotSupported):
    """What stands where an id does is none: there is nothing there, and nothing can be put there."""

    def to(self, method: str) -> FhirError:
        """The refusal of this method."""
        return BadRequest(_ILLEGAL_ID, code="value") if method == "PUT" else self


class Addresses:
    """The parser, for the types and compartments of the definitions, and the operations by their level."""

    def __init__(
        self,
        resource_types: Collection[str],
        compartments: Mapping[str, Collection[str]],
        operations: Operations,
    ) -> None:
        self._types = frozenset(resource_types)
        self._operations = operations
        self._compartments = {name: frozenset(types) for name, types in compartments.items()}

    def parse(self, raw_path: bytes) -> Address:
        """Read the path of a request, as sent, without its query. Raises NotSupported."""
        if b"%" in raw_path:
            if _ENCODED.search(raw_path) is not None:
                raise NotSupported
            raw_path = unquote_to_bytes(raw_path)
        # What is beyond ASCII, and no text at all, is in no name that is known here: only that something stood there counts.
        base, *segments = raw_path.decode("ascii", "replace").removeprefix("/").split("/")
        if base != BASE_PATH[1:]:
            raise NotSupported
        if len(segments) == 2:
            return self._two(*segments)
        if not segments or segments == [""]:
            return Address(Kind.SYSTEM)
        if len(segments) == 1:
            return self._one(segments[0])
        return self._longer(segments)

    def _one(self, name: str) -> Address:
        if name == "metadata":
            return Address(Kind.METADATA)
        if name == "_history":
            return Address(Kind.SYSTEM_HISTORY)
        if name == "_search":
            return Address(Kind.SYSTEM_SEARCH)
        if name.startswith("$"):
            return self._operation(Kind.SYSTEM_OPERATION, name)
        return Address(Kind.TYPE, self._type(name))

    def _two(self, resource_type: str, id: str) -> Address:
        if resource_type in self._types and ID.fullmatch(id) is not None and id != "." and id != "..":
            return Address(Kind.INSTANCE, resource_type, id)
        if id == "_search":
            return Address(Kind.SEARCH, self._type(resource_type))
        if id == "_history":
            return Address(Kind.TYPE_HISTORY, self._type(resource_type))
        if resource_type == "_jobs" and ID.fullmatch(id) is not None:
            return Address(Kind.JOB, id=id)
        if id.startswith("$"):
            return self._operation(Kind.TYPE_OPERATION, id, self._type(resource_type))
        if resource_type in self._types and id.strip(".") and id[0] != "_":
            raise IllegalId(self._why(resource_type))
        raise NotSupported(self._why(resource_type))

    def _longer(self, segments: list[str]) -> Address:
        within = self._two(segments[0], segments[1])
        if within.kind is not Kind.INSTANCE:
            raise NotSupported
        match segments[2:]:
            case ["_history"]:
                return Address(Kind.HISTORY, within.resource_type, within.id)
            case ["_history", version] if ID.fullmatch(version) and version not in (".", ".."):
                return Address(Kind.VERSION, within.resource_type, within.id, version)
            case [name] if name.startswith("$"):
                return self._operation(Kind.INSTANCE_OPERATION, name, within.resource_type, within.id)
            case ["*"] if within.resource_type in self._compartments:
                return Address(Kind.COMPARTMENT_SYSTEM, id=within.id, compartment=within.resource_type)
            case [name]:
                return self._inside(Kind.COMPARTMENT, within, name)
            case [name, "_search"]:
                return self._inside(Kind.COMPARTMENT_SEARCH, within, name)
        raise NotSupported

    def _type(self, name: str) -> str:
        if name not in self._types:
            raise NotSupported(self._why(name))
        return name

    def _operation(self, kind: Kind, name: str, resource_type: str = "", id: str = "") -> Address:
        code = name.removeprefix("$")
        if self._operations.find(LEVELS[kind], code, resource_type) is None:
            raise NotSupported("This server does not support that operation here.")
        return Address(kind, resource_type, id, operation=code)

    def _inside(self, kind: Kind, within: Address, name: str) -> Address:
        if self._type(name) not in self._compartments.get(within.resource_type, ()):
            raise NotSupported("There is no such compartment, or it never holds that resource type.")
        return Address(kind, name, within.id, compartment=within.resource_type)

    def _why(self, name: str) -> str:
        """The reason, without a word of the caller's own."""
        if name in self._types:
            return "This server does not support that operation, or the id is not a legal one."
        return "This is neither a resource type of R4 nor an operation of this server."


LEVELS: Final = {
    Kind.SYSTEM_OPERATION: Level.SYSTEM,
    Kind.TYPE_OPERATION: Level.TYPE,
    Kind.INSTANCE_OPERATION: Level.INSTANCE,
}
"""The level that an address of an operation speaks of."""


def addresses(definitions: Definitions) -> Addresses:
    """The parser for these definitions."""
    return _addresses(definitions.core)


@cache
def _addresses(definitions: Definitions) -> Addresses:
    return Addresses(definitions.resource_types, members(definitions), OPERATIONS)


def members(definitions: Definitions) -> Mapping[str, frozenset[str]]:
    """The types that each compartment can hold; its own among them."""
    return {
        code: frozenset((code, *(name for name, parameters in each.resources.items() if parameters)))
        for code, each in definitions.compartments.items()
    }


class Hosts:
    """The hosts that are ours: the base URL's; in open mode, and where the base URL is one of them, loopback's names under any port.

    Links are never made from `Host`; a request for another host is refused, so that no other site's name leads here. Loopback's
    names are no site's.
    """

    def __init__(self, base_url: str, *, open_mode: bool) -> None:
        parts = urlsplit(base_url)
        host = parts.netloc.lower()
        default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
        names = {host, host.removesuffix(default)} if default else {host}
        if parts.port is None:
            names.add(host + default)
        self._exact = frozenset(name.encode() for name in names)
        self._with_loopback = open_mode or _is_loopback(host.encode())
        self._refusal = f"This server does not answer for that host. Its address is {base_url}"

    def check(self, host: bytes | None) -> None:
        """Raises Misdirected for a host that is not ours."""
        if host in self._exact:
            return
        if host is None or not (host.lower() in self._exact or (self._with_loopback and _is_loopback(host))):
            raise Misdirected(self._refusal)


_LOOPBACK = re.compile(rb"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)


def _is_loopback(host: bytes) -> bool:
    return _LOOPBACK.fullmatch(host) is not None
