"""Terminology gives nothing away: a value set that the caller may not see does not exist for that caller, and opens no record.

A resource of a public type that refers to a Patient belongs to that patient. Its canonical is nobody's terminology.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.access.conftest import World

HIDDEN, ABSENT = "urn:t:hidden", "urn:t:absent"
LOINC = "http://loinc.org"
GENDER = "http://hl7.org/fhir/administrative-gender"


def of_boris(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, made a patient's by a reference to him in it."""
    about = {"url": "urn:t:about", "valueReference": {"reference": "Patient/boris"}}
    return {**resource, "extension": [about]}


def records() -> Iterator[dict[str, Any]]:
    """A value set, a code system and a map of Boris; a value set for everybody; and one for everybody that leads to his."""
    codes = [{"system": LOINC, "concept": [{"code": "718-7"}]}]
    yield of_boris({**value_set("hidden", codes), "url": HIDDEN})
    yield of_boris(
        {
            "resourceType": "CodeSystem",
            "id": "hidden",
            "url": "urn:t:hidden-codes",
            "status": "active",
            "content": "complete",
            "concept": [{"code": "secret", "display": "Secret"}],
        }
    )
    yield of_boris(
        {
            "resourceType": "ConceptMap",
            "id": "hidden",
            "url": "urn:t:hidden-map",
            "status": "active",
            "group": [
                {
                    "source": "urn:t:hidden-codes",
                    "target": "urn:t:x",
                    "element": [{"code": "secret", "target": [{"code": "told", "equivalence": "equal"}]}],
                }
            ],
        }
    )
    yield of_boris(
        {
            "resourceType": "StructureDefinition",
            "id": "hidden",
            "url": "urn:t:hidden-profile",
            "name": "Hidden",
            "status": "active",
            "kind": "resource",
            "abstract": False,
            "type": "Patient",
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
            "derivation": "constraint",
            "differential": {"element": [{"id": "Patient.gender", "path": "Patient.gender", "max": "0"}]},
        }
    )
    yield of_boris(
        {
            "resourceType": "CodeSystem",
            "id": "of-gender",
            "url": "urn:t:of-gender",
            "status": "active",
            "content": "supplement",
            "supplements": GENDER,
            "concept": [{"code": "male", "designation": [{"value": "told"}]}],
        }
    )
    yield value_set("open-set", codes)
    yield value_set("leads-to-hidden", [{"valueSet": [HIDDEN]}])
    yield value_set("leads-to-absent", [{"valueSet": [ABSENT]}])
    yield value_set("of-hidden-codes", [{"system": "urn:t:hidden-codes"}])
    yield value_set("of-absent-codes", [{"system": "urn:t:absent-codes"}])


def value_set(id: str, include: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "id": id,
        "url": f"urn:t:{id}",
        "status": "active",
        "compose": {"include": include},
    }


@pytest.fixture(scope="module")
async def terms(world: World) -> World:
    """The world, with these put in by the operator."""
    for each in records():
        await world.open.put(each)
    return world


PAIRS = [
    f"GET /ValueSet/$expand?url={HIDDEN}",
    f"GET /ValueSet/$validate-code?url={HIDDEN}&system={LOINC}&code=718-7",
    "GET /ValueSet/{id}/$expand",
    f"GET /ValueSet/{{id}}/$validate-code?system={LOINC}&code=718-7",
    "GET /ValueSet/$expand?url=ValueSet/{id}",
    "GET /ValueSet/$expand?url=urn:t:leads-to-hidden",
    "GET /ValueSet/$expand?url=urn:t:of-hidden-codes",
    "GET /CodeSystem/$lookup?system=urn:t:hidden-codes&code=secret",
    "GET /CodeSystem/$validate-code?url=urn:t:hidden-codes&code=secret",
    "GET /CodeSystem/{id}/$validate-code?code=secret",
    "GET /CodeSystem/$subsumes?system=urn:t:hidden-codes&codeA=secret&codeB=secret",
    "GET /CodeSystem/{id}/$subsumes?codeA=secret&codeB=secret",
    "GET /ConceptMap/$translate?url=urn:t:hidden-map&system=urn:t:hidden-codes&code=secret",
    "GET /ConceptMap/{id}/$translate?system=urn:t:hidden-codes&code=secret",
    "GET /ConceptMap/$translate?system=urn:t:hidden-codes&code=secret",
    "GET /Patient/anna/$validate?profile=urn:t:hidden-profile",
    "GET /Patient/anna/$validate?profile=StructureDefinition/{id}",
    "GET /ValueSet/$expand?context=urn:t:hidden-profile%23Patient.gender",
    f"GET /Observation?code:in={HIDDEN}",
    f"GET /Observation?code:not-in={HIDDEN}",
    "GET /Observation?code:in=ValueSet/{id}",
    "GET /Observation?code:in=urn:t:leads-to-hidden",
    "GET /Observation?code:below=urn:t:hidden-codes|secret",
    "GET /Observation?code:above=urn:t:hidden-codes|secret",
    f"GET /Patient?_has:Observation:subject:code:in={HIDDEN}",
    f"DELETE /Observation?code:in={HIDDEN}",
]


@pytest.fixture(scope="module")
def tokens(doctor: str, stranger: str, anna: str) -> dict[str, str]:
    return {"doctor": doctor, "stranger": stranger, "anna": anna}


@pytest.mark.parametrize("asked", PAIRS)
@pytest.mark.parametrize("who", ["doctor", "stranger", "anna"])
async def test_a_hidden_value_set_is_an_absent_one(terms: World, tokens: dict[str, str], asked: str, who: str) -> None:
    token = tokens[who]
    seen = []
    for hidden in ("hidden", "absent"):
        method, path = asked.replace("hidden", hidden).replace("{id}", hidden).split(" ", 1)
        answer = await terms.asks(token, method, path)
        seen.append((answer.status_code, answer.text.replace(hidden, "that")))
    assert seen[0] == seen[1]
    assert seen[0][0] < 500
    assert "told" not in seen[0][1]


async def test_the_operator_sees_all_of_it(terms: World) -> None:
    """The cases above would prove nothing if it were not there."""
    for path in (each.split(" ", 1)[1].replace("{id}", "hidden") for each in PAIRS if each.startswith("GET")):
        answer = await terms.open("GET", path)
        assert answer.status_code == 200, (path, answer.text)


async def test_a_hidden_supplement_adds_nothing(terms: World, tokens: dict[str, str]) -> None:
    asked = f"/CodeSystem/$lookup?system={GENDER}&code=male"
    assert "told" in (await terms.open("GET", asked)).text
    for token in tokens.values():
        answer = await terms.asks(token, "GET", asked)
        assert answer.status_code == 200
        assert "told" not in answer.text


async def test_a_closure_table_is_there_for_its_maker_alone(terms: World, doctor: str, stranger: str) -> None:
    name = {"name": "name", "valueString": "mine"}
    concept = {"name": "concept", "valueCoding": {"system": GENDER, "code": "male"}}
    begun, asked = ({"resourceType": "Parameters", "parameter": each} for each in ([name], [name, concept]))
    assert (await terms.asks(doctor, "POST", "/$closure", json=begun)).status_code == 200
    assert (await terms.asks(doctor, "POST", "/$closure", json=asked)).status_code == 200
    assert (await terms.asks(stranger, "POST", "/$closure", json=asked)).status_code == 404


async def test_a_value_set_opens_no_record(terms: World, doctor: str, stranger: str) -> None:
    """Boris has the same results, and permits nobody: `:in` and `:not-in` find only what the Consent of Anna permits."""
    for token, wanted in ((doctor, {"anna-0", "anna-1", "anna-2"}), (stranger, set[str]())):
        for query in ("code:in=urn:t:open-set", "code:not-in=http://hl7.org/fhir/ValueSet/administrative-gender"):
            answer = await terms.asks(token, "GET", f"/Observation?{query}&_id=anna-0,anna-1,anna-2,boris-0,boris-1")
            assert answer.status_code == 200, answer.text
            assert {each["resource"]["id"] for each in answer.json().get("entry", ())} == wanted
            assert "boris" not in str(answer.json().get("entry", ""))


async def test_totals_by_a_value_set_count_what_is_visible(terms: World, doctor: str, stranger: str) -> None:
    # Of these patients: others of the shared world permit the stranger, in other tests.
    path = "/Observation?code:in=urn:t:open-set&_id=anna-0,anna-1,anna-2,boris-0,boris-1&_summary=count&_total=accurate"
    assert (await terms.open("GET", path)).json()["total"] == 5
    assert (await terms.asks(doctor, "GET", path)).json()["total"] == 3
    assert (await terms.asks(stranger, "GET", path)).json()["total"] == 0


async def test_a_token_that_does_not_reach_terminology_finds_what_r4_holds_and_nothing_stored(terms: World) -> None:
    token = await terms.token("Practitioner/doctor", "user/Observation.rs", role="PractitionerRole/doctor")
    own = await terms.asks(
        token, "GET", "/Observation?status:in=http://hl7.org/fhir/ValueSet/observation-status&_id=anna-0"
    )
    assert len(own.json()["entry"]) == 1
    answers = [
        await terms.asks(token, "GET", f"/Observation?code:in=urn:t:{each}") for each in ("open-set", "absent-one")
    ]
    assert [each.status_code for each in answers] == [400, 400]
    assert answers[0].text.replace("open-set", "") == answers[1].text.replace("absent-one", "")


@pytest.mark.parametrize(
    "path",
    [
        "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
        "/ValueSet/open-set/$expand",
        f"/ValueSet/$validate-code?url=urn:t:open-set&system={LOINC}&code=1",
        "/CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male",
        "/CodeSystem/$subsumes?system=http://hl7.org/fhir/administrative-gender&codeA=male&codeB=male",
        "/CodeSystem/$validate-code?url=http://hl7.org/fhir/administrative-gender&code=male",
        "/ConceptMap/$translate?system=http://hl7.org/fhir/administrative-gender&code=male",
    ],
)
async def test_an_operation_needs_a_scope_that_reads_its_type(terms: World, doctor: str, path: str) -> None:
    """Without a token 401, with one of another type 403, and with one that reaches it an answer."""
    narrow = await terms.token("Practitioner/doctor", "user/Observation.rs", role="PractitionerRole/doctor")
    assert [(await terms.asks(token, "GET", path)).status_code for token in (None, narrow, doctor)] == [401, 403, 200]


async def test_what_somebody_writes_does_not_change_what_r4s_own_urls_mean(terms: World, doctor: str) -> None:
    """A stored resource under the URL of R4's own is not what anybody is answered by, and cannot turn a search round."""
    url = "http://hl7.org/fhir/ValueSet/observation-status"
    forged = {**value_set("forged", [{"system": "urn:t:x", "concept": [{"code": "x"}]}]), "url": url}
    await terms.open.put(forged)
    answer = await terms.asks(doctor, "GET", f"/Observation?status:in={url}&_id=anna-0")
    assert len(answer.json()["entry"]) == 1
    answer = await terms.asks(doctor, "GET", f"/ValueSet/$expand?url={url}")
    assert answer.json()["expansion"]["total"] == 8


async def test_a_value_set_hidden_from_now_on_counts_for_nobody_else_on_the_next_request(
    terms: World, doctor: str
) -> None:
    """Nothing that was read for one request answers another."""
    resource = value_set("turning", [{"system": LOINC, "concept": [{"code": "718-7"}]}])
    await terms.open.put(resource)
    path = "/Observation?code:in=urn:t:turning&_id=anna-0"
    assert (await terms.asks(doctor, "GET", path)).status_code == 200
    await terms.open.put(of_boris(resource))
    assert (await terms.asks(doctor, "GET", path)).status_code == 400
    assert (await terms.asks(doctor, "GET", "/ValueSet/turning/$expand")).status_code == 404
