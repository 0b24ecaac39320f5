"""Search parameters, as each resource type sees them.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ParameterType = Literal["number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"]


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a composite parameter; the expression starts from what the composite's expression selects."""

    definition: str
    code: str
    type: ParameterType
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A search parameter of one resource type.

    `expression` is only what concerns that type, and "" where the definition has none. `base` is every type the
    definition names. `targets` are the types a reference may point to; empty means any.
    """

    code: str
    url: str
    type: ParameterType
    expression: str
    base: tuple[str, ...]
    targets: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    multiple_or: bool | None = None
    multiple_and: bool | None = None
    modifiers: tuple[str, ...] = ()
    comparators: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    usage: str | None = None
