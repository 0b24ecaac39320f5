"""The judgement of texts: what is known of elements that came before changes nothing of what is written."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from fhirserver.bench import data
from fhirserver.definitions import load
from fhirserver.interactions.load.judge import Judge, Judged, Portion
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.parameters import Derivation
from fhirserver.model.elements import Elements
from fhirserver.model.json import dump
from fhirserver.store.bulk import packed
from fhirserver.validation import Validator
from tests.data.examples import example_resources

BASE = "http://example.org/fhir"


def judged(resources: list[dict[str, Any]]) -> list[Judged]:
    """Their judgement."""
    definitions = load()
    prepare = partial(packed, native_copy=True)
    judge = Judge(definitions, BASE, Validator(definitions), Derivation(definitions, BASE), prepare)
    texts = [Text(number, 0, dump(resource)) for number, resource in enumerate(resources, start=1)]
    return judge.judge(Portion("ab" * 32, "run", texts))


def test_elements_that_are_known_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    tagged = {"versionId": "3", "lastUpdated": "2020-01-01T00:00:00Z", "tag": [{"system": "urn:x", "code": "t"}]}
    examples = [resource for _, resource in example_resources()][::16]
    results = [data.observation(number % 7, number // 7) for number in range(90)]
    patients = [{**data.patient(number), "meta": tagged} for number in range(9)]
    resources = [*examples, *reversed(examples), *results, *patients]
    known = judged(resources)
    monkeypatch.setattr(Elements, "read", lambda self, text: None)
    for one, other in zip(known, judged(resources), strict=True):
        assert one.parts == other.parts
        assert list(map(str, one.outcomes)) == list(map(str, other.outcomes))
    assert sum(len(each.parts) for each in known) > 150
