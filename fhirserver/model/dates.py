"""Partial dates and the intervals that they stand for.

`2012` is a whole year, `2012-04-01T10:00` a minute. An interval is two instants in microseconds since 1970 in UTC, both
inclusive. A time without a zone is taken as UTC, and so are days, save where a place is meant (`interval_in`).

https://hl7.org/fhir/R4/datatypes.html#dateTime and https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from fhirserver.model.remembered import remembered

BEGINNING: Final = -(10**18)
"""The low end of an interval without one: before every date that can be written."""
END: Final = 10**18
"""The high end of an interval without one: after every date that can be written."""

_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_DAY: Final = 86_400 * _SECOND
_EPOCH: Final = date(1970, 1, 1).toordinal()

_WRITTEN = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


LONGEST: Final = 40
"""Characters of a date that is remembered: there may be any number of digits in a second."""


@remembered(8_192, longest=LONGEST)
def interval(value: str) -> tuple[int, int]:
    """The first and the last microsecond of a date, dateTime or instant as written. Raises ValueError."""
    match = _WRITTEN.fullmatch(value)
    if match is None:
        raise ValueError("Not a date: write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone.")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if month is None:
        low = _day(int(year), 1, 1)
        return low, low + (366 if _is_leap(int(year)) else 365) * _DAY - 1
    if day is None:
        low = _day(int(year), int(month), 1)
        return low, low + days_in_month(int(year), int(month)) * _DAY - 1
    low = _day(int(year), int(month), int(day))
    if hour is None:
        return low, low + _DAY - 1
    if hour > "23" or minute > "59":
        raise ValueError("Not a time of day: hours go to 23, minutes to 59.")
    low += (int(hour) * 60 + int(minute)) * _MINUTE - _offset(zone)
    if second is None:
        return low, low + _MINUTE - 1
    if second > "60":  # 60 is a leap second
        raise ValueError("Not a time of day: seconds go to 59.")
    low += int(second) * _SECOND
    if fraction is None:
        return low, low + _SECOND - 1
    digits = fraction[:6]
    return low + int(digits.ljust(6, "0")), low + int(digits.ljust(6, "9"))


def interval_in(zone: tzinfo, value: str) -> tuple[int, int]:
    """The same, where the days of a date without a time are those of this zone. Raises ValueError."""
    low, high = interval(value)
    if "T" in value or zone is UTC:
        return low, high
    # A day on which the clocks change is as long as it can be: its midnight may come twice, or not at all.
    return low - _ahead(zone, low, fold=0), high - _ahead(zone, high, fold=1)


def _ahead(zone: tzinfo, local: int, *, fold: int) -> int:
    """How many microseconds the clocks of the zone are ahead of UTC when they show this."""
    shown = moment(local).replace(tzinfo=zone, fold=fold)
    return (shown.utcoffset() or timedelta()) // timedelta(microseconds=1)


def days_in_month(year: int, month: int) -> int:
    """How many days the month has; months are 1 to 12."""
    if month == 2:
        return 29 if _is_leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def instant(moment: datetime) -> str:
    """The FHIR instant of an aware datetime: UTC, milliseconds (`2026-01-02T03:04:05.678Z`)."""
    if moment.tzinfo is None:
        raise ValueError("An instant needs a time zone.")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def moment(microseconds: int) -> datetime:
    """The datetime, in UTC, of an end of an interval. Raises ValueError outside the years 1 to 9999."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        raise ValueError("The moment lies outside the years 1 to 9999.") from None


def _day(year: int, month: int, day: int) -> int:
    return (date(year, month, day).toordinal() - _EPOCH) * _DAY


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise ValueError("Not a time zone: zones go from -14:00 to +14:00.")
    return (hours * 60 + minutes) * _MINUTE * (-1 if zone[0] == "-" else 1)
