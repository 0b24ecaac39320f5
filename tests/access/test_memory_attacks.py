"""What a client writes is remembered in a process only as far as its bounds go: in bytes, not only in how many things.

A laboratory that may write could otherwise fill the memory of a server that serves others: with resources whose elements come in
another order each time, or with one long text after the other. Memory is measured, not counted.

https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fhirserver.access.security.compartments import security_facts
from fhirserver.fhirpath import Engine
from fhirserver.fhirpath.values.dates import span
from fhirserver.fhirpath.values.units import unit
from fhirserver.rest.representation.negotiate import media_ranges, negotiate, preferences
from fhirserver.search.index import extract as module
from fhirserver.search.index.extract import Extractor
from fhirserver.terminology.catalogue import Parsed
from fhirserver.terminology.code_system import CodeSystem
from fhirserver.validation import Validator
from fhirserver.validation.conformance import session
from tests.fakes.extraction import BASE, DEFINITIONS

Resource = dict[str, Any]
LENGTH = 30_000
TIMES = 6


@contextmanager
def kept() -> Iterator[Callable[[], int]]:
    """How many bytes are kept since, of what was done before it is asked."""
    gc.collect()
    tracemalloc.start()
    try:

        def bytes_kept() -> int:
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        yield bytes_kept
    finally:
        tracemalloc.stop()


def in_another_order(resource: Resource, chance: random.Random) -> Resource:
    names = [name for name in resource if name != "resourceType"]
    chance.shuffle(names)
    return {"resourceType": resource["resourceType"]} | {name: resource[name] for name in names}


def large(resource_type: str) -> Resource:
    """A resource of many elements."""
    coded = {"coding": [{"system": "urn:x", "code": "1"}]}
    several = ("identifier", "category", "note", "interpretation") if resource_type == "Observation" else ("name",)
    named = {"bodySite": coded, "method": coded, "code": coded} if several[1:] else {"gender": "male", "active": True}
    of_all: Resource = {"resourceType": resource_type, "id": "a", "status": "final", "language": "de", **named}
    return of_all | {"meta": {"tag": [{"code": "x"}]}} | {each: [{"text": "x"}] for each in several}


def test_elements_in_ever_other_orders_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORDERS", 300_000)
    chance, extractor = random.Random(1), Extractor(DEFINITIONS, BASE)
    for resource_type in ("Observation", "Patient"):
        extractor.extract(resource_type, large(resource_type))
    with kept() as bytes_kept:
        most = 0
        for _ in range(15):
            for _ in range(20):
                for resource_type in ("Observation", "Patient"):
                    extractor.extract(resource_type, in_another_order(large(resource_type), chance))
            most = max(most, bytes_kept())
        assert most < 450_000


def test_an_order_weighs_what_is_counted_for_it() -> None:
    chance, extractor, observation = random.Random(2), Extractor(DEFINITIONS, BASE), large("Observation")
    extractor.extract("Observation", observation)
    weight = extractor._extractions["Observation"].weight(tuple(observation))
    with kept() as bytes_kept:
        for _ in range(100):
            extractor.extract("Observation", in_another_order(observation, chance))
        assert bytes_kept() < 150 * weight


def long_texts(number: int) -> dict[str, Resource]:
    """Resources with a long text in one place, another one for each number."""
    long = f"{number:06}" + "x" * LENGTH
    second = f"2020-01-01T00:00:00.{number:06}" + "1" * LENGTH + "Z"
    measured = {"value": 1, "unit": long}

    def observation(**elements: Any) -> Resource:
        return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}

    def coded(**elements: Any) -> Resource:
        return observation(code={"coding": [{"system": "urn:x", "code": "1", **elements}]})

    def patient(**elements: Any) -> Resource:
        return {"resourceType": "Patient", **elements}

    return {
        "a date": observation(effectiveDateTime=second),
        "a period": observation(effectivePeriod={"start": second}),
        "an instant": observation(issued=second),
        "a unit": observation(valueQuantity=measured),
        "a unit of UCUM": observation(
            valueQuantity={"value": 1, "system": "http://unitsofmeasure.org", "code": f"{number}.{'m.' * LENGTH}m"}
        ),
        "a sample": observation(
            valueSampledData={"origin": measured, "period": 1, "dimensions": 1, "data": "1 E " + long}
        ),
        "money": {"resourceType": "Invoice", "status": "draft", "totalNet": {"value": 1, "currency": long}},
        "a text": observation(code={"text": long}),
        "a display": coded(display=long),
        "a code": coded(code=long),
        "a system": coded(system="urn:" + long),
        "a value": observation(valueString=long),
        "a note": observation(note=[{"text": long}]),
        "a reference": observation(subject={"reference": f"http://example.org/{long}"}),
        "an identifier": patient(identifier=[{"system": "urn:x", "value": long}]),
        "a type": patient(identifier=[{"type": {"coding": [{"system": "urn:x", "code": long}]}, "value": "1"}]),
        "a name": patient(name=[{"family": long}]),
        "a city": patient(address=[{"city": long}]),
        "a number": patient(telecom=[{"system": "phone", "value": long}]),
        "a profile": patient(meta={"profile": [f"urn:{long}"]}),
        "an address": {"resourceType": "ValueSet", "status": "active", "url": f"urn:{long}"},
        "an extension": patient(extension=[{"url": f"urn:{long}", "valueString": "x"}]),
    }


@pytest.mark.parametrize("place", long_texts(0))
def test_long_texts_are_not_remembered(place: str) -> None:
    extractor, facts, validator = EXTRACTOR, FACTS, VALIDATOR

    def read(number: int) -> None:
        resource = long_texts(number)[place]
        extractor.extract(resource["resourceType"], resource)
        facts(resource["resourceType"], resource)
        validator.validate(resource)

    read(0)
    with kept() as bytes_kept:
        for number in range(1, TIMES):
            read(number)
        assert bytes_kept() < 3 * LENGTH  # the last one may still be at hand


EXTRACTOR, FACTS, VALIDATOR = Extractor(DEFINITIONS, BASE), security_facts(BASE), Validator(DEFINITIONS)

WITHOUT_A_TOKEN: dict[str, Callable[[str], object]] = {
    "Accept": lambda text: negotiate(f"application/fhir+json, x/{text}", None),
    "members of Accept": lambda text: media_ranges(f"x/{text}"),
    "Prefer": preferences,
    "a unit of FHIRPath": unit,
    "a date of FHIRPath": lambda text: span(f"2020-01-01T00:00:00.{'1' * LENGTH}{text[:6]}Z"),
}


@pytest.mark.parametrize("place", WITHOUT_A_TOKEN)
def test_long_words_of_a_request_are_not_remembered(place: str) -> None:
    with kept() as bytes_kept:
        for number in range(TIMES):
            WITHOUT_A_TOKEN[place](f"{number:06}" + "x" * LENGTH)
        assert bytes_kept() < 3 * LENGTH  # the last one may still be at hand


def test_code_systems_of_few_concepts_and_much_text_are_not_all_kept() -> None:
    parsed = Parsed(most=50)

    def system(number: int) -> CodeSystem:
        concept = {"code": "a", "definition": f"{number:06}" + "x" * LENGTH}
        return CodeSystem({"resourceType": "CodeSystem", "url": "urn:s", "content": "complete", "concept": [concept]})

    with kept() as bytes_kept:
        for number in range(4 * TIMES):
            parsed.system(number, lambda number=number: system(number))  # type: ignore[misc]
        assert bytes_kept() < 3 * LENGTH


def test_long_invariants_of_profiles_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CHARACTERS", 3_000)
    compiled = session.Compiled(Engine(DEFINITIONS))
    for number in range(20):
        compiled.rule("x", f"code.text != '{number}{'x' * 1_000}'", "Observation")
    assert len(compiled._made) == 2
    assert compiled._characters <= 3_000
