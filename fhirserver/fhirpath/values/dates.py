"""Dates and times of partial precision: their order, and what a span of time added to them gives.

A time without a zone is taken as UTC, as everywhere in this server.

https://hl7.org/fhirpath/N1/#datetime-equality and https://hl7.org/fhirpath/N1/#datetime-arithmetic
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.values.nodes import CALENDAR_CODES, Amount
from fhirserver.model.dates import LONGEST, days_in_month, interval
from fhirserver.model.remembered import remembered

DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
DATETIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?(Z|[+-]\d\d:\d\d)?)?)?)?T?",
    re.ASCII,
)
TIME = re.compile(r"T?(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?", re.ASCII)

SECONDS_OF = {
    "week": Decimal(604800), "day": Decimal(86400), "hour": Decimal(3600), "minute": Decimal(60), "second": Decimal(1),
    "millisecond": Decimal("0.001"),
}  # fmt: skip


@remembered(4_096, longest=LONGEST)
def span(value: str) -> tuple[int, int, int] | None:
    """First and last microsecond, and the number of parts that are written (seconds and fractions count as one).

    None if it is not a date.
    """
    match = DATETIME.fullmatch(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, _, zone = match.groups()
    parts = sum(part is not None for part in (year, month, day, hour, minute, second))
    written = value.removesuffix("T")
    try:
        if hour is not None and minute is None:
            low, _ = interval(f"{year}-{month}-{day}T{hour}:00{zone or ''}")
            return low, low + 3_600_000_000 - 1, parts
        if hour is None and day is not None:
            written = written[:10]
        low, high = interval(written)
    except ValueError:
        return None
    return low, high, parts


def clock(value: str) -> tuple[Decimal, int] | None:
    """Seconds since midnight and the number of parts that are written; None if it is not a time."""
    match = TIME.fullmatch(value)
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    seconds = int(hour) * 3600 + int(minute or 0) * 60 + Decimal(f"{second or 0}.{fraction or 0}")
    return seconds, sum(part is not None for part in (hour, minute, second))


def compared(one: str, other: str) -> int | None:
    """-1, 0 or 1; None where the parts that both have do not decide."""
    left, right = span(one), span(other)
    if left is None or right is None:
        return None
    if left[2] == right[2] == 6:
        return (left[0] > right[0]) - (left[0] < right[0])
    if left[1] < right[0]:
        return -1
    if left[0] > right[1]:
        return 1
    return 0 if left == right else None


def compared_times(one: str, other: str) -> int | None:
    """The same for times of day."""
    left, right = clock(one), clock(other)
    if left is None or right is None:
        return None
    shared = min(left[1], right[1])
    unit = (0, 3600, 60)[shared] if shared < 3 else 0
    first, second = (left[0], right[0]) if not unit else (left[0] // unit, right[0] // unit)
    if first != second:
        return 1 if first > second else -1
    return 0 if left[1] == right[1] else None


def shifted(value: str, amount: Amount, sign: int) -> str | None:
    """A date or dateTime some time later, in its own precision and zone; None past the years 1 to 9999."""
    match = DATETIME.fullmatch(value)
    if match is None:
        raise Misuse("This is not a date.")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    parts = sum(part is not None for part in (year, month, day, hour, minute, second))
    unit, count = _calendar(amount)
    count *= sign
    try:
        if unit in ("year", "month") or parts < 3:
            months = _months(unit, count, parts)
            found = _by_months(int(year), int(month or 1), int(day or 1), months)
            seconds = _clock_of(hour, minute, second, fraction)
        else:
            total = _clock_of(hour, minute, second, fraction) + _seconds(unit, count, parts)
            days, seconds = divmod(total, 86400)
            if seconds < 0:
                days, seconds = days - 1, seconds + 86400
            moved = date.fromordinal(date(int(year), int(month), int(day)).toordinal() + int(days))
            found = (moved.year, moved.month, moved.day)
    except (ValueError, OverflowError):
        return None
    return _written(found, parts, seconds, len(fraction or ""), zone)


def _written(day: tuple[int, int, int], parts: int, seconds: Decimal, digits: int, zone: str | None) -> str:
    text = "-".join((f"{day[0]:04}", f"{day[1]:02}", f"{day[2]:02}")[: min(parts, 3)])
    return text if parts < 4 else f"{text}T{clock_text(seconds, parts - 3, digits)}{zone or ''}"


def clock_text(seconds: Decimal, parts: int, digits: int) -> str:
    """A time of day in as many parts."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    whole = int(rest)
    fraction = ""
    if rest != whole or digits:
        digits = max(digits, 3)
        fraction = "." + f"{rest - whole:.{digits}f}"[2:]
    return ":".join((f"{int(hours):02}", f"{int(minutes):02}", f"{whole:02}{fraction}")[:parts])


def shifted_time(value: str, amount: Amount, sign: int) -> str:
    """A time of day some time later; the clock goes round."""
    found = clock(value)
    if found is None:
        raise Misuse("This is not a time.")
    unit, count = _calendar(amount)
    if unit not in ("hour", "minute", "second", "millisecond"):
        raise Misuse(f"A time cannot be moved by a {unit}.")
    seconds = (found[0] + _seconds(unit, count * sign, found[1] + 3)) % 86400
    if seconds < 0:
        seconds += 86400
    return clock_text(seconds, found[1], len(value.partition(".")[2]))


def _clock_of(hour: str | None, minute: str | None, second: str | None, fraction: str | None) -> Decimal:
    return int(hour or 0) * 3600 + int(minute or 0) * 60 + Decimal(f"{second or 0}.{fraction or 0}")


def _calendar(amount: Amount) -> tuple[str, Decimal]:
    """The calendar's word and how many of it. A year and a month of UCUM are not the calendar's."""
    if amount.calendar:
        return amount.unit, amount.value
    word = CALENDAR_CODES.get(amount.unit)
    if word is None or word in ("year", "month"):
        raise Misuse(
            f"A date cannot be moved by '{amount.unit[:64]}'; write year, month, week, day, hour, minute or second."
        )
    return word, amount.value


def _months(unit: str, count: Decimal, parts: int) -> int:
    """Whole months of the span, in what the date can take: years only, if it has nothing else."""
    if unit in ("year", "month"):
        months = int(count) * (12 if unit == "year" else 1)
    else:
        days = int(count * SECONDS_OF[unit] / 86400)
        months = int(Decimal(days) / 365) * 12 if parts == 1 else int(Decimal(days) / 30)
    return int(Decimal(months) / 12) * 12 if parts == 1 else months


def _by_months(year: int, month: int, day: int, months: int) -> tuple[int, int, int]:
    total = year * 12 + month - 1 + months
    year, month = divmod(total, 12)
    if not 1 <= year <= 9999:
        raise ValueError
    return year, month + 1, min(day, days_in_month(year, month + 1))


def _seconds(unit: str, count: Decimal, parts: int) -> Decimal:
    """The span in seconds, cut to whole units of the last part that is written."""
    if unit not in ("second", "millisecond"):
        count = Decimal(int(count))
    seconds = count * SECONDS_OF[unit]
    if parts < 6:
        last = {3: 86400, 4: 3600, 5: 60}[parts]
        seconds = Decimal(int(seconds / last) * last)
    return seconds
