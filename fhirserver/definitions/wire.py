"""The form of the compiled file: tables of arrays, in which repeated values are written once and named by number.

Each section is its own JSON text, so that what is not asked for is not decoded.
"""

from __future__ import annotations

import lzma
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class WireElement(msgspec.Struct, array_like=True, frozen=True):
    """An element; `path` is without the structure's name, the others are numbers into the tables.

    `flags`: 1 is modifier, 2 is summary. `max` -1 is unbounded.
    """

    path: str
    min: int
    max: int
    types: list[int]
    flags: int
    constraints: int
    binding: int | None = None
    content_reference: str | None = None
    max_length: int | None = None


class WireStructure(msgspec.Struct, array_like=True, frozen=True):
    """A structure."""

    kind: str
    base: str | None
    abstract: bool
    elements: list[WireElement]


class WireParameter(msgspec.Struct, array_like=True, frozen=True):
    """A search parameter as one base type sees it; `url` and `base` number the tables."""

    code: str
    url: str
    type: str
    expression: str
    base: int
    targets: int
    components: list[tuple[str, str, str, str]]
    multiple_or: bool | None
    multiple_and: bool | None
    modifiers: list[str]
    comparators: list[str]
    chains: list[str]
    usage: str | None


class WireOperationParameter(msgspec.Struct, array_like=True, frozen=True):
    """A parameter of an operation; `max` -1 is unbounded."""

    name: str
    use: str
    min: int
    max: int
    type: str | None
    search_type: str | None
    target_profiles: list[str]
    parts: list[WireOperationParameter]


class WireOperation(msgspec.Struct, array_like=True, frozen=True):
    """An operation."""

    id: str
    url: str
    code: str
    system: bool
    type: bool
    instance: bool
    affects_state: bool | None
    resources: list[str]
    parameters: list[WireOperationParameter]


class WireTables(msgspec.Struct, frozen=True):
    """What the other sections point into."""

    types: list[tuple[str, list[str], list[str]]]
    bindings: list[tuple[str, str | None, str | None]]
    constraints: list[tuple[str, str, str]]
    constraint_lists: list[list[int]]
    names: list[list[str]]


class WireFile(msgspec.Struct, frozen=True):
    """The whole file."""

    package: str
    tables: WireTables
    concrete_types: list[str]
    structures: dict[str, msgspec.Raw]
    parameters: dict[str, msgspec.Raw]
    compartments: dict[str, dict[str, list[str]]]
    operations: msgspec.Raw
    value_sets: dict[str, msgspec.Raw]
    unexpanded: dict[str, str]
    case_sensitive_systems: msgspec.Raw


class WireTerminology(msgspec.Struct, frozen=True):
    """The second file: resources in FHIR's own JSON, by canonical URL."""

    code_systems: dict[str, msgspec.Raw]
    value_sets: dict[str, msgspec.Raw]
    concept_maps: dict[str, msgspec.Raw]


class WireProfiles(msgspec.Struct, frozen=True):
    """The third file: StructureDefinitions in FHIR's own JSON, by canonical URL."""

    profiles: dict[str, msgspec.Raw]


def pack(file: WireFile | WireTerminology | WireProfiles) -> bytes:
    """The file's bytes; equal content gives equal bytes."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
    return lzma.compress(msgspec.json.encode(file), format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def unpack(data: bytes) -> WireFile:
    """The inverse of `pack`."""
    return msgspec.json.decode(lzma.decompress(data), type=WireFile)


def unpack_terminology(data: bytes) -> WireTerminology:
    """The inverse of `pack` for the second file."""
    return msgspec.json.decode(lzma.decompress(data), type=WireTerminology)


def unpack_profiles(data: bytes) -> WireProfiles:
    """The inverse of `pack` for the third file."""
    return msgspec.json.decode(lzma.decompress(data), type=WireProfiles)


def raw(value: Any) -> msgspec.Raw:
    """A section, to be decoded later."""
    return msgspec.Raw(msgspec.json.encode(value))


def decode(section: msgspec.Raw, type: type[T]) -> T:
    """A section, decoded."""
    return msgspec.json.decode(section, type=type)
