"""Date parameters: a value is the interval that it stands for, and so is what is stored.

A date without a time is all of its day, a Period runs from the first instant of its start to the last of its end, and an end that
is not given is open. An instant that is stored is a point, however few digits it is written with. A time without a zone is UTC, in
queries as in resources. Ends are microseconds, both inclusive.

The prefixes are those of `comparison`; `ap` widens the query's interval by a tenth of its distance from now.

https://hl7.org/fhir/R4/search.html#date and https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhirserver.model.dates import BEGINNING, END, interval, moment
from fhirserver.search.expression import All, Expression, In, Nothing, Range, Some, all_of, any_of
from fhirserver.search.parameters.comparison import Asked, Prefix, compared, split
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term

MODIFIERS = frozenset({"missing"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_YEAR = 366 * 24 * 60 * 60 * 1_000_000
_UNITS = (*(10**digits for digits in range(1, 7)), 60 * 10**6, 24 * 60 * 60 * 10**6)
"""What a date may be known to, from ten microseconds to a day."""
_SPACE_FOR_PLUS = re.compile(r"([^T]{1,10}T\S{1,30}) (\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class DateRange:
    """A value of a query: its prefix and its interval."""

    prefix: Prefix
    low: int
    high: int

    @classmethod
    def parse(cls, text: str, now: datetime) -> DateRange:
        """Read a value; `ap` is widened here. Raises ValueError."""
        prefix, text = split(text)
        if " " in text and (found := _SPACE_FOR_PLUS.fullmatch(text)) is not None:
            # A plus sign that was not percent-encoded has come as a space.
            text = f"{found[1]}+{found[2]}"
        low, high = interval(text)
        if prefix is Prefix.AP:
            tenth = abs((now - _EPOCH) // _MICROSECOND - (low + high) // 2) // 10
            low, high = low - tenth, high + tenth
        return cls(prefix, low, high)

    @property
    def asked(self) -> Asked:
        """What is compared with the stored ends."""
        return Asked(self.prefix, self.low, self.high, self.low - 1, self.high + 1)


def condition(term: Term) -> Expression:
    """What the query asks of a parameter whose intervals are stored."""
    if term.scalars is None:
        return any_of(*(Some(term.path, compared(asked.asked, "lo", "hi")) for asked in _asked(term)))
    low, high = term.scalars
    found = []
    for asked in _asked(term):
        expression = compared(asked.asked, low, high)
        found.append(all_of(_bounded(asked, low, high), expression) if term.is_moment else expression)
    return any_of(*found)


def _bounded(q: DateRange, low: str, high: str) -> Expression:
    """What follows for the one end from what is asked of the other, where both lie within a year: an index may have only the one."""
    match q.prefix:
        case Prefix.GE:
            return _reaching(low, q.low)
        case Prefix.GT:
            return _reaching(low, q.high + 1)
        case Prefix.SA:
            return Range(low, q.high + 1, None)
        case Prefix.LE | Prefix.LT | Prefix.EB:
            return Range(high, None, q.high + _YEAR)
        case _:
            return All()


def _reaching(low: str, instant: int) -> Expression:
    """What is true of the low ends of all dates that reach this instant: they begin with it or later, or else with its year, month, day,
    minute or second, or a part of that: what is known to a year begins with a year."""
    starts = {instant - instant % unit for unit in _UNITS}
    with suppress(ValueError):
        starts.update(interval(f"{moment(instant // 1000 * 1000):{form}}")[0] for form in ("%Y", "%Y-%m"))
        return all_of(Range(low, instant - _YEAR, None), any_of(In(low, frozenset(starts)), Range(low, instant, None)))
    return Range(low, instant - _YEAR, None)


def condition_on_instant(term: Term) -> Expression:
    """What the query asks where one datetime, to the millisecond, is stored (`_lastUpdated`)."""
    return any_of(*(_on_instant(term.path, asked) for asked in _asked(term)))


def _asked(term: Term) -> list[DateRange]:
    try:
        return [DateRange.parse(text, term.now) for text in term.texts()]
    except ValueError as error:
        raise term.refuse(str(error)) from None


def _on_instant(path: str, q: DateRange) -> Expression:
    match q.prefix:
        case Prefix.EQ | Prefix.AP:
            return all_of(_after(path, q.low), _before(path, q.high))
        case Prefix.NE:
            return any_of(_before(path, q.low - 1), _after(path, q.high + 1))
        case Prefix.GE:
            return _after(path, q.low)
        case Prefix.LE:
            return _before(path, q.high)
        case Prefix.GT | Prefix.SA:
            return _after(path, q.high + 1)
        case Prefix.LT | Prefix.EB:
            return _before(path, q.low - 1)


def _after(path: str, low: int) -> Expression:
    """At `low` or later; what is stored has whole milliseconds and lies in the years 1 to 9999."""
    try:
        return Range(path, moment(-(-low // 1000) * 1000), None)
    except ValueError:
        return All() if low < 0 else Nothing()


def _before(path: str, high: int) -> Expression:
    """At `high` or earlier."""
    try:
        return Range(path, None, moment(high // 1000 * 1000))
    except ValueError:
        return Nothing() if high < 0 else All()


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values; a date that is not one is left out, since it can equal nothing."""
    found: list[dict[str, int]] = []
    for kind, value in nodes:
        try:
            low, high = _READERS[kind](value) if kind in _READERS else interval(value)
        except (TypeError, ValueError):
            continue
        entry = {"lo": low, "hi": high}
        if entry not in found:
            found.append(entry)
    if not found:
        return None
    if len(found) == 1:
        return found, low, high
    return found, min(entry["lo"] for entry in found), max(entry["hi"] for entry in found)


def _period(value: Any) -> tuple[int, int]:
    start, end = value.get("start"), value.get("end")
    if start is None and end is None:
        raise ValueError("A Period without an end on either side.")
    return (interval(start)[0] if start else BEGINNING), (interval(end)[1] if end else END)


def _timing(value: Any) -> tuple[int, int]:
    """The outer limits only: what happens between them does not matter to search."""
    ends = [interval(event) for event in value.get("event", ()) if event]
    bounds = value.get("repeat", {}).get("boundsPeriod")
    if bounds:
        ends.append(_period(bounds))
    return min(low for low, _ in ends), max(high for _, high in ends)


def _instant(value: Any) -> tuple[int, int]:
    """A fixed point in time: "an interval with an effective width of 0"."""
    point, _ = interval(value)
    return point, point


_READERS: dict[str, Callable[[Any], tuple[int, int]]] = {"Period": _period, "Timing": _timing, "instant": _instant}
