"""A search as the rooms above and below it see it: parsed once, frozen, with no text of the client's left to interpret.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fhirserver.model.outcome import Issue
from fhirserver.search.expression import Expression

Total = Literal["none", "estimate", "accurate"]
Summary = Literal["true", "text", "data"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a search may ask for; reaching one is always said."""

    parameters: int = 50
    alternatives: int = 100
    values: int = 4_000
    """Values that all parameters of a search name together; a long one counts for several."""
    value_length: int = 8_000
    sort_keys: int = 4
    chain: int = 3
    """References that one name follows, one after the other."""
    has: int = 3
    """Reverse chains inside one another."""
    followed: int = 50
    """Kinds of other resources that one search asks about."""
    types: int = 20
    """Types that one search goes through."""
    default_count: int = 20
    max_count: int = 1_000
    contained: bool = False
    """Whether contained resources may be found."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of `_sort`: ascending orders by the low scalar, descending by the high one; what has none comes last."""

    code: str
    path_low: str
    path_high: str
    descending: bool

    @property
    def path(self) -> str:
        """The stored scalar that this direction orders by."""
        return self.path_high if self.descending else self.path_low


@dataclass(frozen=True, slots=True)
class Include:
    """An `_include` (the matches' own references), or with `reverse` a `_revinclude` (references to the matches).

    `source_type` holds the reference, in the search parameter `code`; `target_type` narrows what it may point to. What iterates
    starts from what was included as well. `canonical` are the types that are referred to by their URL, `targets` those that the
    parameter can point to, where not to any.
    """

    source_type: str
    code: str
    target_type: str | None
    reverse: bool
    iterate: bool = False
    canonical: tuple[str, ...] = ()
    targets: frozenset[str] = field(default=frozenset(), compare=False)

    def points_to(self, resource_type: str) -> bool:
        """Whether what is followed can be of this type."""
        return self.target_type in (None, resource_type) and (not self.targets or resource_type in self.targets)


@dataclass(frozen=True, slots=True)
class Subset:
    """What of each resource is sent: a summary, or top-level elements beside those that are always there.

    `elements` are those of the matches, `typed` those of every resource of a type, by type and name. Included resources are whole
    unless their type is named.
    """

    summary: Summary | None = None
    elements: frozenset[str] = frozenset()
    typed: frozenset[tuple[str, str]] = frozenset()

    def of(self, resource_type: str, *, is_match: bool = True) -> frozenset[str]:
        """The elements asked for of a resource; none are named where it is sent whole, or as a summary."""
        named = frozenset(name for type, name in self.typed if type == resource_type)
        return named | self.elements if is_match else named


WHOLE = Subset()
"""All of each resource."""


@dataclass(frozen=True, slots=True)
class Containment:
    """A search of contained resources, whose type is that of the request.

    `term` is asked of the contained resource, `around` of its container. With `both` resources that are not contained are found as
    well; with `alone` contained resources are sent by themselves, and not their containers.
    """

    both: bool
    alone: bool
    term: Expression
    around: Expression


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search of one type.

    `used` are the parameters that counted, for the self link; `ignored` says what did not, or not as asked. `patients`, if not
    None, are ids of which every match has one as the patient of a reference (or as its own id): the gate may decide for these alone.
    `mentions` are patients whose compartment is searched: a match may also be another's that only mentions one of them.
    `taken` is what the contained resources are known by that are sent in the place of what the search finds.
    """

    resource_type: str
    expression: Expression
    sort: tuple[SortKey, ...] = ()
    count: int = 20
    total: Total = "none"
    summary_count: bool = False
    includes: tuple[Include, ...] = ()
    used: tuple[tuple[str, str], ...] = ()
    ignored: tuple[Issue, ...] = ()
    patients: frozenset[str] | None = None
    mentions: frozenset[str] = frozenset()
    subset: Subset = WHOLE
    containment: Containment | None = None
    taken: tuple[str, Expression] | None = None
