"""Transactions and the laboratory's path over HTTP: bounds, repetition, failures between commands, and what is left.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from tests.fakes.failures import Failures, inject
from tests.integration.serving import Server

SNILS, LAB = "urn:oid:1.2.643.100.3", "urn:example:lab"


def result(mark: str, number: int, **changes: Any) -> dict[str, Any]:
    """A result of the laboratory, under its own identifier."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "identifier": [{"system": LAB, "value": f"{mark}-{number}"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient?identifier={SNILS}|{mark}"},
        "specimen": {"reference": "urn:uuid:specimen"},
        **changes,
    }


def report(mark: str, results: int) -> dict[str, Any]:
    """A report with its specimen and its results: everything conditional on the laboratory's identifiers."""

    def entry(name: str, resource: dict[str, Any], value: str) -> dict[str, Any]:
        identified = {**resource, "identifier": [{"system": LAB, "value": value}]}
        request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": f"identifier={LAB}|{value}"}
        return {"fullUrl": f"urn:uuid:{name}", "resource": identified, "request": request}

    patient = {"reference": f"Patient?identifier={SNILS}|{mark}"}
    numbers = range(results)
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            entry("specimen", {"resourceType": "Specimen", "subject": patient}, f"{mark}-s"),
            entry(
                "report",
                {
                    "resourceType": "DiagnosticReport",
                    "status": "final",
                    "code": {"text": "blood"},
                    "subject": patient,
                    "result": [{"reference": f"urn:uuid:result-{number}"} for number in numbers],
                },
                f"{mark}-r",
            ),
            *(entry(f"result-{number}", result(mark, number), f"{mark}-{number}") for number in numbers),
        ],
    }


async def patient(server: Server, mark: str) -> None:
    """A patient with her insurance number."""
    await server.put({"resourceType": "Patient", "id": mark, "identifier": [{"system": SNILS, "value": mark}]})


async def count(server: Server, query: str) -> int:
    """How many there are."""
    found: int = (await server("GET", f"/{query}&_summary=count")).json()["total"]
    return found


async def test_a_report_sent_twice_changes_nothing(server: Server, new_id: str) -> None:
    """Every entry is 200 the second time, with the same versions."""
    await patient(server, new_id)
    first = await server("POST", "", json=report(new_id, 5))
    assert first.status_code == 200, first.text
    assert {each["response"]["status"] for each in first.json()["entry"]} == {"201 Created"}
    again = await server("POST", "", json=report(new_id, 5))
    assert {each["response"]["status"] for each in again.json()["entry"]} == {"200 OK"}
    for one, other in zip(first.json()["entry"], again.json()["entry"], strict=True):
        assert one["resource"] == other["resource"]
        assert one["response"]["etag"] == other["response"]["etag"] == 'W/"1"'
    whole = first.json()["entry"][1]["resource"]
    results = [f"Observation/{each['resource']['id']}" for each in first.json()["entry"][2:]]
    assert [each["reference"] for each in whole["result"]] == results
    assert whole["subject"]["reference"] == f"Patient/{new_id}"


async def test_a_corrected_result_is_a_new_version(server: Server, new_id: str) -> None:
    await patient(server, new_id)
    await server("POST", "", json=report(new_id, 2))
    corrected = {
        "resource": result(new_id, 1, status="corrected", specimen={"display": "s"}),
        "request": {"method": "PUT", "url": f"Observation?identifier={LAB}|{new_id}-1"},
    }
    answer = await server("POST", "", json={"resourceType": "Bundle", "type": "transaction", "entry": [corrected]})
    assert answer.json()["entry"][0]["response"]["etag"] == 'W/"2"'
    assert await count(server, f"Observation?identifier={LAB}|{new_id}-1") == 1


async def test_reports_of_many_laboratories_at_once_are_each_there_once(server: Server, new_id: str) -> None:
    await patient(server, new_id)
    bodies = [report(new_id, 3)] * 6
    answers = await asyncio.gather(*(server("POST", "", json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    created = [answer for answer in answers if answer.json()["entry"][0]["response"]["status"] == "201 Created"]
    assert len(created) == 1
    for number in range(3):
        assert await count(server, f"Observation?identifier={LAB}|{new_id}-{number}") == 1


async def test_more_than_a_thousand_entries_with_criteria_are_taken(server: Server, new_id: str) -> None:
    """What hospitals send of one patient: each conditional, with links and references by criteria, within the time that a commit has."""
    await patient(server, new_id)
    bundle = report(new_id, 1_098)
    answer = await server("POST", "", json=bundle, headers={"Prefer": "return=minimal"})
    assert answer.status_code == 200, answer.text
    entries = answer.json()["entry"]
    assert [each["response"]["status"] for each in entries] == ["201 Created"] * 1_100
    assert await count(server, f"Observation?subject=Patient/{new_id}") == 1_098
    whole = (await server("GET", "/" + entries[1]["response"]["location"].partition("/fhir/")[2])).json()
    results = ["/".join(each["response"]["location"].split("/")[-4:-2]) for each in entries[2:]]
    assert [each["reference"] for each in whole["result"]] == results


@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_more_entries_than_the_bound_are_refused_and_the_bound_is_said(server: Server, type: str) -> None:
    bound = server.application.settings.bundle_entries
    entries = [{"request": {"method": "GET", "url": "Patient/a"}}] * (bound + 1)
    answer = await server("POST", "", json={"resourceType": "Bundle", "type": type, "entry": entries})
    assert answer.status_code == 413
    [issue] = answer.json()["issue"]
    assert issue["code"] == "too-long"
    assert f"more than {bound} entries" in issue["diagnostics"]


async def test_a_body_larger_than_a_resource_is_taken(server: Server, new_id: str) -> None:
    """The bound on a resource is that of each; a Bundle of them has the body's."""
    text = "x" * 900_000
    entries = [
        {
            "resource": {
                "resourceType": "Basic",
                "code": {"text": f"{new_id}"},
                "extension": [{"url": "urn:e", "valueString": text}],
            },
            "request": {"method": "POST", "url": "Basic"},
        }
        for _ in range(8)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await server("POST", "", json=bundle, headers={"Prefer": "return=minimal"})
    assert answer.status_code == 200, answer.text[:500]


async def test_a_bundle_is_answered_in_xml_where_that_is_asked_for(server: Server, new_id: str) -> None:
    await patient(server, new_id)
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": f"Patient/{new_id}"}}],
    }
    answer = await server("POST", "", json=bundle, headers={"Accept": "application/fhir+xml"})
    assert answer.status_code == 200
    assert answer.text.startswith(("<?xml", "<Bundle"))
    assert f'<id value="{new_id}"/>' in answer.text
    sent = await server("POST", "", content=answer.text, headers={"Content-Type": "application/fhir+xml"})
    assert sent.status_code == 400
    assert "transaction" in sent.text


def everything(mark: str) -> dict[str, Any]:
    """A transaction with an entry of every kind."""
    bundle = report(mark, 2)
    bundle["entry"] += [
        {"request": {"method": "DELETE", "url": f"Basic/{mark}-gone"}},
        {"request": {"method": "DELETE", "url": f"Basic?code=urn:x|{mark}"}},
        {
            "resource": {"resourceType": "Basic", "id": f"{mark}-put", "code": {"text": "b"}},
            "request": {"method": "PUT", "url": f"Basic/{mark}-put"},
        },
        {"request": {"method": "GET", "url": f"Observation?identifier={LAB}|{mark}-1"}},
        {"request": {"method": "GET", "url": f"Basic/{mark}-put/_history"}},
    ]
    return bundle


async def prepare(server: Server, mark: str) -> None:
    """What the transaction finds."""
    await patient(server, mark)
    await server.put({"resourceType": "Basic", "id": f"{mark}-gone", "code": {"text": "a"}})
    await server.put({"resourceType": "Basic", "id": f"{mark}-put", "code": {"text": "a"}})


async def state(server: Server, mark: str) -> tuple[int, int, int, str]:
    """How much of it is there."""
    return (
        await count(server, f"Observation?identifier={LAB}|{mark}-0,{LAB}|{mark}-1"),
        await count(server, f"DiagnosticReport?identifier={LAB}|{mark}-r"),
        (await server("GET", f"/Basic/{mark}-gone")).status_code,
        (await server("GET", f"/Basic/{mark}-put")).headers["etag"],
    )


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_failure_between_any_two_commands_is_made_good(
    server: Server, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """The transaction is run again, or its commit asked for again, and happens once."""
    at = 1
    while True:
        mark = f"f-{uuid.uuid4().hex[:12]}"
        await prepare(server, mark)
        failures = Failures(at, after)
        with monkeypatch.context() as patch:
            inject(patch, failures)
            answer = await server("POST", "", json=everything(mark))
        assert answer.status_code == 200, answer.text
        assert await state(server, mark) == (2, 1, 410, 'W/"2"')
        if not failures.failed:
            break
        at += 1
    assert at > 12


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_failure_that_stays_leaves_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Every command fails from the nth on: nothing of the transaction is there, and the answer says to come again."""
    monkeypatch.setattr("fhirserver.store.transaction.COMMIT_BOUND", timedelta(seconds=0.2))
    for at in (1, 2, 4, 6, 8):
        mark = f"g-{uuid.uuid4().hex[:12]}"
        await prepare(server, mark)

        class Lasting(Failures):
            @contextmanager
            def around(self, label: str) -> Iterator[None]:
                self.seen += 1
                error = AutoReconnect("injected")
                error._add_error_label("TransientTransactionError")
                if self.seen >= self.at and not self.after:
                    raise error
                yield
                if self.seen >= self.at and label == "TransientTransactionError":
                    raise error

        with monkeypatch.context() as patch:
            inject(patch, Lasting(at, after))
            answer = await server("POST", "", json=everything(mark))
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert await state(server, mark) == (0, 0, 200, 'W/"1"')


async def test_a_fault_of_ours_in_one_entry_of_a_batch_is_its_own(
    server: Server, monkeypatch: pytest.MonkeyPatch, new_id: str
) -> None:
    """The others are answered; the answer holds no word of the driver's."""
    await patient(server, new_id)
    entries = [{"request": {"method": "GET", "url": url}} for url in (f"Patient/{new_id}", "Basic/secret-id")]
    services = server.application.services
    assert services is not None
    read = services.store.read

    async def failing(resource_type: str, id: str, permit: Any) -> Any:
        if resource_type == "Basic":
            raise ZeroDivisionError("a word of the driver's")
        return await read(resource_type, id, permit)

    monkeypatch.setattr(services.store, "read", failing)
    answer = await server("POST", "", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    statuses = [each["response"]["status"] for each in answer.json()["entry"]]
    assert statuses == ["200 OK", "500 Internal Server Error"]
    assert "driver" not in answer.text


async def test_the_texts_of_a_bundle_keep_their_digits(server: Server, new_id: str) -> None:
    body = json.dumps(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": "urn:uuid:1",
                    "resource": {
                        "resourceType": "Observation",
                        "status": "final",
                        "code": {"text": new_id},
                        "focus": [{"reference": "urn:uuid:1"}],
                        "valueQuantity": {"value": 0},
                    },
                    "request": {"method": "POST", "url": "Observation"},
                }
            ],
        }
    ).replace('"value": 0', '"value": 1.500')
    answer = await server("POST", "", content=body, headers={"Content-Type": "application/fhir+json"})
    assert '"value":1.500' in answer.text
