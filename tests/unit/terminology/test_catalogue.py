"""What is at hand: R4's own before what is stored, save where a version is named or R4 holds only an example."""

from __future__ import annotations

import pytest

from fhirserver.definitions import load_terminology
from fhirserver.model.outcome import Unprocessable
from fhirserver.terminology import Asked, Catalogue, CodeSystem, Held, Parsed, Wanted, whole
from tests.unit.terminology.shelf import code_system, worked

GENDER = "http://hl7.org/fhir/administrative-gender"
EXAMPLE = "http://terminology.hl7.org/CodeSystem/service-type"


def codes(url: str, version: str | None, *stored: object) -> list[str]:
    def work(catalogue: Catalogue) -> list[str]:
        system = catalogue.code_system(url, version)
        return [] if system is None else list(system.concepts)

    return worked(stored, work)  # type: ignore[arg-type]


def test_r4s_own_is_not_replaced_by_what_is_stored() -> None:
    forged = code_system(GENDER, [{"code": "forged"}])
    assert codes(GENDER, None, forged) == ["male", "female", "other", "unknown"]
    assert codes(GENDER, "4.0.1", forged) == ["male", "female", "other", "unknown"]


def test_another_version_of_it_is_what_is_stored() -> None:
    assert codes(GENDER, "9", code_system(GENDER, [{"code": "newer"}], version="9")) == ["newer"]
    assert codes(GENDER, "9") == []


def test_where_r4_holds_an_example_only_what_is_stored_counts() -> None:
    assert codes(EXAMPLE, None, code_system(EXAMPLE, [{"code": "ours"}])) == ["ours"]
    assert len(codes(EXAMPLE, None)) > 100
    with pytest.raises(Unprocessable, match="example"):
        worked([], lambda catalogue: whole(catalogue, EXAMPLE))


def test_a_code_system_is_read_once_for_each_version_of_its_resource() -> None:
    parsed, asked = Parsed(), Asked("CodeSystem", "urn:s")

    def of(key: object, code: str) -> CodeSystem | None:
        catalogue = Catalogue(load_terminology(), parsed)
        catalogue.add(asked, Held(key, code_system("urn:s", [{"code": code}])))
        return catalogue.code_system("urn:s")

    first, again, changed = of(("s", 1), "a"), of(("s", 1), "a"), of(("s", 2), "b")
    assert first is again
    assert changed is not None
    assert list(changed.concepts) == ["b"]


def test_what_is_kept_is_bounded() -> None:
    parsed = Parsed(most=3)
    made = [
        parsed.system(number, lambda: CodeSystem(code_system("urn:s", [{"code": "a"}, {"code": "b"}])))
        for number in (1, 2)
    ]
    assert parsed.system(2, lambda: pytest.fail("it was kept")) is made[1]
    assert parsed.system(1, lambda: CodeSystem(code_system("urn:s", []))) is not made[0]


def test_what_is_not_known_is_wanted_and_without_a_store_it_is_not_there() -> None:
    with pytest.raises(Wanted) as wanted:
        Catalogue(load_terminology()).resource(Asked("ValueSet", "urn:v", "1"))
    assert wanted.value.asked.canonical == "urn:v|1"
    assert Catalogue(load_terminology(), alone=True).resource(Asked("ValueSet", "urn:v")) is None


def test_a_code_system_that_the_request_carries_stands_before_any_other() -> None:
    catalogue = Catalogue(load_terminology())
    catalogue.give(CodeSystem(code_system(GENDER, [{"code": "carried"}])))
    system = catalogue.code_system(GENDER)
    assert system is not None
    assert list(system.concepts) == ["carried"]
