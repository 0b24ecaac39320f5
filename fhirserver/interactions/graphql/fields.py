"""What each field of the schema stands for: how its value is come by.

https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from graphql import GraphQLField

_MEANING: Final = "meaning"

COUNT: Final = "_count"
OFFSET: Final = "_offset"
CURSOR: Final = "_cursor"
REFERENCE: Final = "_reference"
FHIRPATH: Final = "fhirpath"
OPTIONAL: Final = "optional"
TYPE: Final = "type"


@dataclass(frozen=True, slots=True)
class Element:
    """An element by its JSON name. `type` is its FHIR type, for FHIRPath; None where that is no type of its own."""

    name: str
    type: str | None = None
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """The resource of this type with the id that is asked for."""

    resource_type: str


@dataclass(frozen=True, slots=True)
class Search:
    """A search of a type, as a list or as a connection; inside a resource, of what refers to it.

    `codes` gives the search parameter of each argument. `targets` are the types that a reference parameter may point to, by its
    argument. `is_shown` is false where a type stands among the targets only because anything may: introspection would grow tenfold.
    """

    resource_type: str
    codes: Mapping[str, str]
    is_connection: bool = False
    targets: Mapping[str, frozenset[str]] | None = None
    is_shown: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that a Reference points to."""


@dataclass(frozen=True, slots=True)
class Match:
    """The resource of a connection's edge."""


@dataclass(frozen=True, slots=True)
class Total:
    """How many matches a connection's search has in all."""


Meaning: TypeAlias = Element | Read | Search | Target | Match | Total


def meaning(field: GraphQLField) -> Meaning | None:
    """What a field stands for; None of those of introspection."""
    found: Meaning | None = field.extensions.get(_MEANING)
    return found


def meant(meaning: Meaning) -> dict[str, Meaning]:
    """The extensions of a field that stands for this."""
    return {_MEANING: meaning}
