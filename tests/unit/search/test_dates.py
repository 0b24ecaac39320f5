"""What bounds a search of dates for an index loses nothing: against the page's own sentences, for dates of every precision.

https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.model.dates import interval
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds

EXTRACTOR = Extractor(load())
NOW = datetime(2026, 1, 1, tzinfo=UTC)

days = st.dates(date(2019, 12, 30), date(2021, 1, 2)).map(str)
times = st.sampled_from(["00:00:00", "23:59:59", "12:30:59", "12:30:59.5", "12:30:59.999", "00:00:00.123456"])
zones = st.sampled_from(["Z", "+05:30", "-11:00", "+14:00"])
dates = st.one_of(
    days, days.map(lambda day: day[:7]), days.map(lambda day: day[:4]), st.builds("{}T{}{}".format, days, times, zones)
)
prefixes = st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])


@given(prefixes, dates, dates)
@example("ge", "2020-02-29T12:30:59.5Z", "2020")
@example("gt", "2020-02-29", "2020")
def test_a_date_is_found_as_the_page_says(prefix: str, asked: str, written: str) -> None:
    (low, high), (first, last) = interval(asked), interval(written)
    is_within = low <= first and last <= high
    expected = {
        "eq": is_within,
        "ne": not is_within,
        "gt": last > high,
        "lt": first < low,
        "ge": last > high or is_within,
        "le": first < low or is_within,
        "sa": first > high,
        "eb": last < low,
    }[prefix]
    index, sort = EXTRACTOR.extract("MedicationRequest", {"resourceType": "MedicationRequest", "authoredOn": written})
    request = parse_search(
        load(),
        "MedicationRequest",
        [("authoredon", prefix + asked)],
        lenient=False,
        base_url="",
        now=NOW,
        bounds=Bounds(),
    )
    assert match(request.expression, {"index": index, "sort": sort}) is expected
