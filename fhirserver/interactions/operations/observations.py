"""Observations gathered for an operation: every one that a search finds, within a bound.

https://hl7.org/fhir/R4/observation.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.reading.search import permit_of
from fhirserver.interactions.terminology import answered
from fhirserver.model.dates import BEGINNING, interval
from fhirserver.model.outcome import TooCostly
from fhirserver.model.resource import Resource, Version
from fhirserver.search.request import SearchRequest, SortKey

OBSERVATION: Final = "Observation"
GATHERED: Final = 10_000
"""Observations that one operation looks at."""

_TOO_MANY: Final = f"The operation would look at more than {GATHERED} Observations. Add a code, a category or a date."
_NEWEST_FIRST: Final = SortKey("date", "sort.date.lo", "sort.date.hi", descending=True)


@dataclass(frozen=True, slots=True)
class Gathered:
    """An Observation as it is stored, and parsed."""

    version: Version
    resource: Resource

    @property
    def start(self) -> int | None:
        """The first microsecond of its effective time, if it has one."""
        for name in ("effectiveDateTime", "effectiveInstant"):
            if isinstance(value := self.resource.get(name), str):
                return interval(value)[0]
        period = self.resource.get("effectivePeriod", {})
        start = period.get("start") or period.get("end")
        return interval(start)[0] if start else None

    @property
    def time(self) -> int:
        """The last microsecond of its effective time; that of none lies before all others."""
        for name in ("effectiveDateTime", "effectiveInstant"):
            if isinstance(value := self.resource.get(name), str):
                return interval(value)[1]
        period = self.resource.get("effectivePeriod", {})
        end = period.get("end") or period.get("start")
        return interval(end)[1] if end else BEGINNING


async def gather(context: Context, request: SearchRequest) -> list[Gathered]:
    """What the search finds and the caller may see, the newest first. Raises TooCostly past the bound."""
    most = context.services.bounds.max_count
    asked = replace(request, sort=(_NEWEST_FIRST,), count=most, total="none", summary_count=False, includes=())
    asked = await answered(context, asked)
    permit = await permit_of(context, asked)
    found: list[Gathered] = []
    position = None
    while True:
        page = await context.reads.find(asked, permit, position=position)
        found += [Gathered(each, each.parsed()) for each in page.matches]
        if page.next is None:
            return found
        if len(found) + most > GATHERED:
            raise TooCostly(_TOO_MANY)
        position = page.next
