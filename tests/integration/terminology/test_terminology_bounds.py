"""Everything in terminology has a bound, and who reaches it is told what to ask instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhirserver.interactions.terminology import stored
from fhirserver.terminology import expansion
from tests.integration.serving import Server, serving_alone

REASONS = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PURPOSES = "http://terminology.hl7.org/ValueSet/v3-PurposeOfUse"


def named_alike(number: str) -> list[dict[str, Any]]:
    """A value set and a concept map, as others of the same name."""
    head = {"id": f"same-{number}", "url": "urn:same", "status": "active"}
    include = [{"system": "urn:x", "concept": [{"code": number}]}]
    element = {"code": "a", "target": [{"code": "b", "equivalence": "equal"}]}
    return [
        {"resourceType": "ValueSet", **head, "compose": {"include": include}},
        {"resourceType": "ConceptMap", **head, "group": [{"source": "urn:x", "target": "urn:y", "element": [element]}]},
    ]


@pytest.fixture(scope="module")
async def server(mongo_url: str) -> AsyncIterator[Server]:
    async with serving_alone(mongo_url) as running:
        for number in range(3):
            for each in named_alike(str(number)):
                await running.put(each)
        yield running


@pytest.mark.parametrize(
    ("module", "bound", "path", "sentence"),
    [
        (expansion, "MAX_CODES", f"/ValueSet/$expand?url={PURPOSES}", "add a filter, or offset and count"),
        (expansion, "MAX_FILTER", f"/ValueSet/$expand?url={PURPOSES}&filter=treat", "at most 3 characters"),
        (stored, "MAX_TOKENS", f"/Observation?code:in={PURPOSES}", "name fewer"),
        (stored, "MAX_TOKENS", f"/Observation?code:not-in={PURPOSES}", "name fewer"),
        (stored, "MAX_TOKENS", f"/Observation?code:below={REASONS}|PurposeOfUse", "name fewer"),
    ],
)
async def test_a_bound_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch, module: Any, bound: str, path: str, sentence: str
) -> None:
    monkeypatch.setattr(module, bound, 3)
    answer = await server("GET", path)
    assert answer.status_code == 400
    [issue] = answer.json()["issue"]
    assert issue["code"] == "too-costly"
    assert sentence in issue["diagnostics"]


async def test_a_page_is_within_the_bound(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "MAX_CODES", 3)
    answer = await server("GET", f"/ValueSet/$expand?url={PURPOSES}&count=3")
    assert len(answer.json()["expansion"]["contains"]) == 3


@pytest.mark.parametrize(
    ("bound", "path"),
    [
        ("MAX_SAME", "/ValueSet/$expand?url=urn:same"),
        ("MAX_SAME", "/Observation?code:in=urn:same"),
        ("MAX_MAPS", "/ConceptMap/$translate?system=urn:x&code=a"),
    ],
)
async def test_too_many_resources_of_one_name_are_not_chosen_from(
    server: Server, monkeypatch: pytest.MonkeyPatch, bound: str, path: str
) -> None:
    assert (await server("GET", path)).status_code == 200
    monkeypatch.setattr(stored, bound, 2)
    answer = await server("GET", path)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly")


async def test_of_equal_versions_the_last_one_written_counts(server: Server) -> None:
    answer = await server("GET", "/ValueSet/$expand?url=urn:same")
    assert [each["code"] for each in answer.json()["expansion"]["contains"]] == ["2"]
