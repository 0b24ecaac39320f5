"""The result parameters: order, page, total and included resources.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, Issue, TooCostly
from fhirserver.search.registry import registry, resource_types
from fhirserver.search.request import Bounds, Include, SortKey, Total

TOTALS = ("none", "estimate", "accurate")


class Unsupported(Exception):
    """What this server does not do: refused, or with lenient handling ignored. Its text is for the client."""


@dataclass(slots=True)
class ResultParameters:
    """What shapes the answer, and not which resources match; filled while the query is read."""

    definitions: Definitions
    resource_type: str
    bounds: Bounds
    sort: tuple[SortKey, ...] = ()
    count: int = 0
    total: Total = "none"
    summary_count: bool = False
    includes: dict[Include, None] = field(default_factory=dict)
    notices: list[Issue] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.count = self.bounds.default_count

    def take(self, name: str, value: str) -> str:
        """Read one parameter; the answer is the value that the self link shows. Raises Unsupported or BadRequest."""
        reader, repeats = READERS[name]
        if not repeats:
            if name in self.seen:
                raise BadRequest(f"The parameter '{name}' stands in the query twice.")
            self.seen.add(name)
        return reader(self, value)


def _sort(result: ResultParameters, value: str) -> str:
    keys: dict[str, SortKey] = {}
    searchable = registry(result.definitions, result.resource_type).searchable
    for part in value.split(","):
        descending = part.startswith("-")
        code = part[1:] if descending else part
        found = searchable.get(code)
        if found is None:
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
    if value not in ("count", "false"):
        raise Unsupported("Of '_summary' only 'count' and 'false' are supported.")
    result.summary_count = result.summary_count or value == "count"
    return value


def _include(result: ResultParameters, value: str) -> str:
    include = _included(result, value, "_include", reverse=False)
    if include.source_type != result.resource_type:
        raise Unsupported(f"An '_include' starts from the type that is searched, {result.resource_type}.")
    result.includes[include] = None
    return value


def _revinclude(result: ResultParameters, value: str) -> str:
    include = _included(result, value, "_revinclude", reverse=True)
    targets = registry(result.definitions, include.source_type).searchable[include.code].targets
    if include.target_type not in (None, result.resource_type) or (targets and result.resource_type not in targets):
        raise Unsupported(f"'{include.source_type}:{include.code}' does not point to {result.resource_type}.")
    result.includes[include] = None
    return value


def _included(result: ResultParameters, value: str, name: str, *, reverse: bool) -> Include:
    if value == "*" or value.endswith(":*"):
        raise Unsupported(f"'{name}' of everything is not supported: name the parameters.")
    parts = value.split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise BadRequest(f"The parameter '{name}' is written Type:parameter or Type:parameter:Target.")
    source_type, code = parts[0], parts[1]
    target_type = parts[2] if len(parts) == 3 else None
    types = resource_types(result.definitions)
    if source_type not in types or (target_type is not None and target_type not in types):
        raise Unsupported(f"'{name}' names a resource type that does not exist.")
    found = registry(result.definitions, source_type).searchable.get(code)
    if found is None or found.type != "reference":
        raise Unsupported(f"{source_type} has no reference parameter '{code[:100]}' to include by.")
    if target_type is not None and found.targets and target_type not in found.targets:
        raise Unsupported(f"'{source_type}:{code}' does not point to {target_type}.")
    return Include(source_type, code, target_type, reverse)


READERS: Mapping[str, tuple[Callable[[ResultParameters, str], str], bool]] = {
    "_sort": (_sort, False),
    "_count": (_count, False),
    "_total": (_total, False),
    "_summary": (_summary, False),
    "_include": (_include, True),
    "_revinclude": (_revinclude, True),
}
"""The result parameters that work, and whether each may stand in a query more than once."""
