"""`$validate` and `fhirserver validate` give the same answer, and neither changes anything.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fhirserver.cli import main
from fhirserver.model.json import dump
from fhirserver.validation.conformance import session
from tests.integration.serving import Server

RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient"},
    {"resourceType": "Patient", "gender": "x", "contact": [{"gender": "male"}], "birthDate": "1990-02-30"},
    {"resourceType": "Observation", "status": "final", "valueQuantity": {"value": 1}, "component": [{}]},
    {"resourceType": "Basic", "code": {"text": "a"}, "meta": {"profile": ["http://x.example/p"]}},
    {
        "resourceType": "Patient",
        "meta": {"profile": ["https://fhirserver.example/StructureDefinition/ru-patient"]},
        "birthDate": "2999-01-01",
    },
    {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Patient", "a": 1}}]},
    {"resourceType": "Organization", "contained": [{"resourceType": "Patient", "id": "p"}]},
]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource["resourceType"])
async def test_the_command_prints_what_the_operation_answers(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], resource: dict[str, Any]
) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(dump(resource))
    answer = await server("POST", f"/{resource['resourceType']}/$validate", json=resource)
    assert answer.status_code == 200
    issues = answer.json()["issue"]
    code = await asyncio.to_thread(main, ["validate", str(file)])
    assert code == int(any(each["severity"] == "error" for each in issues))
    places = [f" {each['expression'][0]}:" if "expression" in each else "" for each in issues]
    expected = [
        f"{file}: {each['severity']}:{place} {each['diagnostics']}" for each, place in zip(issues, places, strict=True)
    ]
    assert capsys.readouterr().out.splitlines() == expected


async def test_a_profile_of_our_own_is_known_without_being_stored_and_knows_the_time(server: Server) -> None:
    born = {"resourceType": "Patient", "birthDate": "2999-01-01"}
    query = "profile=https://fhirserver.example/StructureDefinition/ru-patient"
    found = (await server("POST", f"/Patient/$validate?{query}", json=born)).json()["issue"]
    said = [each["diagnostics"] for each in found if each.get("expression") == ["Patient.birthDate"]]
    assert len(said) == 1
    assert said[0].startswith("ru-pat-8: The date of birth does not lie in the future.")


async def test_many_rehearsals_beside_a_write_disturb_nobody(server: Server, new_id: str) -> None:
    """They take part in MongoDB's transactions, and are all withdrawn."""
    path = f"/Patient/{new_id}"
    patient = {"resourceType": "Patient", "id": new_id, "active": True}
    await server.put(patient)
    asked = [server("POST", f"{path}/$validate?mode=update", json=patient | {"active": False}) for _ in range(20)]
    written = [server("PUT", path, json=patient | {"birthDate": f"19{number}"}) for number in range(50, 60)]
    answers = await asyncio.gather(*asked, *written)
    assert {answer.status_code for answer in answers} == {200}
    assert all(each["severity"] != "error" for answer in answers[:20] for each in answer.json()["issue"])
    stored = (await server("GET", path)).json()
    assert (stored["active"], stored["meta"]["versionId"]) == (True, "11")


async def test_the_validations_of_a_batch_do_no_more_together_than_they_may(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out is said, entry by entry; the next request begins anew."""
    pressure = {
        "resourceType": "Observation",
        "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/bp"]},
        "status": "final",
        "code": {"text": "a"},
    }
    request = {"method": "POST", "url": "Observation/$validate"}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": pressure, "request": request}] * 6}
    monkeypatch.setattr(session, "TOGETHER", 1e-5)
    for _ in range(2):
        entries = (await server("POST", "", json=batch)).json()["entry"]
        statuses = [each["response"]["status"][:3] for each in entries]
        # Two are judged at a time.
        assert 1 <= statuses.count("200") <= 2
        refused = [
            each["response"]["outcome"]["issue"][0] for each in entries if each["response"]["status"][:3] == "400"
        ]
        assert len(refused) == 6 - statuses.count("200")
        assert {each["code"] for each in refused} == {"too-costly"}
        assert "fewer at a time" in refused[0]["diagnostics"]
