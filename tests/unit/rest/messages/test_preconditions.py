"""https://hl7.org/fhir/R4/http.html#concurrency"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.outcome import BadRequest
from fhirserver.model.resource import Version
from fhirserver.rest.messages.preconditions import entity_tags, http_date, if_none_match_any, is_not_modified

WRITTEN = datetime(2026, 3, 1, 12, 0, 5, 700_000, tzinfo=UTC)
VERSION = Version("Patient", "p", 3, WRITTEN, b"{}")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b'W/"3"', ("3",)),
        (b'"3"', ("3",)),
        (b'W/"1", "2" ,W/"3"', ("1", "2", "3")),
        (b"*", ("*",)),
        (b' W/"3" ', ("3",)),
        (b'W/""', ("",)),
    ],
)
def test_entity_tags_weak_strong_and_in_lists(header: bytes, expected: tuple[str, ...]) -> None:
    assert entity_tags(header) == expected


@pytest.mark.parametrize("header", [b"3", b"", b'W/"3', b'w/"3"', b'W/"3" "4"', b'"a\xff"', b'"a b"', b'"*", *'])
def test_what_is_no_entity_tag_is_refused(header: bytes) -> None:
    with pytest.raises(BadRequest):
        entity_tags(header)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({b"if-none-match": b'W/"3"'}, True),
        ({b"if-none-match": b'"3"'}, True),
        ({b"if-none-match": b'W/"2"'}, False),
        ({b"if-none-match": b'W/"2", W/"3"'}, True),
        ({b"if-none-match": b"*"}, True),
        ({b"if-none-match": b"3"}, True),  # as one client sends it
        ({b"if-none-match": b"2"}, False),
        ({b"if-modified-since": b"Sun, 01 Mar 2026 12:00:05 GMT"}, True),
        ({b"if-modified-since": b"Sun, 01 Mar 2026 12:00:04 GMT"}, False),
        ({b"if-modified-since": b"Sun, 01 Mar 2027 12:00:04 GMT"}, True),
        ({b"if-modified-since": b"yesterday"}, False),
        ({b"if-none-match": b'W/"2"', b"if-modified-since": b"Sun, 01 Mar 2027 12:00:04 GMT"}, False),
        ({b"if-none-match": b'W/"3"', b"if-modified-since": b"Sun, 01 Mar 2020 12:00:04 GMT"}, True),
    ],
)
def test_a_caller_who_has_the_version_is_told_so(headers: dict[bytes, bytes], expected: bool) -> None:
    assert is_not_modified(headers, VERSION) is expected


@pytest.mark.parametrize(("headers", "expected"), [({}, False), ({b"if-none-match": b"*"}, True)])
def test_if_none_match_on_a_write_is_any(headers: dict[bytes, bytes], expected: bool) -> None:
    assert if_none_match_any(headers) is expected


def test_another_if_none_match_on_a_write_is_refused() -> None:
    with pytest.raises(BadRequest):
        if_none_match_any({b"if-none-match": b'W/"1"'})


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9990, 1, 1)), st.integers(-840, 840))
def test_http_dates_are_those_of_the_standard_library(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert http_date(aware).decode() == format_datetime(aware.astimezone(UTC), usegmt=True)
