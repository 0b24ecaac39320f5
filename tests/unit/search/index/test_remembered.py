"""What is remembered of elements changes nothing of what is stored: HL7's examples, mixtures of them, and cases made to mislead.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.json import dump, parse
from fhirserver.search.index import extract as module
from fhirserver.search.index.extract import Extractor
from fhirserver.search.index.extraction import TRIED
from fhirserver.search.parameters import words
from tests.data.examples import example_resources
from tests.fakes.extraction import BASE, DEFINITIONS, ELSEWHERE
from tests.fakes.extraction import extract as simply
from tests.fakes.threads import at_once

Resource = dict[str, Any]
EXTRACTOR = Extractor(DEFINITIONS, BASE)
"""One for all tests: what one of them leaves behind is what the next one must not see."""


def agree(extractor: Extractor, resource: Resource) -> None:
    index, sort = extractor.extract(resource["resourceType"], resource)
    assert ({code: each for code, each in index.items() if code not in ELSEWHERE}, sort) == simply(resource)


def known(extractor: Extractor, resource_type: str) -> dict[str, int]:
    """How many contents of each element are remembered."""
    found: defaultdict[str, int] = defaultdict(int)
    for (key, _), element in extractor._extractions[resource_type]._elements.items():
        found[key] += len(element.known)
    return found


def mixed(resources: list[Resource], dice: random.Random) -> Iterator[Resource]:
    """Resources of one type that have their elements from several."""
    contents: defaultdict[str, list[Any]] = defaultdict(list)
    for resource in resources:
        for key, value in resource.items():
            contents[key].append(value)
    for resource in resources:
        keys = dice.sample(sorted(contents), min(len(contents), len(resource) + 2))
        yield {"resourceType": resource["resourceType"]} | {
            key: dice.choice(contents[key]) for key in keys if key != "resourceType"
        }


def test_every_example_and_every_mixture_of_examples_is_read_as_simply() -> None:
    by_type: defaultdict[str, list[Resource]] = defaultdict(list)
    for _, resource in example_resources():
        by_type[resource["resourceType"]].append(resource)
    dice = random.Random(4)
    for resources in by_type.values():
        for resource in resources:
            agree(EXTRACTOR, resource)
            agree(EXTRACTOR, resource)
        for resource in mixed(resources[:100], dice):
            agree(EXTRACTOR, resource)
    assert known(EXTRACTOR, "Observation")["code"] > 10


CODINGS = st.fixed_dictionaries(
    {}, optional={"system": st.sampled_from(["http://loinc.org", "s"]), "code": st.sampled_from("aAb|"), "display": st.sampled_from(["A b", "ё"])}
)  # fmt: skip
CONCEPTS = st.fixed_dictionaries({}, optional={"coding": st.lists(CODINGS, max_size=2), "text": st.sampled_from("xy")})
REFERENCES = st.fixed_dictionaries(
    {"reference": st.sampled_from(["Patient/a", "Group/a", f"{BASE}/Patient/a", "#c", "#d", "urn:a"])},
    optional={"display": st.sampled_from("xy"), "identifier": st.fixed_dictionaries({"value": st.sampled_from("xy")})},
)
QUANTITIES = st.fixed_dictionaries(
    {"value": st.sampled_from([1, 10, 0.1]), "unit": st.just("mg")},
    optional={"system": st.just("http://unitsofmeasure.org"), "code": st.sampled_from(["mg", "g"])},
)
CONTAINED = st.sampled_from([{"resourceType": "Patient"}, {"resourceType": "Group"}, {"resourceType": "Device"}])
VALUES = st.one_of(
    st.fixed_dictionaries({"valueQuantity": QUANTITIES}),
    st.fixed_dictionaries({"valueCodeableConcept": CONCEPTS}),
    st.fixed_dictionaries({"valueString": st.sampled_from(["A b", "c"])}),
    st.just({}),
)
OBSERVATIONS = st.builds(
    lambda elements, value, contained: {
        "resourceType": "Observation",
        **elements,
        **value,
        "contained": [{**each, "id": id} for each, id in zip(contained, "cd", strict=False)],
    },
    st.fixed_dictionaries(
        {},
        optional={
            "code": CONCEPTS,
            "subject": REFERENCES,
            "performer": st.lists(REFERENCES, max_size=2),
            "category": st.lists(CONCEPTS, max_size=2),
            "status": st.sampled_from(["final", "amended", "x"]),
            "effectiveDateTime": st.sampled_from(["2020", "2020-01-01", "2020-01-01T10:00:00Z"]),
            "component": st.lists(st.builds(lambda code, value: {"code": code, **value}, CONCEPTS, VALUES), max_size=2),
            "note": st.lists(st.fixed_dictionaries({"text": st.sampled_from(["A b", "x"])}), max_size=2),
        },
    ),
    VALUES,
    st.lists(CONTAINED, max_size=2),
)


def test_what_threads_read_at_once_is_what_each_reads_alone() -> None:
    """Large resources are read on threads: what is worked out for a set of elements, one of them does while others ask for it."""
    whole = {
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "category": [{"coding": [{"code": "vital-signs"}]}],
        "identifier": [{"system": "urn:a", "value": "b"}],
        "subject": {"reference": "Patient/p"},
        "encounter": {"reference": "Encounter/e"},
        "performer": [{"reference": "Practitioner/d"}],
        "effectiveDateTime": "2026-01-01",
        "valueQuantity": {"value": 1, "unit": "mg"},
        "method": {"coding": [{"code": "m"}]},
        "device": {"reference": "Device/d"},
        "note": [{"text": "Words"}],
    }
    dice = random.Random(1)
    sets = [dice.sample(sorted(whole), dice.randint(1, len(whole))) for _ in range(150)]
    resources = [{"resourceType": "Observation"} | {key: whole[key] for key in keys} for keys in sets]
    own, shared = Extractor(DEFINITIONS, BASE), Extractor(DEFINITIONS, BASE)
    shared.prepare("Observation")

    def read(extractor: Extractor) -> list[Any]:
        return [extractor.extract("Observation", resource) for resource in resources]

    assert at_once(lambda: read(shared)) == [read(own)] * 4


@given(OBSERVATIONS)
def test_observations_of_few_contents_are_read_as_simply(resource: Resource) -> None:
    agree(EXTRACTOR, resource)


def test_a_reference_into_the_resource_means_what_is_contained_this_time() -> None:
    extractor = Extractor(DEFINITIONS, BASE)
    for contained in ("Patient", "Group", "Patient"):
        resource = {
            "resourceType": "Observation",
            "contained": [{"resourceType": contained, "id": "c"}],
            "subject": {"reference": "#c"},
        }
        assert ("patient" in extractor.extract("Observation", resource)[0]) == (contained == "Patient")


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, "1"), ({"value": 1.0}, {"value": "1.0"}), (True, "true"), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ("é", "\u00e9 ")],
    ids=["number", "in an object", "truth", "order", "space"],
)  # fmt: skip
def test_contents_that_differ_have_texts_that_differ(one: Any, other: Any) -> None:
    assert module.texts_of({"x": one}) != module.texts_of({"x": other})


def test_digits_of_a_decimal_are_part_of_the_content() -> None:
    one, other = (parse(text) for text in (b'{"x":{"v":1.0}}', b'{"x":{"v":1.00}}'))
    assert module.texts_of(one) != module.texts_of(other)
    assert module.texts_of(one)["x"] == dump(one["x"])


def numbered(number: int) -> Resource:
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "s", "value": str(number)}],
        "status": "final",
        "code": {"coding": [{"code": str(number % 9)}]},
    }


def test_what_does_not_come_again_is_not_remembered() -> None:
    extractor = Extractor(DEFINITIONS, BASE)
    for number in range(3 * TRIED):
        agree(extractor, numbered(number))
    assert known(extractor, "Observation") == {"status": 1, "code": 9}
    assert module.REMEMBERED - extractor._left < 10_000, "what was forgotten leaves its room"


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10_000)
    extractor = Extractor(DEFINITIONS, BASE)
    most = 0
    for number in range(200):
        agree(extractor, numbered(number))
        most = max(most, sum(known(extractor, "Observation").values()))
    assert most <= 20


def test_a_long_element_is_not_remembered() -> None:
    extractor = Extractor(DEFINITIONS, BASE)
    resource = numbered(1) | {"code": {"text": "x" * 2_000}}
    for _ in range(2):
        agree(extractor, resource)
    assert known(extractor, "Observation")["code"] == 0


def test_the_fields_of_one_resource_are_not_those_of_another() -> None:
    """Values are shared, and nobody changes them; the fields themselves are added to."""
    extractor = Extractor(DEFINITIONS, BASE)
    for _ in range(2):
        index, sort = extractor.extract("Observation", numbered(1))
        assert "more" not in {**index, **sort}
        index["more"] = sort["more"] = {}


ENDED = st.sampled_from(sorted(words._NO_ENDING))


@given(st.text("aeiousydtnlbz01", max_size=12) | st.text("аеиойьтнв1", max_size=12), ENDED)
def test_a_word_without_an_ending_is_its_own_stem(word: str, last: str) -> None:
    assert words._stem.__wrapped__(word + last) == word + last
