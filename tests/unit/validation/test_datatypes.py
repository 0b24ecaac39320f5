"""Every primitive type's format and range. https://hl7.org/fhir/R4/datatypes.html#primitive"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.dates import interval
from fhirserver.model.json import parse
from fhirserver.validation.datatypes import PRIMITIVES, STRING_LIMIT, is_json

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">%s</div>'
SPACE = ["", " ", "a b", " a", "a ", "a\tb", "a\n", "a\u0000", "a\u00a0b"]

RIGHT: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, -1, 2**31 - 1, -(2**31), parse(b"-0")],
    "unsignedInt": [0, 2**31 - 1],
    "positiveInt": [1, 2**31 - 1],
    "decimal": [0, -5, 10**30 - 1, *(parse(text) for text in (b"1.50", b"1e3", b"-0", b"1E-22", b"0.0"))],
    "string": ["a", " a ", "a\tb\r\nc", "\u00a0", "\u007f", "\U0001f600", "a" * STRING_LIMIT],
    "markdown": ["# a\n\n* b"],
    "code": ["a", "a b c", "a-b", "ж"],
    "id": ["a", "A-1.b", "a" * 64],
    "uri": ["http://example.org/a?b#c", "urn:oid:1.2", "a", "#a", "http://пример.рф/"],
    "url": ["mailto:a@example.org", "https://example.org/a%20b"],
    "canonical": ["http://example.org/a|1.0#b", "#a"],
    "oid": ["urn:oid:1.2.643", "urn:oid:2.0.10"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
    "base64Binary": ["YQ==", "YWI=", "YWJj", "YW Jj\r\nYQ==", "++//"],
    "date": ["2012", "2012-02", "2012-02-29", "2000-02-29", "0001-01-01", "9999-12-31", "2012-04-30", "2012-01-31"],
    "dateTime": ["2012", "2012-02", "2012-02-29", "2012-02-29T10:00:00Z", "2012-01-01T23:59:60.123456789+14:00", "2012-01-01T00:00:00-00:00"],
    "instant": ["2012-02-29T10:00:00Z", "2012-02-29T10:00:00.1-13:59"],
    "time": ["00:00:00", "23:59:59", "10:20:30.123"],
    "xhtml": [DIV % "a", DIV % "<p>&lt;&#160;<br/></p>", DIV % "", '<x:div xmlns:x="http://www.w3.org/1999/xhtml"/>', DIV % "a" * 1 + "\n"],
}  # fmt: skip

WRONG: dict[str, list[Any]] = {
    "integer": [2**31, -(2**31) - 1, parse(b"1.0"), parse(b"1e3"), parse(b"0.5"), 1.0],
    "unsignedInt": [-1, 2**31, parse(b"-0"), parse(b"1.0")],
    "positiveInt": [0, -1, 2**31],
    "decimal": [10**30, -(10**30), float("nan"), float("inf")],
    "string": ["", " ", "\r\n\t", "a\u0000", "a\u000b", "\u001f", "a" * (STRING_LIMIT + 1)],
    "markdown": ["", "\u0008"],
    "code": [*(text for text in SPACE if text != "a b"), "a  b"],
    "id": ["", "a_b", "a/b", "a" * 65, "a\n", "ж", "a b"],
    "uri": SPACE,
    "url": SPACE,
    "canonical": SPACE,
    "oid": ["", "1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.02", "urn:oid:1.2.", "urn:oid:1.2\n", "URN:OID:1.2"],
    "uuid": ["", "c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520", "urn:uuid:c757873d"],
    "base64Binary": ["", " ", "a", "YQ", "YQ=", "YQ===", "Y=Q=", "YQ==YQ==", "YQ-_", "====", "=", "YWJ\u0000"],
    "date": ["", "12", "0000", "2012-2", "2012-13", "2012-00", "2012-02-30", "2011-02-29", "1900-02-29", "2012-04-31",
             "2012-01-32", "2012-01-00", "2012-01-01T10:00:00Z", "2012-01-01\n", "٢٠١٢", "2012/01/01", "20120101"],
    "dateTime": ["", "2012-02-30T10:00:00Z", "2012-01-01T10:00:00", "2012-01-01T10:00Z", "2012-01-01T24:00:00Z", "2012-01-01T10:60:00Z",
                 "2012-01-01T10:00:61Z", "2012-01-01T10:00:00.Z", "2012-01-01T10:00:00+14:01", "2012-01-01T10:00:00+0300", "2012-01-01 10:00:00Z",
                 "2012-01-01T10:00:00z", "2012-01T10:00:00Z", "2012-01-01T10:00:00Z\n", "2012-01-01T10:00:00." + "1" * STRING_LIMIT + "Z"],
    "instant": ["", "2012", "2012-01-01", "2012-01-01T10:00:00", "2011-02-29T10:00:00Z"],
    "time": ["", "10:00", "24:00:00", "10:00:00Z", "1:00:00", "10:00:61", "10:00:00.", "10:00:00\n"],
    "xhtml": ["", "a", "<div>a</div>", DIV % "<p>", DIV % "&nbsp;", DIV % "a" + "b", DIV % "a" + DIV % "b", "<?xml version='1.0'?>" + DIV % "a",
              '<!DOCTYPE div [<!ENTITY a "b">]>' + DIV % "&a;", DIV % "<?a b?>", '<p xmlns="http://www.w3.org/1999/xhtml"/>', DIV % "\u0000",
              DIV % '<a href="a" href="b"/>', DIV % "<a:b/>"],
}  # fmt: skip


@pytest.mark.parametrize(("type", "value"), [(type, value) for type, values in RIGHT.items() for value in values])
def test_a_right_value_has_no_fault(type: str, value: Any) -> None:
    assert is_json(value, PRIMITIVES[type].json)
    assert PRIMITIVES[type].fault(value) is None


@pytest.mark.parametrize(("type", "value"), [(type, value) for type, values in WRONG.items() for value in values])
def test_a_wrong_value_has_a_fault_and_does_not_fit(type: str, value: Any) -> None:
    fault = PRIMITIVES[type].fault(value)
    assert fault is not None
    assert fault[1].endswith(".")
    assert not PRIMITIVES[type].fits(value)


def test_every_type_is_in_the_tables() -> None:
    assert set(RIGHT) == set(PRIMITIVES) - {"Element.id"}


@pytest.mark.parametrize("type", sorted(PRIMITIVES))
@given(text=st.text() | st.text(alphabet="0123456789-:TZ+.=aA \n", max_size=30))
def test_what_fits_has_no_fault(type: str, text: str) -> None:
    if PRIMITIVES[type].json == "string" and PRIMITIVES[type].fits(text):
        assert PRIMITIVES[type].fault(text) is None


@given(
    st.dates() | st.builds(lambda year, month: date(year, month, 28), st.integers(1, 9999), st.integers(1, 12)),
    st.integers(0, 4),
)
def test_the_calendar_is_python_s(day: date, further: int) -> None:
    written = f"{day.isoformat()[:8]}{day.day + further:02}"
    try:
        date.fromisoformat(written)
    except ValueError:
        assert PRIMITIVES["date"].fault(written) is not None
    else:
        assert PRIMITIVES["date"].fault(written) is None


@given(st.datetimes(), st.integers(-14 * 60 + 1, 14 * 60), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_every_instant_of_python_is_one_and_has_an_interval(when: datetime, minutes: int, precision: str) -> None:
    text = when.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat(timespec=precision)
    assert PRIMITIVES["instant"].fault(text) is None
    assert PRIMITIVES["dateTime"].fault(text) is None
    low, high = interval(text)
    assert low <= high


@given(
    st.from_regex(
        r"[0-9]{4}(-[0-3][0-9](-[0-3][0-9](T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-6][0-9]))?)?)?",
        fullmatch=True,
    )
)
def test_the_validator_s_dates_are_those_that_have_an_interval(text: str) -> None:
    try:
        interval(text)
    except ValueError:
        assert PRIMITIVES["dateTime"].fault(text) is not None
    else:
        assert PRIMITIVES["dateTime"].fault(text) is None
