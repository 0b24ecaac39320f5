"""The operation `$lastn`: of what a search of Observations finds, the last ones of each code.

https://hl7.org/fhir/R4/observation-operation-lastn.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.observations import OBSERVATION, Gathered, gather
from fhirserver.interactions.operations.operation import Invocation, Level, Operation, Searchset
from fhirserver.model.outcome import BadRequest, TooCostly
from fhirserver.search.query.pairs import Pair

GIVEN: Final = 1_000
"""Observations in one answer."""

_SUBJECTS: Final = ("patient", "subject")
_CODES: Final = ("category", "code", "combo-code", "component-code", "code-value")
_SHAPING: Final = frozenset(("_sort", "_count", "_total", "_include", "_revinclude", "_contained", "_containedType"))
_NEEDS_SUBJECT: Final = "The search of $lastn names its subject, by 'patient' or 'subject'."
_NEEDS_CODE: Final = "The search of $lastn names a category or a code."
_NO_SHAPE: Final = "$lastn gives the last Observations of each code, newest first, all at once: it takes no '{}'."
_TOO_MANY: Final = f"The answer would hold more than {GIVEN} Observations; ask for fewer codes, or a smaller 'max'."


async def lastn(context: Context, invocation: Invocation) -> Searchset:
    """The last `max` Observations of each subject and code, one if it is not said, and those of the same time as the last."""
    most = invocation.one("max") or 1
    _check(invocation.search)
    request = context.services.parse_search(OBSERVATION, invocation.search, lenient=invocation.lenient)
    if request.summary_count:
        raise BadRequest(_NO_SHAPE.format("_summary=count"), code="not-supported")
    asked = context.now()
    found = _last(await gather(context, request), most)
    if len(found) > GIVEN:
        raise TooCostly(_TOO_MANY)
    used = (*request.used, *((("max", str(most)),) if "max" in invocation.parameters else ()))
    return Searchset(
        asked, used, [each.version for each in found], total=len(found), issues=request.ignored, subset=request.subset
    )


def _check(pairs: Sequence[Pair]) -> None:
    names = [name.partition(":")[0].partition(".")[0] for name, value in pairs if value]
    for name in names:
        if name in _SHAPING:
            raise BadRequest(_NO_SHAPE.format(name), code="not-supported")
    if not any(name in _SUBJECTS for name in names):
        raise BadRequest(_NEEDS_SUBJECT, code="required")
    if not any(name.startswith(_CODES) for name in names):
        raise BadRequest(_NEEDS_CODE, code="required")


def _last(newest_first: Sequence[Gathered], most: int) -> list[Gathered]:
    groups: defaultdict[tuple[str, str], list[Gathered]] = defaultdict(list)
    meaning = _Meanings(each.resource for each in newest_first)
    for each in sorted(newest_first, key=lambda one: -one.time):
        subject = each.resource.get("subject", {}).get("reference", "")
        group = groups[subject, meaning.of(each.resource)]
        # Where several are the last at once, none of them is left out.
        if len(group) < most or group[-1].time == each.time:
            group.append(each)
    return [each for group in groups.values() for each in group]


class _Meanings:
    """Which Observations have one code: those that share a coding, also by way of a third; without codings, a text."""

    def __init__(self, observations: Iterable[Any]) -> None:
        self._joined: dict[str, str] = {}
        for each in observations:
            first, *others = _names(each)
            for name in others:
                self._joined[self._root(name)] = self._root(first)

    def of(self, observation: Any) -> str:
        """A name for what was observed."""
        return self._root(_names(observation)[0])

    def _root(self, name: str) -> str:
        while (above := self._joined.get(name, name)) != name:
            name = above
        return name


def _names(observation: Any) -> list[str]:
    code = observation.get("code", {})
    codings = [
        f"{each.get('system', '')}|{each['code']}"
        for each in code.get("coding", ())
        if isinstance(each.get("code"), str)
    ]
    return codings or [f"text {code.get('text', '').strip().casefold()}"]


LASTN: Final = Operation(
    "lastn",
    "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
    frozenset((Level.TYPE,)),
    lastn,
    frozenset(("max",)),
    resource_types=frozenset((OBSERVATION,)),
    takes_search=True,
)
