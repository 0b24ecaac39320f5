"""The laboratory's path: transactions under its own numbers, sent twice, corrected, broken; and the interpretation it leaves out.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from fhirserver.bench import laboratory
from fhirserver.interactions.writing.interpretation import TAG
from tests.integration.rest.test_rest_gated import headers
from tests.integration.serving import Server

RESULTS = 5


class Laboratory:
    """One laboratory with its token, and a patient whose insurance number it knows."""

    def __init__(self, gated: Server, headers: dict[str, str], number: int) -> None:
        self.server, self.headers, self.number = gated, headers, number

    async def send(self, bundle: dict[str, Any], status: int = 200) -> dict[str, Any]:
        """The answer to a transaction."""
        answer = await self.server("POST", "", json=bundle, headers=self.headers)
        assert answer.status_code == status, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def stored(self, resource_type: str) -> list[dict[str, Any]]:
        """What is stored under its numbers."""
        query = f"/{resource_type}?identifier={laboratory.numbers(self.number)}|&_count=1000"
        found = (await self.server("GET", query, headers=self.headers)).json()
        return [entry["resource"] for entry in found.get("entry", ())]


def made_up() -> int:
    """A number that no other test has."""
    return uuid.uuid4().int % 90_000_000


@pytest.fixture
async def patient(server: Server) -> int:
    number = made_up()
    await server.put(laboratory.patient(number))
    return number


async def enrolled(gated: Server, *may: str) -> Laboratory:
    number = made_up()
    token = await headers(gated, user=f"Organization/laboratory-{number}", scope=laboratory.SCOPE, may=frozenset(may))
    return Laboratory(gated, token, number)


@pytest.fixture
async def lab(gated: Server) -> Laboratory:
    return await enrolled(gated)


def statuses(answer: dict[str, Any]) -> set[str]:
    return {entry["response"]["status"][:3] for entry in answer["entry"]}


def etags(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["response"]["location"], entry["response"]["etag"]) for entry in answer["entry"]]


async def test_an_order_is_stored_whole_under_the_patient_of_the_insurance_number(
    lab: Laboratory, server: Server, patient: int
) -> None:
    answer = await lab.send(laboratory.order(lab.number, 1, patient, RESULTS))
    assert statuses(answer) == {"201"}
    results = await lab.stored("Observation")
    [specimen], [report] = await lab.stored("Specimen"), await lab.stored("DiagnosticReport")
    assert len(results) == RESULTS
    assert {each["subject"]["reference"] for each in [*results, specimen, report]} == {
        f"Patient/{laboratory.patient(patient)['id']}"
    }
    assert {each["specimen"]["reference"] for each in results} == {f"Specimen/{specimen['id']}"}
    assert {each["reference"] for each in report["result"]} == {f"Observation/{each['id']}" for each in results}


async def test_an_order_that_is_sent_twice_changes_nothing(lab: Laboratory, patient: int) -> None:
    order = laboratory.order(lab.number, 1, patient, RESULTS)
    first = await lab.send(order)
    again = await lab.send(order)
    assert statuses(again) == {"200"}
    assert etags(again) == etags(first)
    assert len(await lab.stored("Observation")) == RESULTS


async def test_a_corrected_result_is_a_new_version(lab: Laboratory, patient: int) -> None:
    await lab.send(laboratory.order(lab.number, 1, patient, RESULTS))
    answer = await lab.send(laboratory.correction(lab.number, 1, 3, patient))
    [entry] = answer["entry"]
    assert entry["response"]["status"].startswith("200")
    corrected = [each for each in await lab.stored("Observation") if each["status"] == "corrected"]
    [result] = corrected
    assert (result["meta"]["versionId"], result["valueQuantity"]["value"]) == ("2", 99.5)
    before = await lab.server("GET", f"/Observation/{result['id']}/_history/1", headers=lab.headers)
    assert before.json()["status"] == "final"
    # The first message once more: the correction stands.
    await lab.send(laboratory.order(lab.number, 1, patient, RESULTS))
    assert [each for each in await lab.stored("Observation") if each["status"] == "corrected"] == corrected


async def test_a_broken_order_leaves_nothing(lab: Laboratory, patient: int) -> None:
    order = laboratory.order(lab.number, 1, patient, RESULTS)
    outcome = await lab.send(laboratory.broken(order, 2), status=422)
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[2].resource.status"]
    for resource_type in ("Specimen", "Observation", "DiagnosticReport"):
        assert await lab.stored(resource_type) == []
    assert statuses(await lab.send(order)) == {"201"}


async def test_an_unknown_insurance_number_refuses_the_order(lab: Laboratory) -> None:
    await lab.send(laboratory.order(lab.number, 1, made_up(), RESULTS), status=412)
    assert await lab.stored("Observation") == []


async def test_the_laboratory_cannot_read_the_patient_it_names(lab: Laboratory, patient: int) -> None:
    await lab.send(laboratory.order(lab.number, 1, patient, RESULTS))
    answer = await lab.server("GET", f"/Patient/{laboratory.patient(patient)['id']}", headers=lab.headers)
    assert answer.status_code == 403


async def test_a_registered_laboratory_gets_the_interpretation_it_left_out(gated: Server, patient: int) -> None:
    lab = await enrolled(gated, "derive-interpretation")
    await lab.send(laboratory.order(lab.number, 1, patient, RESULTS))
    results = await lab.stored("Observation")
    assert len(results) == RESULTS
    for each in results:
        low = each["referenceRange"][0]["low"]["value"]
        expected = "L" if each["valueQuantity"]["value"] < low else "N"
        assert each["interpretation"][0]["coding"][0]["code"] == expected
        assert each["meta"]["tag"] == [TAG]
    await lab.send(laboratory.correction(lab.number, 1, 3, patient))
    [corrected] = [each for each in await lab.stored("Observation") if each["status"] == "corrected"]
    assert corrected["interpretation"][0]["coding"][0]["code"] == "L"
    tagged = await gated("GET", f"/Observation?_tag={TAG['system']}|{TAG['code']}", headers=lab.headers)
    assert len(tagged.json()["entry"]) == RESULTS


@pytest.mark.parametrize("who", ["another laboratory", "open mode"])
async def test_nobody_else_gets_an_interpretation(lab: Laboratory, server: Server, patient: int, who: str) -> None:
    order = laboratory.order(lab.number, 1, patient, RESULTS)
    if who == "open mode":
        assert (await server("POST", "", json=order)).status_code == 200
        query = f"/Observation?identifier={laboratory.numbers(lab.number)}|"
        found = [entry["resource"] for entry in (await server("GET", query)).json()["entry"]]
    else:
        await lab.send(order)
        found = await lab.stored("Observation")
    assert len(found) == RESULTS
    assert not any("interpretation" in each or "tag" in each["meta"] for each in found)
