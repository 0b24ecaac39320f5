"""The judgement of texts: what is known of elements that came before changes nothing of what is written."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.bench import data
from fhirserver.definitions import load
from fhirserver.interactions.load.judge import Judge, Judged, Portion
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.parameters import Derivation
from fhirserver.model.elements import Elements
from fhirserver.model.json import dump
from fhirserver.validation import Validator
from tests.data.examples import example_resources

BASE = "http://example.org/fhir"


def judged(resources: list[dict[str, Any]], together: int = 10_000) -> Judged:
    """Their judgement, so many of them in one portion."""
    definitions = load()
    judge = Judge(definitions, BASE, Validator(definitions), Derivation(definitions, BASE), native_copy=True)
    texts = [Text(number, 0, dump(resource)) for number, resource in enumerate(resources, start=1)]
    whole = Judged([], [], [])
    for first in range(0, len(texts), together):
        found = judge.judge(Portion("ab" * 32, "run", texts[first : first + together]))
        whole.parts.extend(found.parts)
        whole.outcomes.extend(found.outcomes)
        whole.asking.extend(first + place for place in found.asking)
    return whole


def test_elements_that_are_known_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    tagged = {"versionId": "3", "lastUpdated": "2020-01-01T00:00:00Z", "tag": [{"system": "urn:x", "code": "t"}]}
    examples = [resource for _, resource in example_resources()][::16]
    results = [data.observation(number % 7, number // 7) for number in range(90)]
    patients = [{**data.patient(number), "meta": tagged} for number in range(9)]
    resources = [*examples, *reversed(examples), *results, *patients]
    known = judged(resources)
    monkeypatch.setattr(Elements, "read", lambda self, text: None)
    plain = judged(resources)
    assert known.parts == plain.parts
    assert list(map(str, known.outcomes)) == list(map(str, plain.outcomes))
    assert len(known.parts) > 150


def test_what_is_judged_together_is_judged_as_alone() -> None:
    """More than take a step together, with resources that are refused at different steps among them."""
    broken = {"resourceType": "Patient", "gender": "f"}
    large = {"resourceType": "Basic", "code": {"text": "x"}, "text": {"status": "generated", "div": "<div>long</div>"}}
    unknown = {"resourceType": "Nonsense"}
    whole = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [put(data.patient(1)), put(broken | {"id": "b"})],
    }
    batch = {**whole, "type": "batch"}
    deletion = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "DELETE", "url": "Patient/a"}}],
    }
    resources = [
        each
        for number in range(60)
        for each in (
            data.observation(number, 1),
            (broken, large, unknown, whole, batch, deletion)[number % 6],
            data.patient(number),
        )
    ]
    found, alone = judged(resources), judged(resources, together=1)
    assert found.parts == alone.parts
    assert list(map(str, found.outcomes)) == list(map(str, alone.outcomes))
    assert found.asking == alone.asking == [3 * number + 1 for number in range(5, 60, 6)]
    assert [part.number for part in found.parts[:11]] == [1, 3, 4, 6, 7, 9, 10, 12, 13, 14, 15]


def test_each_write_goes_with_its_entry() -> None:
    patients = [data.patient(number) for number in range(3)]
    found = judged([{"resourceType": "Bundle", "type": "transaction", "entry": list(map(put, patients))}])
    (part,) = found.parts
    assert part.entries == (0, 1, 2)
    assert [id for _, id in (each.key for each in part.writes)] == [each["id"] for each in patients]


def put(resource: dict[str, Any]) -> dict[str, Any]:
    """An entry that puts the resource."""
    return {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
