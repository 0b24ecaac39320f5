"""Partial dates are intervals. https://hl7.org/fhir/R4/search.html#date"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.dates import BEGINNING, END, days_in_month, instant, interval, interval_in, moment

INTERVALS = [
    ("2012", "2012-01-01T00:00:00.000000", "2012-12-31T23:59:59.999999"),
    ("2011", "2011-01-01T00:00:00.000000", "2011-12-31T23:59:59.999999"),
    ("0001", "0001-01-01T00:00:00.000000", "0001-12-31T23:59:59.999999"),
    ("9999", "9999-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999"),
    ("2012-02", "2012-02-01T00:00:00.000000", "2012-02-29T23:59:59.999999"),
    ("1900-02", "1900-02-01T00:00:00.000000", "1900-02-28T23:59:59.999999"),
    ("2012-12-31", "2012-12-31T00:00:00.000000", "2012-12-31T23:59:59.999999"),
    ("2012-12-31T10:20", "2012-12-31T10:20:00.000000", "2012-12-31T10:20:59.999999"),
    ("2012-12-31T10:20Z", "2012-12-31T10:20:00.000000", "2012-12-31T10:20:59.999999"),
    ("2012-12-31T10:20:30", "2012-12-31T10:20:30.000000", "2012-12-31T10:20:30.999999"),
    ("2012-12-31T23:20:30-05:00", "2013-01-01T04:20:30.000000", "2013-01-01T04:20:30.999999"),
    ("2012-12-31T10:20:30.1+03:00", "2012-12-31T07:20:30.100000", "2012-12-31T07:20:30.199999"),
    ("2012-12-31T10:20:30.123Z", "2012-12-31T10:20:30.123000", "2012-12-31T10:20:30.123999"),
    ("2012-12-31T10:20:30.123456789Z", "2012-12-31T10:20:30.123456", "2012-12-31T10:20:30.123456"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000", "2017-01-01T00:00:00.999999"),
]  # fmt: skip

NOT_DATES = [
    "", "12", "20120", "2012-1", "2012-13", "2012-00", "2012-02-30", "2011-02-29", "2012-04-31", "2012-01-00", "0000",
    "2012-01T10:00:00Z", "2012-01-01T", "2012-01-01T10", "2012-01-01T24:00:00Z", "2012-01-01T10:60:00Z", "2012-01-01T10:00:61Z",
    "2012-01-01T10:00:00.Z", "2012-01-01T10:00:00+15:00", "2012-01-01T10:00:00+14:01", "2012-01-01T10:00:00+10:60",
    "2012-01-01T10:00:00z", "2012-01-01 10:00:00Z", "2012-01-01\n", " 2012", "٢٠١٢", "2012-01-01T10:00:00+3:00", "-2012", "2012Z",
]  # fmt: skip


def microseconds(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


@pytest.mark.parametrize(("value", "low", "high"), INTERVALS)
def test_a_date_is_the_interval_of_its_precision(value: str, low: str, high: str) -> None:
    assert interval(value) == (microseconds(low), microseconds(high))


@pytest.mark.parametrize("value", NOT_DATES)
def test_what_is_not_in_the_calendar_is_not_a_date(value: str) -> None:
    with pytest.raises(ValueError):
        interval(value)


def test_the_open_ends_lie_outside_every_date_and_fit_in_64_bits() -> None:
    assert -(2**63) < BEGINNING < interval("0001-01-01T00:00:00+14:00")[0]
    assert interval("9999-12-31T23:59:59-14:00")[1] < END < 2**63


def test_an_instant_is_written_in_utc_with_milliseconds() -> None:
    assert instant(datetime(2026, 1, 2, 3, 4, 5, 678_999, UTC)) == "2026-01-02T03:04:05.678Z"
    assert instant(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=3)))) == "2026-01-02T00:04:05.000Z"
    with pytest.raises(ValueError):
        instant(datetime(2026, 1, 2))
    with pytest.raises(ValueError):
        moment(END)


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_is_read_back_to_the_millisecond(when: datetime) -> None:
    assert moment(interval(instant(when))[0]) == when.replace(microsecond=when.microsecond // 1000 * 1000)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)), st.integers(-14 * 60, 14 * 60))
def test_intervals_agree_with_the_standard_library_in_every_zone(when: datetime, minutes: int) -> None:
    local = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = local.isoformat(timespec="microseconds")
    low, high = interval(text)
    assert low == high
    assert moment(low) == local


@given(st.dates())
def test_a_year_contains_its_months_and_a_month_its_days(day: object) -> None:
    text = str(day)
    year, month, date = interval(text[:4]), interval(text[:7]), interval(text)
    assert year[0] <= month[0] <= date[0] <= date[1] <= month[1] <= year[1]
    assert month[1] - month[0] + 1 == days_in_month(int(text[:4]), int(text[5:7])) * 86_400_000_000


class Summer(tzinfo):
    """An hour ahead of UTC; from midnight of 1 April to midnight of 1 October, as the clocks then show it, two."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        assert when is not None
        shown = when.replace(tzinfo=None, fold=0)
        begins, ends = datetime(2026, 4, 1), datetime(2026, 10, 1)
        if begins <= shown < begins + timedelta(hours=1):  # never shown
            return timedelta(hours=1 if when.fold == 0 else 2)
        if ends - timedelta(hours=1) <= shown < ends:  # shown twice
            return timedelta(hours=2 if when.fold == 0 else 1)
        return timedelta(hours=2 if begins < shown < ends else 1)

    def tzname(self, when: datetime | None) -> str:
        return "summer"

    def dst(self, when: datetime | None) -> None:
        return None


EAST, WEST = timezone(timedelta(hours=3)), timezone(timedelta(hours=-12))


@pytest.mark.parametrize(
    ("zone", "value", "low", "high"),
    [
        (EAST, "2026-06-01", "2026-05-31T21:00:00Z", "2026-06-01T20:59:59.999999Z"),
        (WEST, "2026-06", "2026-06-01T12:00:00Z", "2026-07-01T11:59:59.999999Z"),
        (EAST, "2026", "2025-12-31T21:00:00Z", "2026-12-31T20:59:59.999999Z"),
        (UTC, "2026-06-01", "2026-06-01T00:00:00Z", "2026-06-01T23:59:59.999999Z"),
        (EAST, "2026-06-01T10:00:00Z", "2026-06-01T10:00:00.000000Z", "2026-06-01T10:00:00.999999Z"),
        (EAST, "2026-06-01T10:00:00+14:00", "2026-05-31T20:00:00.000000Z", "2026-05-31T20:00:00.999999Z"),
        (Summer(), "2026-04-01", "2026-03-31T23:00:00Z", "2026-04-01T21:59:59.999999Z"),
        (Summer(), "2026-09-30", "2026-09-29T22:00:00Z", "2026-09-30T22:59:59.999999Z"),
        (Summer(), "2026", "2025-12-31T23:00:00Z", "2026-12-31T22:59:59.999999Z"),
    ],
)
def test_days_are_those_of_the_zone_that_is_meant(zone: tzinfo, value: str, low: str, high: str) -> None:
    assert interval_in(zone, value) == (interval(low)[0], interval(high)[1])


@pytest.mark.parametrize("zone", [EAST, WEST, Summer()])
@pytest.mark.parametrize("value", ["0001", "0001-01-01", "9999", "9999-12-31"])
def test_the_first_and_the_last_day_have_a_zone_as_well(zone: tzinfo, value: str) -> None:
    low, high = interval_in(zone, value)
    assert high - low == interval(value)[1] - interval(value)[0]
    with pytest.raises(ValueError):
        interval_in(zone, "some day")
