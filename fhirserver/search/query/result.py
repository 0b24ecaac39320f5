"""The result parameters: order, page, total and included resources.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, Issue, TooCostly
from fhirserver.search.query import contained
from fhirserver.search.query.includes import INCLUDES
from fhirserver.search.query.unsupported import Unsupported
from fhirserver.search.registry import registry
from fhirserver.search.request import Bounds, Include, SortKey, Subset, Summary, Total

TOTALS = ("none", "estimate", "accurate")
SUMMARIES = ("true", "text", "data", "count", "false")


@dataclass(slots=True)
class ResultParameters:
    """What shapes the answer, and not which resources match; filled while the query is read."""

    definitions: Definitions
    resource_type: str
    bounds: Bounds
    contained: str | None = None
    """What `_contained` says, where contained resources may be found."""
    contained_alone: bool = False
    sort: tuple[SortKey, ...] = ()
    count: int = 0
    total: Total = "none"
    summary_count: bool = False
    summary: Summary | None = None
    elements: Subset | None = None
    includes: dict[Include, None] = field(default_factory=dict)
    notices: list[Issue] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.count = self.bounds.default_count

    def take(self, name: str, value: str) -> str:
        """Read one parameter; the answer is the value that the self link shows. Raises Unsupported or BadRequest."""
        contained.check(self, name, value)
        reader, repeats = READERS[name]
        if not repeats:
            if name in self.seen:
                raise BadRequest(f"The parameter '{name}' stands in the query twice.")
            self.seen.add(name)
        return reader(self, value)

    def subset(self) -> Subset:
        """What of each resource is sent. Raises BadRequest for parameters that do not go together."""
        if self.summary == "text" and self.includes:
            raise BadRequest("'_summary=text' does not go together with included resources.")
        return contained.typed(self, subset(self.summary, self.elements))


def subset(summary: Summary | None, elements: Subset | None) -> Subset:
    """The one that was asked for. Raises BadRequest for both."""
    if elements is None:
        return Subset(summary)
    if summary is not None:
        raise BadRequest("'_summary' and '_elements' each say what is sent: send one of them.")
    return elements


def _sort(result: ResultParameters, value: str) -> str:
    keys = {each.code: each for each in result.sort}
    searchable = registry(result.definitions, result.resource_type).searchable
    for part in value.split(","):
        descending = part.startswith("-")
        code = part[1:] if descending else part
        found = searchable.get(code)
        if found is None or not found.low:
            raise Unsupported(f"{result.resource_type} cannot be sorted by '{code[:100]}'.")
        keys.setdefault(code, SortKey(code, found.low, found.high, descending))
    if len(keys) > result.bounds.sort_keys:
        raise TooCostly(f"A search is sorted by at most {result.bounds.sort_keys} parameters.")
    result.sort = tuple(keys.values())
    return value


def _count(result: ResultParameters, value: str) -> str:
    if not (value.isascii() and value.isdecimal()):
        raise BadRequest("The parameter '_count' is a whole number, zero or more.")
    digits = value.lstrip("0") or "0"
    most = result.bounds.max_count
    if len(digits) > len(str(most)) or int(digits) > most:
        result.notices.append(
            Issue("warning", "too-costly", f"A page has at most {most} matches; '_count' was lowered.")
        )
        digits = str(most)
    result.count = int(digits)
    if result.count == 0:
        result.summary_count = True
    return digits


def _total(result: ResultParameters, value: str) -> str:
    if value not in TOTALS:
        raise BadRequest("The parameter '_total' is none, estimate or accurate.")
    result.total = cast("Total", value)
    return value


def _summary(result: ResultParameters, value: str) -> str:
    if value not in SUMMARIES:
        raise BadRequest("The parameter '_summary' is true, text, data, count or false.")
    result.summary_count = result.summary_count or value == "count"
    if value not in ("count", "false"):
        result.summary = cast("Summary", value)
    return value


def _elements(result: ResultParameters, value: str) -> str:
    result.elements = read_elements(result.definitions, result.resource_type, value)
    return value


def read_elements(definitions: Definitions, resource_type: str, value: str) -> Subset:
    """The elements that `_elements` names: `code`, or `Observation.code` for every resource of that type.

    Raises Unsupported where there is no such element.
    """
    own, typed = set(), set()
    for part in value.split(","):
        type, dot, name = part.strip().rpartition(".")
        if dot and type not in definitions.concrete_types:
            raise Unsupported(
                "The parameter '_elements' names elements of a resource itself, not those inside of them."
            )
        names = {
            each
            for element in definitions.children(type or resource_type)
            for each in (element.name, element.stem, *(json_name for json_name, _ in element.json_names()))
        }
        if name not in names and name != "resourceType":  # no element, and in every answer; fhirpy asks for it
            raise Unsupported(f"{type or resource_type} has no element '{name[:100]}'.")
        if dot:
            typed.add((type, name))
        else:
            own.add(name)
    return Subset(None, frozenset(own), frozenset(typed))


READERS: Mapping[str, tuple[Callable[[ResultParameters, str], str], bool]] = {
    "_sort": (_sort, True),
    "_count": (_count, False),
    "_total": (_total, False),
    "_summary": (_summary, False),
    "_elements": (_elements, False),
    **contained.READERS,
    **{name: (reader, True) for name, reader in INCLUDES.items()},
}
"""The result parameters that work, and whether each may stand in a query more than once."""
