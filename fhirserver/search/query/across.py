"""A search across types: the same parameters for each of the types that `_type` names, or for all that there are.

What is asked has to be a parameter of all of them. They are sorted by time or not at all, and include nothing.

https://hl7.org/fhir/R4/http.html#search and https://hl7.org/fhir/R4/search.html#all
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, Issue, TooCostly
from fhirserver.search.query.includes import INCLUDES
from fhirserver.search.query.parse import ELSEWHERE, parse_search
from fhirserver.search.query.unsupported import Refused
from fhirserver.search.registry import resource_types
from fhirserver.search.request import Bounds, SearchRequest

TYPE: Final = "_type"
SORTS: Final = ("_lastUpdated", "-_lastUpdated")
MERGED: Final = 10_000
"""Resources that one page of a search sorted across types may have to look at."""
ASKED: Final = 1_000
"""Parameters that a search may ask of types, each of each."""

Pair = tuple[str, str]
Parsed = Callable[[str, Sequence[Pair]], SearchRequest]
"""The search of a type that has these parameters."""


@dataclass(frozen=True, slots=True)
class AcrossRequest:
    """A search of several types. `whole` stands for all of them where the answer is written; `is_named` says that the client named
    them, and means each of them."""

    requests: tuple[SearchRequest, ...]
    is_named: bool

    @property
    def whole(self) -> SearchRequest:
        """What the types have in common, with `_type` among what was used."""
        first = self.requests[0]
        if not self.is_named:
            return replace(first, resource_type="")
        types = (TYPE, ",".join(each.resource_type for each in self.requests))
        return replace(first, resource_type="", used=(types, *first.used))


def parse_across(
    definitions: Definitions,
    pairs: Sequence[tuple[str, str]],
    *,
    lenient: bool,
    base_url: str,
    now: datetime,
    bounds: Bounds,
    within: Sequence[str] | None,
) -> AcrossRequest:
    """Read a search across types, of those alone that are `within` a compartment. Raises BadRequest, or TooCostly where a bound is
    passed."""
    if len(pairs) > bounds.parameters:
        raise TooCostly(f"A search has at most {bounds.parameters} parameters.")
    named = _named(definitions, [value for name, value in pairs if name == TYPE], bounds)
    every = sorted(resource_types(definitions)) if within is None else within
    types = tuple(each for each in named or every if within is None or each in within)
    if not types:
        raise BadRequest("The compartment never holds a resource of such a type.")
    bounds = replace(bounds, values=bounds.values // len(types))  # each value is asked of each type
    rest = [(name, value) for name, value in pairs if name != TYPE and name not in ELSEWHERE]
    if len(rest) * len(types) > ASKED:
        raise TooCostly(
            f"So many parameters cannot be asked of {len(types)} types: name fewer types, as in '{TYPE}=Patient'."
        )

    def parsed(resource_type: str, wanted: Sequence[Pair], lenient: bool = False) -> SearchRequest:
        return parse_search(
            definitions, resource_type, wanted, lenient=lenient, base_url=base_url, now=now, bounds=bounds
        )

    # Once as a whole, so that too many values are too many before each of them is read for each type.
    parsed(types[0], [(name, value) for name, value in rest if _refusal(name, value) is None], lenient=True)
    kept, ignored = _shared(parsed, types, rest, lenient=lenient)
    requests = tuple(parsed(each, kept) for each in types)
    first = replace(requests[0], ignored=(*requests[0].ignored, *ignored))
    if first.sort and len(types) * first.count > MERGED:
        raise TooCostly("A page sorted across so many types would be too large: lower '_count' or name fewer types.")
    return AcrossRequest((first, *requests[1:]), is_named=bool(named))


def _shared(
    parsed: Parsed, types: Sequence[str], pairs: Sequence[Pair], *, lenient: bool
) -> tuple[list[Pair], list[Issue]]:
    """The parameters that all the types have, and what is said of others, where they do not refuse the search.

    What one type does not have is left out for all: else it would narrow some and not the others."""
    kept: list[Pair] = []
    ignored: list[Issue] = []
    for name, value in pairs:
        refusal = _refusal(name, value) or next(_unsupported(parsed, types, (name, value)), None)
        if refusal is None:
            kept.append((name, value))
        elif lenient:
            ignored.append(Issue("warning", "not-supported", f"{refusal} It was ignored."))
        else:
            raise BadRequest(refusal, code="not-supported")
    return kept, ignored


def _named(definitions: Definitions, values: Sequence[str], bounds: Bounds) -> tuple[str, ...]:
    if len(values) > 1:
        raise BadRequest(f"The parameter '{TYPE}' stands in the query twice.")
    types = tuple(dict.fromkeys(each for value in values for each in value.split(",") if each))
    if len(types) > bounds.types:
        raise TooCostly(f"A search goes through at most {bounds.types} types.")
    unknown = [each for each in types if each not in resource_types(definitions)]
    if unknown:
        raise BadRequest(f"The parameter '{TYPE}' names a resource type that does not exist.")
    return types


def _refusal(name: str, value: str) -> str | None:
    if name in INCLUDES:
        return "Included resources ('_include', '_revinclude') are asked for in a search of one type."
    if name == "_sort" and value not in SORTS:
        return "A search across types is sorted by '_lastUpdated' or '-_lastUpdated'."
    return None


def _unsupported(parsed: Parsed, types: Sequence[str], pair: Pair) -> Iterator[str]:
    """Why a parameter cannot be asked of all types, if so. What cannot be read raises."""
    for resource_type in types:
        try:
            parsed(resource_type, [pair])
        except BadRequest as refusal:
            if isinstance(refusal, Refused) or refusal.issues[0].code != "not-supported":
                raise
            yield refusal.issues[0].diagnostics
