"""Resources that contain many others are read once through, however many references they have, and no thread waits for another's.

https://hl7.org/fhir/R4/references.html#contained
"""

from __future__ import annotations

import random
from threading import Thread
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.fhirpath import Environment
from fhirserver.validation import Validator
from fhirserver.validation.references import Container
from fhirserver.validation.rules import Rules

VALIDATOR = Validator(load())
RULES = Rules(load())
NOTE = "http://example.org/note"


def patient(contained: int, references: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "contained": [{"resourceType": "Patient", "id": f"c{number}"} for number in range(contained)],
        "link": [{"other": {"reference": f"#c{number}"}, "type": "seealso"} for number in range(references)],
    }


def test_what_is_contained_is_looked_up_in_one_table_for_all_references(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    of = Container.of
    monkeypatch.setattr(Container, "of", lambda resource: made.append(resource) or of(resource))
    assert not [issue for issue in VALIDATOR.validate(patient(200, 200)) if issue.severity == "error"]
    assert len(made) == 1
    wrong = {"resourceType": "Patient", "link": [{"other": {"reference": "#c0"}, "type": "seealso"}]}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": patient(1, 1)}, {"resource": wrong}],
    }
    assert any("not contained" in str(issue) for issue in VALIDATOR.validate(bundle))


def _texts(chance: random.Random) -> dict[str, Any]:
    """An element with references, texts and canonicals that name what is contained, itself, or nothing."""
    names = ("#", "#a", "#b", "#c", "a", "Patient/a")
    return chance.choice(
        [
            {"reference": chance.choice(names)},
            {"display": chance.choice(names)},
            {"extension": [{"url": NOTE, "valueUri": chance.choice(names)}]},
            {"extension": [{"url": NOTE, "valueCanonical": chance.choice(names)}]},
            {"extension": [{"url": NOTE, "valueString": chance.choice(names)}]},
        ]
    )


@pytest.mark.parametrize("seed", range(60))
def test_dom_3_is_what_its_expression_says(seed: int) -> None:
    chance = random.Random(seed)
    contained = [
        {"resourceType": "Patient", "id": id, "generalPractitioner": [_texts(chance)]}
        for id in chance.sample("abc", chance.randint(1, 3))
    ]
    resource = {"resourceType": "Patient", "contained": contained, "generalPractitioner": [_texts(chance)]}
    (rule,) = (each for each in RULES.of("Patient") if each.key == "dom-3")
    whole = RULES.engine.rule(rule.expression, "Patient")
    assert bool(rule.holds(resource, Environment(resource))) == bool(whole(resource, Environment(resource)))


def test_who_is_contained_and_not_referred_to_is_found_among_many() -> None:
    found = VALIDATOR.validate(patient(2_000, 1_999))
    assert [issue.severity for issue in found if str(issue.diagnostics).startswith("dom-3: Every")] == ["error"]


def test_no_thread_waits_for_what_another_one_reads() -> None:
    found = []
    other = Thread(target=lambda: found.append(VALIDATOR._acceptor()))
    other.start()
    other.join()
    assert found[0] is not VALIDATOR._acceptor()
