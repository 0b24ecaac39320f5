"""The histories over HTTP: of one resource, of a type, of everything.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from fhirserver.interactions.reading.history import (
    History,
    HistoryRequest,
    history_instance,
    history_system,
    history_type,
)
from fhirserver.model.dates import interval, moment
from fhirserver.model.outcome import BadRequest
from fhirserver.rest.address import ID
from fhirserver.rest.messages.parameters import Pair, part
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer
from fhirserver.rest.representation.searchset import history_bundle
from fhirserver.rest.representation.subsets import asked as subset_asked
from fhirserver.rest.representation.subsets import subsetted
from fhirserver.search.request import Subset

COUNT: Final = 20
COUNT_BOUND: Final = 1000
_COUNT_DIGITS: Final = 9
_NEWEST_FIRST: Final = "-_lastUpdated"
_OLDEST_FIRST: Final = "_lastUpdated"
_OF_FORM: Final = frozenset(("_summary", "_elements"))
_KNOWN: Final = "A history takes _count, _since, _at, _list, _sort, _summary, _elements, _format and _pretty."


async def instance(request: Request) -> Answer:
    """`GET [base]/[type]/[id]/_history`."""
    content_type = request.content_type()
    asked, used = _asked(request)
    if asked.oldest_first:
        raise BadRequest(f"The history of one resource is sorted by {_NEWEST_FIRST}.", code="not-supported")
    return await _answer(request, asked, await history_instance(request.context, asked), used, content_type)


async def of_type(request: Request) -> Answer:
    """`GET [base]/[type]/_history`."""
    content_type = request.content_type()
    asked, used = _asked(request)
    return await _answer(request, asked, await history_type(request.context, asked), used, content_type)


async def of_system(request: Request) -> Answer:
    """`GET [base]/_history`."""
    content_type = request.content_type()
    asked, used = _asked(request)
    return await _answer(request, asked, await history_system(request.context, asked), used, content_type)


async def _answer(
    request: Request, asked: HistoryRequest, found: History, used: list[Pair], content_type: bytes
) -> Answer:
    services = request.context.services
    versions = await subsetted(services.definitions, _subset(request, used), found.versions)
    return Answer(200, history_bundle(services, asked, replace(found, versions=tuple(versions)), used), content_type)


def _subset(request: Request, used: list[Pair]) -> Subset:
    form = [pair for pair in used if pair[0] in _OF_FORM]
    definitions = request.context.services.definitions
    return subset_asked(definitions, request.address.resource_type or "Resource", form, lenient=False)


def _asked(request: Request) -> tuple[HistoryRequest, list[Pair]]:
    """The history that is asked for, and the pairs that were used for it."""
    pairs, cursor = part(request.parameters())
    lenient = request.preferences().lenient
    wanted: dict[str, Any] = {"count": COUNT}
    used: list[Pair] = []
    for name, value in pairs:
        match name:
            case "_count":
                wanted["count"] = _count(value)
                value = str(wanted["count"])
            case "_since":
                wanted["since"] = _moments(name, value)[0]
            case "_at":
                wanted["at"] = _moments(name, value)
            case "_sort":
                wanted["oldest_first"] = _is_oldest_first(value)
            case "_list":
                wanted["within"] = _list(value)
            case "_summary" | "_elements":
                pass
            case _ if lenient:
                continue
            case _:
                raise BadRequest(_KNOWN, code="not-supported")
        used.append((name, value))
    if len({name for name, _ in used}) != len(used):
        raise BadRequest("A parameter of a history can be given once.")
    _subset(request, used)  # what is wrong in it is said before anything is read
    address = request.address
    return HistoryRequest(address.resource_type, address.id, cursor=cursor, **wanted), used


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _COUNT_DIGITS):
        raise BadRequest("_count is a whole number.")
    return min(int(value), COUNT_BOUND)


def _moments(name: str, value: str) -> tuple[datetime, datetime]:
    try:
        first, last = interval(value)
        return moment(first), moment(last)
    except ValueError:
        raise BadRequest(f"{name} is a date or an instant, as in 2026-01-31T09:30:00Z.") from None


def _list(value: str) -> str:
    id = value.removeprefix("List/")
    if ID.fullmatch(id) is None:
        raise BadRequest("_list of a history is the id of a List that is stored here.", code="not-supported")
    return id


def _is_oldest_first(value: str) -> bool:
    if value not in (_NEWEST_FIRST, _OLDEST_FIRST):
        raise BadRequest(f"_sort is {_NEWEST_FIRST} or {_OLDEST_FIRST}.", code="not-supported")
    return value == _OLDEST_FIRST
