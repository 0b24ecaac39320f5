"""https://hl7.org/fhir/R4/bundle.html#searchset: what could not be done in full is said in an outcome entry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fhirserver.interactions.reading.search import Found
from fhirserver.model.outcome import Issue, TooCostly
from fhirserver.model.resource import Version
from fhirserver.rest.representation.searchset import searchset_bundle
from fhirserver.search.expression import All
from fhirserver.search.request import SearchRequest
from fhirserver.store import Page

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SERVICES: Any = SimpleNamespace(base_url="http://x/fhir")
MATCH = Version("Patient", "a", 1, NOW, b'{"resourceType":"Patient","id":"a"}')


def bundle(request: SearchRequest, found: Found) -> dict[str, Any]:
    """The Bundle of this page."""
    made: dict[str, Any] = json.loads(searchset_bundle(SERVICES, "Patient", request, found, None))
    return made


@pytest.mark.parametrize(
    ("request_", "found", "codes"),
    [
        (SearchRequest("Patient", All()), Found(Page([MATCH], [], None, None), None, None, NOW), []),
        (
            SearchRequest("Patient", All()),
            Found(Page([MATCH], [], None, None, truncated_includes=True), None, None, NOW),
            ["too-costly"],
        ),
        (
            SearchRequest("Patient", All()),
            Found(Page([MATCH], [], None, None), None, None, NOW, "narrowed"),
            ["incomplete"],
        ),
        (
            SearchRequest("Patient", All(), ignored=(Issue("warning", "not-supported", "x"),)),
            Found(Page([], [], None, None), None, None, NOW),
            ["not-supported"],
        ),
    ],
)
def test_what_is_not_whole_is_said(request_: SearchRequest, found: Found, codes: list[str]) -> None:
    entries = bundle(request_, found)["entry"]
    said = [entry["resource"]["issue"] for entry in entries if entry["search"]["mode"] == "outcome"]
    assert [issue["code"] for issues in said for issue in issues] == codes


def test_a_page_lies_behind_the_moment_it_was_asked_for_by_the_bound_on_a_commit() -> None:
    made = bundle(SearchRequest("Patient", All()), Found(Page([], [], 0, None), None, None, NOW))
    assert made["meta"]["lastUpdated"] == "2026-01-01T11:59:55.000Z"
    assert made["total"] == 0


def test_a_link_past_the_bound_is_refused() -> None:
    request = SearchRequest("Patient", All(), used=(("name", "a" * 8000),))
    assert bundle(request, Found(Page([MATCH], [], None, None), None, None, NOW))["link"]
    with pytest.raises(TooCostly):
        bundle(request, Found(Page([MATCH], [], None, None), "following", None, NOW))
