"""Which versions a history shows, what its cursor is bound to, and what a List may name.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fhirserver.interactions.reading import listed
from fhirserver.interactions.reading.history import HistoryRequest
from fhirserver.model.json import dump
from fhirserver.model.outcome import TooCostly
from fhirserver.model.resource import Version

BASE = "https://fhir.example.org/fhir"
ALL = HistoryRequest("Patient", "a", 10)


def moment(second: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


@pytest.mark.parametrize(
    ("at", "updated", "replaced", "is_shown"),
    [
        ((5, 5), 4, None, True),
        ((5, 5), 5, None, True),
        ((5, 5), 6, None, False),
        ((5, 5), 4, 6, True),
        ((5, 5), 4, 5, False),
        ((5, 9), 4, 6, True),
        ((5, 9), 9, 10, True),
        ((5, 9), 10, None, False),
        ((5, 9), 1, 4, False),
    ],
)
def test_what_was_current_at_some_moment(
    at: tuple[int, int], updated: int, replaced: int | None, is_shown: bool
) -> None:
    """From its own instant on, and no more at that of the version after it."""
    version = Version("Patient", "a", 1, moment(updated), b"{}")
    request = replace(ALL, at=(moment(at[0]), moment(at[1])))
    assert request.shows(version, None if replaced is None else moment(replaced)) is is_shown


@pytest.mark.parametrize(
    "change",
    [
        {"resource_type": "Basic"},
        {"id": "b"},
        {"count": 11},
        {"since": moment(1)},
        {"at": (moment(1), moment(2))},
        {"oldest_first": True},
        {"within": "list"},
    ],
)
def test_a_cursor_is_for_one_query(change: dict[str, Any]) -> None:
    assert replace(ALL, **change).query != ALL.query
    assert replace(ALL, **change, cursor="x").query == replace(ALL, **change).query


@pytest.mark.parametrize(("number", "is_taken"), [(3, True), (4, False)])
async def test_a_list_of_too_many_is_too_costly(monkeypatch: pytest.MonkeyPatch, number: int, is_taken: bool) -> None:
    content = {"entry": [{"item": {"reference": f"Patient/p{each}"}} for each in range(number)]}

    async def read(*_: Any) -> Version:
        return Version("List", "l", 1, moment(0), dump(content))

    monkeypatch.setattr(listed, "ITEMS", 3)
    monkeypatch.setattr(listed, "read", read)
    context: Any = SimpleNamespace(services=SimpleNamespace(base_url=BASE))
    if is_taken:
        assert await listed.listed(context, "l") == {("Patient", f"p{each}", None) for each in range(number)}
        return
    with pytest.raises(TooCostly):
        await listed.listed(context, "l")
