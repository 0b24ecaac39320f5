"""Operations and what shapes an answer: what the caller may not see changes no byte of any of it.

Each request is answered in a world where hidden records stand beside hers, and in one where they do not; then the two are compared.
Rows of the matrix of leaks are named by their ids.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.access.conftest import World, consent, observation

CODE = "http://loinc.org|718-7"
R = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}

# A patient of each name: `carla` permits the clinic, `dora` does not. Hidden records are written and deleted around a request.
HERS = {"resourceType": "Patient", "id": "carla", "active": True, "name": [{"family": "carla"}]}
NOT_HERS = {"resourceType": "Patient", "id": "dora", "active": True, "name": [{"family": "dora"}]}


def result(id: str, patient: str, value: int, day: int, **more: Any) -> dict[str, Any]:
    """A result of that day."""
    found = observation(id, patient, effectiveDateTime=f"2026-03-{day:02}", **more)
    return {
        **found,
        "valueQuantity": {"value": value, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"},
    }


def hidden() -> list[dict[str, Any]]:
    """What the doctor may not see: records of Dora, of Carla and Dora together, and of types that are hers alone."""
    return [
        NOT_HERS,
        *(result(f"op-dora-{number}", "dora", 500 + number, 20 + number) for number in range(4)),
        # Carla's own, but Dora has a part in it and permits nobody.
        result("op-shared", "carla", 900, 28, focus=[{"reference": "Patient/dora"}]),
        {
            "resourceType": "Provenance",
            "id": "op-provenance",
            "target": [{"reference": "Patient/carla"}, {"reference": "Observation/op-carla-0"}],
            "recorded": "2026-03-01T00:00:00Z",
            "agent": [{"who": {"reference": "Practitioner/stranger"}}],
        },
        {
            "resourceType": "AuditEvent",
            "id": "op-audit",
            "type": {"code": "rest"},
            "recorded": "2026-03-01T00:00:00Z",
            "agent": [{"requestor": True, "who": {"reference": "Patient/carla"}}],
            "source": {"observer": {"reference": "Organization/clinic"}},
        },
        {
            "resourceType": "List",
            "id": "op-list",
            "status": "current",
            "mode": "working",
            "subject": {"reference": "Patient/carla"},
        },
        {
            "resourceType": "Encounter",
            "id": "op-encounter-dora",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": "Patient/dora"},
        },
    ]


@pytest.fixture(scope="module", autouse=True)
async def records(world: World) -> AsyncIterator[None]:
    """What the doctor sees of Carla."""
    await world.open.put(HERS)
    await world.open.put(consent("carla-clinic", "carla", "Organization/clinic"))
    encounter = {"resourceType": "Encounter", "id": "op-encounter", "status": "finished", "class": {"code": "AMB"}}
    await world.open.put({**encounter, "subject": {"reference": "Patient/carla"}})
    for number in range(3):
        more = {
            "encounter": {"reference": "Encounter/op-encounter"},
            "performer": [{"reference": "Practitioner/doctor"}],
        }
        await world.open.put(result(f"op-carla-{number}", "carla", 100 + number, 1 + number, **more))
    # Refers to what is hidden: the reference is hers to see, its target is not.
    await world.open.put(
        result(
            "op-carla-3",
            "carla",
            110,
            9,
            hasMember=[{"reference": "Observation/op-dora-0"}, {"reference": "Observation/op-shared"}],
        )
    )
    yield
    for resource in (*hidden(), HERS):
        await world.open("DELETE", f"/{resource['resourceType']}/{resource['id']}")


STATISTICS = "average,maximum,minimum,count,total-count,median,std-dev,sum,20-percent,skew"
CASES = {
    "SC-30 everything of a patient": "/Patient/carla/$everything",
    "SC-30 everything of a patient, in pages": "/Patient/carla/$everything?_count=3",
    "SC-30 everything of a patient, by type": "/Patient/carla/$everything?_type=Provenance,AuditEvent,Consent,List,Observation",
    "SC-30 everything of a patient, by care": "/Patient/carla/$everything?start=2026-03-20",
    "SC-30 everything of a patient, changed": "/Patient/carla/$everything?_since=2020-01-01T00:00:00Z",
    "SC-30 everything of every patient": "/Patient/$everything?_type=Patient,Observation,Provenance,Encounter",
    "SC-30 everything of every patient, in pages": "/Patient/$everything?_count=2",
    "SC-30 everything of an encounter": "/Encounter/op-encounter/$everything",
    "SC-41 the last of each code": f"/Observation/$lastn?patient=carla&code={CODE}",
    "SC-41 the last three of each code": f"/Observation/$lastn?subject=Patient/carla&code={CODE}&max=3",
    "SC-41 the last of several patients": f"/Observation/$lastn?patient=carla,dora&code={CODE}&max=2",
    "SC-41 the last of somebody else": f"/Observation/$lastn?patient=dora&code={CODE}&max=9",
    "SC-41 statistics": f"/Observation/$stats?subject=Patient/carla&code=718-7&statistic={STATISTICS}",
    "SC-41 statistics and their source": "/Observation/$stats?subject=Patient/carla&code=718-7&statistic=sum&include=true",
    "SC-41 statistics of somebody else": f"/Observation/$stats?subject=Patient/dora&code=718-7&statistic={STATISTICS}&include=true",
    "SC-04 an exact total": "/Observation?patient=carla&_total=accurate&_count=1",
    "SC-04 an estimated total": "/Observation?patient=carla,dora&_total=estimate&_count=2",
    "SC-04 a count": "/Observation?patient=carla,dora&_summary=count",
    "SC-05 sorted, what is hidden first": "/Observation?patient=carla,dora&_sort=-date&_count=2",
    "SC-05 sorted by value": "/Observation?patient=carla,dora&_sort=-value-quantity&_count=2",
    "SC-36 summaries": "/Observation?patient=carla,dora&_summary=true&_sort=date",
    "SC-36 narratives": "/Observation?patient=carla,dora&_summary=text&_sort=date",
    "SC-36 elements": "/Observation?patient=carla,dora&_elements=subject&_sort=date",
    "SC-36 elements of what is included": "/Observation?_id=op-carla-3&_elements=code,Observation.subject&_include=Observation:has-member",
    "SC-40 an invalid sort": "/Observation?patient=dora&_sort=nonsense",
    "SC-36 an invalid element": "/Observation?patient=dora&_elements=nonsense",
}


def facts(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    """What a client sees, apart from what changes with every request: moments, request ids, and the nonces of cursors."""
    untold = ("date", "x-request-id", "content-length")
    headers = {name: value for name, value in answer.headers.items() if name not in untold}
    text = re.sub(r'"lastUpdated":"[^"]*"', "", answer.text)
    return answer.status_code, headers, re.sub(r"_cursor=[A-Za-z0-9_-]+", "_cursor=", text)


async def pages(world: World, token: str, path: str) -> list[tuple[int, dict[str, str], str]]:
    """The answer, and every page behind it, and the way back."""
    answer = await world.asks(token, "GET", path)
    seen = [facts(answer)]
    for relation in ("next", "previous"):
        while answer.status_code == 200 and "link" in answer.json():
            links = {each["relation"]: each["url"] for each in answer.json()["link"]}
            if relation not in links or len(seen) > 60:
                break
            answer = await world.asks(token, "GET", links[relation].partition("/fhir")[2])
            seen.append(facts(answer))
    return seen


async def hide(world: World) -> None:
    """Put the hidden records there."""
    for resource in hidden():
        await world.open.put(resource)


async def remove(world: World) -> None:
    """Take them away, without a trace that the doctor could see."""
    for resource in hidden():
        await world.open("DELETE", f"/{resource['resourceType']}/{resource['id']}")


async def test_what_is_hidden_changes_no_byte_of_an_operation_or_a_page(world: World, doctor: str) -> None:
    """Two worlds: with what is hidden, and without."""
    await remove(world)
    without = {name: await pages(world, doctor, path) for name, path in CASES.items()}
    await hide(world)
    for name, path in CASES.items():
        assert await pages(world, doctor, path) == without[name], name
    for name, seen in without.items():
        assert "op-dora-" not in "".join(text for _, _, text in seen).replace("Observation/op-dora-0", ""), name


async def test_the_cases_do_see_something(world: World, doctor: str) -> None:
    """Or the comparison above would compare nothing with nothing."""
    everything = (await world.asks(doctor, "GET", CASES["SC-30 everything of a patient"])).json()
    found = {entry["resource"]["id"] for entry in everything["entry"]}
    assert {"carla", "op-encounter", "op-carla-0", "op-carla-3", "doctor"} <= found
    assert not found & {"op-shared", "op-provenance", "op-audit", "op-list", "op-dora-0", "dora", "carla-clinic"}
    of_encounter = (await world.asks(doctor, "GET", CASES["SC-30 everything of an encounter"])).json()
    assert {"op-encounter", "op-carla-0", "carla"} <= {entry["resource"]["id"] for entry in of_encounter["entry"]}
    statistics = (await world.asks(doctor, "GET", CASES["SC-41 statistics"])).json()
    values = [each["valueQuantity"]["value"] for each in statistics["parameter"][0]["resource"]["component"]]
    assert values[1:5] == [110, 100, 4, 4]


async def test_everything_is_hers_in_her_own_hands(world: World) -> None:
    """Consents, Provenance and AuditEvents are for the patient whose they are."""
    await hide(world)
    carla = await world.token("Patient/carla", "patient/*.rs", patient="carla")
    everything = (await world.asks(carla, "GET", "/Patient/carla/$everything")).json()
    found = {entry["resource"]["id"] for entry in everything["entry"]}
    assert {"carla", "carla-clinic", "op-audit", "op-carla-0"} <= found
    assert not found & {"op-shared", "op-dora-0", "dora"}


BY_ID = {
    "SC-30 everything": ("GET", "/{type}/{id}/$everything", {}),
    "SC-30 everything, posted": ("POST", "/{type}/{id}/$everything", {}),
    "SC-36 elements": ("GET", "/{type}/{id}?_elements=id", {}),
    "SC-36 a summary": ("GET", "/{type}/{id}?_summary=true", {}),
    "SC-36 a narrative": ("GET", "/{type}/{id}?_summary=text", {}),
    "SC-36 XML": ("GET", "/{type}/{id}?_format=xml", {}),
    "SC-36 a summary in XML": ("GET", "/{type}/{id}?_summary=true&_format=xml", {}),
    "SC-36 HEAD": ("HEAD", "/{type}/{id}?_elements=id", {}),
    "SC-36 a version": ("GET", "/{type}/{id}/_history/1?_elements=id", {}),
    "SC-36 a history": ("GET", "/{type}/{id}/_history?_summary=true", {}),
    "SC-15 a summary if none match": ("GET", "/{type}/{id}?_summary=true", {"headers": {"If-None-Match": 'W/"1"'}}),
    "an unknown parameter": ("GET", "/{type}/{id}?nonsense=1", {}),
    "an unknown element": ("GET", "/{type}/{id}?_elements=nonsense", {}),
    "a part in place of the whole": (
        *("PUT", "/{type}/{id}"),
        {
            "json": {
                "resourceType": "{type}",
                "id": "{id}",
                "meta": {
                    "tag": [
                        {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
                    ]
                },
            }
        },
    ),
    "meta put on": (
        *("POST", "/{type}/{id}/$meta-add"),
        {"json": {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [R]}}]}},
    ),
    "meta put on that is there": (
        *("POST", "/{type}/{id}/$meta-add"),
        {"json": {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": []}}]}},
    ),
    "meta taken off": (
        *("POST", "/{type}/{id}/$meta-delete"),
        {"json": {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [R]}}]}},
    ),
}


def filled(value: Any, type: str, id: str) -> Any:
    """The same with the type and the id in their places."""
    if isinstance(value, str):
        return value.replace("{type}", type).replace("{id}", id)
    if isinstance(value, list):
        return [filled(each, type, id) for each in value]
    return {name: filled(each, type, id) for name, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("name", BY_ID)
@pytest.mark.parametrize(("type", "id"), [("Patient", "dora"), ("Encounter", "op-encounter-dora")])
async def test_what_is_hidden_is_answered_like_what_is_not_there(
    world: World, doctor: str, name: str, type: str, id: str
) -> None:
    await hide(world)
    method, path, options = BY_ID[name]
    here = await world.asks(doctor, method, filled(path, type, id), **filled(options, type, id))
    nowhere = id[:-1] + "x"
    there = await world.asks(doctor, method, filled(path, type, nowhere), **filled(options, type, nowhere))
    assert facts(here) == facts(there)
    assert here.status_code in (400, 404, 405, 422)


async def test_a_cursor_of_everything_is_its_callers_alone(world: World, doctor: str, stranger: str) -> None:
    """SC-37."""
    page = (await world.asks(doctor, "GET", "/Patient/carla/$everything?_count=1")).json()
    following = next(each["url"] for each in page["link"] if each["relation"] == "next").partition("/fhir")[2]
    assert (await world.asks(stranger, "GET", following)).status_code == 404
    carla = await world.token("Patient/carla", "patient/*.rs", patient="carla")
    assert (await world.asks(carla, "GET", following)).status_code == 400
    assert (await world.asks(doctor, "GET", following)).status_code == 200


async def test_a_page_of_everything_after_she_revoked_is_not_there(world: World, doctor: str) -> None:
    """SC-38: the cursor carries a position, never permission."""
    page = (await world.asks(doctor, "GET", "/Patient/carla/$everything?_count=1")).json()
    following = next(each["url"] for each in page["link"] if each["relation"] == "next").partition("/fhir")[2]
    await world.open.put(consent("carla-clinic", "carla", "Organization/clinic", status="inactive"))
    try:
        assert (await world.asks(doctor, "GET", following)).status_code == 404
        statistics = (await world.asks(doctor, "GET", CASES["SC-41 statistics and their source"])).json()
        assert [each["name"] for each in statistics["parameter"]] == ["statistics"]
    finally:
        await world.open.put(consent("carla-clinic", "carla", "Organization/clinic"))


async def test_a_token_without_the_scope_is_refused_before_any_data(world: World) -> None:
    """SC-09."""
    narrow = await world.token("Practitioner/doctor", "user/Encounter.rs", role="PractitionerRole/doctor")
    for id in ("carla", "dora", "nobody"):
        for path in (f"/Patient/{id}/$everything", f"/Observation/$lastn?patient={id}&code=1"):
            assert (await world.asks(narrow, "GET", path)).status_code == 403
    reading = await world.token(
        "Practitioner/doctor", "user/Patient.rs user/Encounter.r", role="PractitionerRole/doctor"
    )
    everything = (await world.asks(reading, "GET", "/Patient/carla/$everything")).json()
    assert {entry["resource"]["resourceType"] for entry in everything["entry"]} == {"Patient", "Encounter"}


async def test_labels_are_raised_and_not_lowered(world: World, doctor: str) -> None:
    """WG-03, by the operations of meta: on what the doctor wrote herself."""
    written = await world.asks(doctor, "POST", "/Observation", json={**observation("x", "carla"), "id": "x"})
    assert written.status_code == 201, written.text
    id = written.json()["id"]

    async def ask(code: str, **meta: Any) -> httpx.Response:
        body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}
        return await world.asks(doctor, "POST", f"/Observation/{id}/${code}", json=body)

    raised = await ask("meta-add", security=[R], tag=[{"code": "t"}])
    assert (raised.status_code, raised.json()["parameter"][0]["valueMeta"]["security"]) == (200, [R])
    lowered = await ask("meta-delete", security=[R])
    assert lowered.status_code == 403
    assert (await ask("meta-delete", tag=[{"code": "t"}])).json()["parameter"][0]["valueMeta"]["security"] == [R]
    # What is Carla's and was not written by the doctor may be read, not labelled.
    of_others = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [R]}}]}
    answer = await world.asks(doctor, "POST", "/Observation/op-carla-0/$meta-add", json=of_others)
    assert answer.status_code == 403
