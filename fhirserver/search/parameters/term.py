"""What both sides of every parameter type are given: the term of a query, and the circumstances it is read in.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import Expression
from fhirserver.search.query.escaping import unescape

Node = tuple[str, Any]
"""A value that a parameter's expression selects: the name of its FHIR type, and its JSON."""

MAX_PATTERN = 1_000
"""The longest text that is looked for as part of another, in characters: MongoDB bounds the length of a pattern."""

Indexed = tuple[Any, str | int | None, str | int | None]
"""What is stored of a parameter: the values under `index`; the low and the high scalar under `sort`, or None for neither."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the meaning of a value depends on beside itself."""

    base_url: str
    case_sensitive_systems: frozenset[str]
    resource_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a composite parameter: how its type is asked, the types that it may point to, and where its values come from.

    `path` and `scalars` are those of the parameter of its own that has all of its values, "" if there is none.
    """

    type: str
    condition: Callable[[Term], Expression]
    targets: tuple[str, ...]
    expression: str
    path: str = ""
    scalars: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One parameter of a query.

    `name` is as the client wrote it, `path` where its values are stored, `targets` the types that a reference may point to
    (empty: any). `alternatives` are still escaped; there is at least one, and none is empty. `scalars` are the paths of the low
    and the high scalar, if a resource has no more than one value: they say as much as `path`, and indexes keep them in order;
    `is_moment` says that this value is a date or an instant, and no period: nothing longer than a year.
    `parts` are the components of a composite; `parents` the type and the path of the reference by which what is referred to
    stands in a hierarchy, for the types that have one.
    """

    name: str
    path: str
    targets: tuple[str, ...]
    modifier: str
    alternatives: tuple[str, ...]
    circumstances: Circumstances
    now: datetime
    scalars: tuple[str, str] | None = None
    parts: tuple[Part, ...] = ()
    parents: tuple[tuple[str, str], ...] = ()
    is_moment: bool = False

    def texts(self) -> list[str]:
        """The alternatives with their escapes taken away."""
        return [unescape(text) for text in self.alternatives]

    def refuse(self, reason: str) -> BadRequest:
        """The error for a value that cannot be read."""
        return BadRequest(f"The parameter '{self.name}' cannot be read: {reason}")
