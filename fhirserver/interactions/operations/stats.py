"""The operation `$stats`: statistics over the measured values of a subject, for each code that is asked for.

What is counted is what the caller sees. Values are brought into the unit of the newest one. The regression is over the days since the
first of them, and has two components: its gradient, in that unit a day, and its intercept.

https://hl7.org/fhir/R4/observation-operation-stats.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from fhirserver.fhirpath.values.nodes import Amount
from fhirserver.fhirpath.values.quantities import in_unit_of
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.observations import OBSERVATION, Gathered, gather
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.operations.statistics import (
    COUNTS,
    REGRESSION,
    SQUARED,
    STATISTICS,
    UNITLESS,
    as_decimal,
    regression,
)
from fhirserver.model.dates import instant
from fhirserver.model.json import Number
from fhirserver.model.outcome import BadRequest, TooCostly, Unprocessable
from fhirserver.model.resource import Resource

SOURCES: Final = 1_000
"""Observations that come along as the source of the statistics."""

_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/observation-statistics"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_UCUM: Final = "http://unitsofmeasure.org"
_INVALID: Final = frozenset(("entered-in-error", "cancelled", "registered"))
_MOST_HOURS: Final = 24 * 366 * 200
_DAY: Final = 24 * 60 * 60 * 1_000_000
_TOO_MANY: Final = f"More than {SOURCES} Observations are the source; give a limit."

Coding = dict[str, str]


async def stats(context: Context, invocation: Invocation) -> Resource:
    """An Observation of statistics for each code, and what they were made of where that is asked for."""
    wanted = _statistics(invocation)
    codings = _codings(invocation)
    period = _period(context, invocation)
    subject = invocation.one("subject")
    parameters: list[dict[str, Any]] = []
    source: dict[str, Resource] = {}
    for coding in codings:
        request = context.services.parse_search(OBSERVATION, _search(subject, coding, period))
        found = await gather(context, request)
        made = _observation(coding, subject, period, _components(coding, found, wanted))
        parameters.append({"name": "statistics", "resource": made})
        source |= {each.version.id: each.resource for each in found}
    if invocation.one("include"):
        parameters += [{"name": "source", "resource": each} for each in _limited(list(source.values()), invocation)]
    return {"resourceType": "Parameters", "parameter": parameters}


def _statistics(invocation: Invocation) -> list[str]:
    wanted = list(
        dict.fromkeys(each.strip() for text in invocation.parameters["statistic"] for each in text.split(","))
    )
    known = (*STATISTICS, *COUNTS, REGRESSION)
    for each in wanted:
        if each not in known:
            raise BadRequest(f"The statistic is one of {', '.join(known)}.", code="not-supported")
    return wanted


def _codings(invocation: Invocation) -> list[Coding]:
    system = invocation.one("system")
    codes = [each.strip() for text in invocation.parameters.get("code", ()) for each in text.split(",")]
    found = [{"code": code} if system is None else {"system": system, "code": code} for code in codes]
    for coding in invocation.parameters.get("coding", ()):
        if not isinstance(coding.get("code"), str):
            raise BadRequest("A coding of $stats has a code.", code="required")
        found.append({name: coding[name] for name in ("system", "code") if isinstance(coding.get(name), str)})
    if not found:
        raise BadRequest("$stats needs a code, with its system, or a coding.", code="required")
    if len(found) > 20:
        raise TooCostly("$stats makes the statistics of at most 20 codes at a time.")
    return found


def _period(context: Context, invocation: Invocation) -> dict[str, str]:
    duration, period = invocation.one("duration"), invocation.one("period")
    if duration is None:
        return {name: period[name] for name in ("start", "end") if name in period} if period else {}
    if period is not None:
        raise BadRequest("$stats takes a duration or a period, not both.")
    hours = Decimal(str(getattr(duration, "text", duration)))
    if not 0 < hours <= _MOST_HOURS:
        raise BadRequest("The duration is a number of hours, more than none.", code="value")
    now = context.now()
    return {"start": instant(now - timedelta(seconds=float(hours * 3600))), "end": instant(now)}


def _search(subject: str, coding: Coding, period: dict[str, str]) -> list[tuple[str, str]]:
    token = _escaped(coding["code"])
    if "system" in coding:
        token = f"{_escaped(coding['system'])}|{token}"
    dates = [("date", f"{prefix}{period[name]}") for name, prefix in (("start", "ge"), ("end", "le")) if name in period]
    return [("subject", _escaped(subject)), ("combo-code", token), *dates]


def _escaped(text: str) -> str:
    for mark in "\\,$|":
        text = text.replace(mark, f"\\{mark}")
    return text


def _limited(source: Sequence[Resource], invocation: Invocation) -> Sequence[Resource]:
    limit = invocation.one("limit")
    if limit is None and len(source) > SOURCES:
        raise TooCostly(_TOO_MANY)
    return source[: min(limit or SOURCES, SOURCES)]


def _observation(coding: Coding, subject: str, period: dict[str, str], components: list[Any]) -> Resource:
    made: Resource = {
        "resourceType": OBSERVATION,
        "status": "final",
        "code": {"coding": [coding]},
        "subject": {"reference": subject},
    }
    if period:
        made["effectivePeriod"] = period
    return {**made, "component": components}


def _components(coding: Coding, found: Sequence[Gathered], wanted: Sequence[str]) -> list[dict[str, Any]]:
    measured = [
        (one.start, each)
        for one in found
        if one.resource.get("status") not in _INVALID
        for each in _measured(coding, one.resource)
    ]
    values, unit = _in_one_unit(coding, [each for _, each in measured])
    counts = {"count": len(values), "total-count": len(found)}
    ordered = sorted(values)
    components: list[dict[str, Any]] = []
    for each in wanted:
        if each == REGRESSION:
            components += _regression([start for start, _ in measured], values, unit)
        else:
            components.append(_statistic(each, counts, ordered, unit))
    return components


def _statistic(
    statistic: str, counts: dict[str, int], values: Sequence[Fraction], unit: dict[str, str]
) -> dict[str, Any]:
    if statistic in counts:
        return _component(statistic, Fraction(counts[statistic]), {})
    value = STATISTICS[statistic](values) if values else None
    return _component(statistic, value, {} if statistic in UNITLESS or statistic in SQUARED else unit)


def _regression(
    starts: Sequence[int | None], values: Sequence[Fraction], unit: dict[str, str]
) -> Sequence[dict[str, Any]]:
    """The gradient and the intercept over those that have a time."""
    known = [(start, value) for start, value in zip(starts, values, strict=True) if start is not None]
    first = min((start for start, _ in known), default=0)
    line = regression([(Fraction(start - first, _DAY), value) for start, value in known])
    gradient, intercept = line or (None, None)
    daily = {name: each if name == "system" else f"{each}/d" for name, each in unit.items()}
    return (
        _component(REGRESSION, gradient, daily, "gradient"),
        _component(REGRESSION, intercept, unit, "intercept"),
    )


def _component(
    statistic: str, value: Fraction | None, unit: dict[str, str], which: str | None = None
) -> dict[str, Any]:
    code: dict[str, Any] = {"coding": [{"system": _SYSTEM, "code": statistic}]}
    if which is not None:
        code["text"] = which
    if value is None:
        absent = {"coding": [{"system": _ABSENT, "code": "not-applicable"}]}
        return {"code": code, "dataAbsentReason": absent}
    return {"code": code, "valueQuantity": {"value": as_decimal(value), **unit}}


def _measured(coding: Coding, resource: Resource) -> Iterable[dict[str, Any]]:
    """The quantities of this code: the Observation's own, and those of its components."""
    for each in (resource, *resource.get("component", ())):
        quantity = each.get("valueQuantity")
        if quantity is not None and _is_about(coding, each) and "value" in quantity and "comparator" not in quantity:
            yield quantity


def _is_about(coding: Coding, element: Resource) -> bool:
    return any(
        each.get("code", "").casefold() == coding["code"].casefold()
        and ("system" not in coding or each.get("system") == coding["system"])
        for each in element.get("code", {}).get("coding", ())
    )


def _in_one_unit(coding: Coding, quantities: Sequence[dict[str, Any]]) -> tuple[list[Fraction], dict[str, str]]:
    """The values in the unit of the newest, and that unit."""
    if not quantities:
        return [], {}
    newest = quantities[0]
    unit = _amount(newest)
    found = []
    for each in quantities:
        value = in_unit_of(_amount(each), unit)
        if value is None:
            units = sorted({str(one.get("unit") or one.get("code") or "none") for one in quantities})
            raise Unprocessable(
                f"The values of {coding['code']} have units that cannot be brought into one: {', '.join(units)[:200]}."
            )
        found.append(Fraction(value))
    return found, {name: newest[name] for name in ("unit", "system", "code") if name in newest}


def _amount(quantity: dict[str, Any]) -> Amount:
    value = quantity["value"]
    unit = quantity.get("code") if quantity.get("system") == _UCUM else None
    # A unit that is no code of UCUM is like itself alone.
    name = (
        unit if unit is not None else f"{{{quantity.get('system', '')} {quantity.get('code') or quantity.get('unit')}"
    )
    return Amount(Decimal(value.text) if isinstance(value, Number) else Decimal(value), name)


STATS: Final = Operation(
    "stats",
    "http://hl7.org/fhir/OperationDefinition/Observation-stats",
    frozenset((Level.TYPE,)),
    stats,
    frozenset(("subject", "code", "system", "coding", "duration", "period", "statistic", "include", "limit")),
    resource_types=frozenset((OBSERVATION,)),
)
