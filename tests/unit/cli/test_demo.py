"""The demonstration's dates, and the lines that it prints."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.cli.demo import Cast, Shown, Who, bundles, how_to_try, moved

ANCHOR = date(2026, 1, 12)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-01-12", "2026-01-26"),
        ("2026-01-12T09:30:00+03:00", "2026-01-26T09:30:00+03:00"),
        ("2026-01-31T23:59:59.999Z", "2026-02-14T23:59:59.999Z"),
        ("2025-11-14", "2025-11-28"),
        ("2025-11-13", "2025-11-13"),  # 60 days before the anchor: history
        ("1984-05-06", "1984-05-06"),
        ("2026-01", "2026-01"),  # no day to move
        ("2026", "2026"),
        ("on 2026-01-12", "on 2026-01-12"),
        ("2026-01-12T09:30", "2026-01-12T09:30"),  # not a dateTime of FHIR
        (12, 12),
        (None, None),
    ],
)
def test_what_lies_near_the_anchor_moves_by_whole_weeks(before: Any, after: Any) -> None:
    assert moved({"a": [before]}, ANCHOR, 2) == {"a": [after]}


@given(st.dates(ANCHOR - timedelta(59), ANCHOR + timedelta(400)), st.integers(-100, 500))
def test_a_moved_day_keeps_its_day_of_the_week(day: date, weeks: int) -> None:
    there = date.fromisoformat(moved(day.isoformat(), ANCHOR, weeks))
    assert there.weekday() == day.weekday()
    assert (there - day).days == 7 * weeks


def test_every_bundle_of_the_seed_states_a_monday_as_its_anchor_and_puts_resources_under_their_ids() -> None:
    entries = 0
    for bundle in bundles():
        assert date.fromisoformat(bundle["timestamp"][:10]).weekday() == 0
        for entry in bundle["entry"]:
            resource = entry["resource"]
            assert entry["request"] == {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
            entries += 1
    assert entries > 100


def test_the_lines_name_the_cast_and_hold_each_token_once() -> None:
    cast = Cast("Patient/p", Who("Practitioner/a"), Who("Practitioner/b"), Who("Organization/l"), "Consent/c")
    tokens = {"PATIENT": "t1", "DOCTOR": "t2", "OTHER": "t3", "LABORATORY": "t4"}
    lines = how_to_try(Shown(cast, tokens), "http://127.0.0.1:8000/fhir")
    for name, token in tokens.items():
        assert lines.count(token) == 1
        assert f"{name}={token}" in lines
        assert f"${name}" in lines
    assert "FHIR=http://127.0.0.1:8000/fhir" in lines
    assert "Consent/c" in lines
