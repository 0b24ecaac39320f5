"""What a caller may not see changes no byte of the answer to a patch, nor of a history of a type or of the system.

Patches are tried only on what is visible; a version is in a history only if it and the current one are.
"""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module
from typing import Any

import httpx
import pytest

from fhirserver.rest.interactions.bundles.budget import Budget
from tests.access.conftest import World, consent, observation
from tests.access.test_hidden_equals_absent import ABSENT, HIDDEN, seen
from tests.access.worlds import told

DOOR = import_module("fhirserver.rest.interactions.bundles.door")

PATCH = "application/json-patch+json"


def op(name: str, path: str, *value: Any) -> dict[str, Any]:
    """A patch operation."""
    return {"op": name, "path": path, **({"value": value[0]} if value else {})}


async def patches(world: World, token: str, path: str, body: Any, **headers: str) -> httpx.Response:
    """A patch through the gate."""
    return await world.asks(token, "PATCH", path, json=body, headers={"Content-Type": PATCH, **headers})


async def since(world: World) -> str:
    """The instant of the newest version there is, and a little more: what is written from now on."""
    answer = await world.open.put({"resourceType": "Basic", "id": "mark", "code": {"text": "mark"}})
    return str(answer.json()["meta"]["lastUpdated"])


async def versions(world: World, token: str, path: str) -> list[str]:
    """`Type/id/version` of each entry, over all pages: a total is that of what is seen, where the first page holds it all."""
    found = []
    address = path
    while address:
        answer = await world.asks(token, "GET", address)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert bundle.get("total", len(bundle.get("entry", ()))) == len(bundle.get("entry", ()))
        for entry in bundle.get("entry", ()):
            number = re.fullmatch(r'W/"(\d+)"', entry["response"]["etag"])
            assert number is not None
            found.append("/".join((*entry["fullUrl"].split("/")[-2:], number[1])))
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        following = links.get("next", "")
        address = following[following.index("/fhir") + 5 :] if following else ""
    return found


PATCHES: list[tuple[str, Any, dict[str, str]]] = [
    ("a test that holds", [op("test", "/status", "final")], {}),
    ("a test that fails", [op("test", "/status", "amended")], {}),
    ("a test of the subject", [op("test", "/subject/reference", "Patient/boris")], {}),
    ("a path that is there", [op("remove", "/note")], {}),
    ("a path that is not there", [op("remove", "/valueQuantity")], {}),
    ("a patch that would break it", [op("remove", "/status")], {}),
    ("a patch that would give it away", [op("replace", "/subject/reference", "Patient/anna")], {}),
    ("If-Match of its version", [op("test", "/status", "final")], {"If-Match": 'W/"1"'}),
    ("If-Match of another version", [op("test", "/status", "final")], {"If-Match": 'W/"7"'}),
    ("If-Match of any", [op("test", "/status", "final")], {"If-Match": "*"}),
    ("If-None-Match", [op("test", "/status", "final")], {"If-None-Match": "*"}),
    ("no body for the answer", [op("test", "/status", "final")], {"Prefer": "return=minimal"}),
    ("a patch that is none", [op("spam", "/status")], {}),
    ("nothing", [], {}),
    ("the whole", [op("replace", "", {})], {}),
    ("a copy of the whole", [{"op": "copy", "from": "", "path": "/x"}] * 30, {}),
]


@pytest.mark.parametrize("who", ["doctor", "stranger", "anna"])
@pytest.mark.parametrize(("name", "body", "headers"), PATCHES, ids=[row[0] for row in PATCHES])
async def test_a_patch_of_the_hidden_is_a_patch_of_the_absent(
    world: World, doctor: str, stranger: str, anna: str, who: str, name: str, body: Any, headers: dict[str, str]
) -> None:
    """T21: 404 and one text, whatever is tested, and before anything is tried."""
    token = {"doctor": doctor, "stranger": stranger, "anna": anna}[who]
    answers = [
        seen(await patches(world, token, f"/Observation/{id}", body, **headers), id) for id in (HIDDEN, ABSENT[:7])
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == (400 if name == "a patch that is none" else 404)
    assert (await world.open("GET", f"/Observation/{HIDDEN}")).headers["etag"] == 'W/"1"'


def by_path(type: str, path: str, **value: Any) -> dict[str, Any]:
    """A FHIRPath Patch of one operation."""
    parts = [{"name": "type", "valueCode": type}, {"name": "path", "valueString": path}]
    operation = {"name": "operation", "part": parts + ([{"name": "value", **value}] if value else [])}
    return {"resourceType": "Parameters", "parameter": [operation]}


@pytest.mark.parametrize("who", ["doctor", "stranger", "anna"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (by_path("delete", "Observation.note"), 404),
        (by_path("replace", "Observation.value", valueString="x"), 404),
        (by_path("replace", "Observation.subject.reference", valueString="Patient/anna"), 404),
        (by_path("delete", "Observation.where(status = 'final').note"), 404),
        (by_path("delete", "Observation.nonsense"), 404),
        (by_path("delete", "Observation..status"), 400),
    ],
)
async def test_a_fhirpath_patch_of_the_hidden_is_one_of_the_absent(
    world: World, doctor: str, stranger: str, anna: str, who: str, body: Any, status: int
) -> None:
    """T21: what a path would select, or whether it can be compiled for the type, is asked of visible resources alone."""
    token = {"doctor": doctor, "stranger": stranger, "anna": anna}[who]
    kind = {"Content-Type": "application/fhir+json"}
    answers = [
        seen(await world.asks(token, "PATCH", f"/Observation/{id}", json=body, headers=kind), id)
        for id in (HIDDEN, ABSENT[:7])
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == status
    assert (await world.open("GET", f"/Observation/{HIDDEN}")).headers["etag"] == 'W/"1"'


async def test_a_patch_answers_with_what_is_stored_and_needs_to_read_it(world: World) -> None:
    """A token that may write and not read learns nothing from a test, nor from the answer."""
    whole = await world.token("Patient/anna", "patient/Observation.cruds", patient="anna")
    made = await world.asks(whole, "POST", "/Observation", json=observation("x", "anna"))
    path = f"/Observation/{made.json()['id']}"
    blind = await world.token("Patient/anna", "patient/Observation.u", patient="anna")
    for body in ([op("test", "/status", "final")], [op("test", "/status", "amended")], []):
        answer = await patches(world, blind, path, body)
        assert answer.status_code == 403
        assert "insufficient_scope" in answer.headers["www-authenticate"]
    assert (await patches(world, whole, path, [op("test", "/status", "final")])).status_code == 200
    reading = await world.token("Patient/anna", "patient/Observation.rs", patient="anna")
    assert (await patches(world, reading, path, [])).status_code == 403


async def test_a_doctor_who_may_read_does_not_patch(world: World, doctor: str) -> None:
    """Anna's consent lets her read what others wrote; only what she wrote herself may she change."""
    answer = await patches(world, doctor, "/Observation/anna-0", [op("replace", "/status", "amended")])
    assert answer.status_code == 403
    assert (await world.open("GET", "/Observation/anna-0")).headers["etag"] == 'W/"1"'


async def test_a_patch_moves_no_record_to_another_patient(world: World, doctor: str) -> None:
    """WG-02: both states must be writable; a record is neither taken nor given away."""
    made = await world.asks(doctor, "POST", "/Observation", json=observation("x", "anna"))
    path = f"/Observation/{made.json()['id']}"
    for body in (
        [op("replace", "/subject/reference", "Patient/boris")],
        [op("replace", "/subject", {"reference": "Patient/nobody"})],
        [op("add", "/focus", [{"reference": "Patient/boris"}])],
        [op("add", "/extension", [{"url": "http://x.example", "valueReference": {"reference": "Patient/boris"}}])],
    ):
        assert (await patches(world, doctor, path, body)).status_code == 403
    kept = await patches(world, doctor, path, [op("replace", "/status", "amended")])
    assert kept.status_code == 200
    assert kept.json()["meta"]["versionId"] == "2"


async def test_a_patch_gives_a_consent_no_effect(world: World, stranger: str) -> None:
    """The rule runs on the resulting state of every write path. A draft is not made active by its writer."""
    star = await world.token("Organization/elsewhere", "system/*.cruds")
    draft = consent("x", "boris", "Practitioner/stranger", status="draft")
    made = await world.asks(star, "POST", "/Consent", json=draft)
    assert made.status_code == 201
    path = f"/Consent/{made.json()['id']}"
    assert (await patches(world, star, path, [op("replace", "/status", "active")])).status_code == 403
    assert (await patches(world, stranger, path, [op("replace", "/status", "active")])).status_code == 404
    assert (await world.asks(stranger, "GET", f"/Observation/{HIDDEN}")).status_code == 404


async def test_a_patient_withdraws_her_consent_with_a_patch(world: World, stranger: str) -> None:
    """And the next request knows."""
    await world.open.put({"resourceType": "Patient", "id": "lida"})
    await world.open.put(observation("lida-1", "lida"))
    await world.open.put(consent("lida-1", "lida", "Practitioner/stranger"))
    lida = await world.token("Patient/lida", "patient/*.cruds", patient="lida")
    assert (await world.asks(stranger, "GET", "/Observation/lida-1")).status_code == 200
    assert (await patches(world, lida, "/Consent/lida-1", [op("replace", "/status", "inactive")])).status_code == 200
    assert (await world.asks(stranger, "GET", "/Observation/lida-1")).status_code == 404


async def test_a_patch_lowers_no_label(world: World, doctor: str) -> None:
    """WG-03, WG-04: labels that a patch takes away stay, and a lower confidentiality is refused."""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    sent = observation("x", "anna", meta={"security": [label]})
    made = await world.asks(doctor, "POST", "/Observation", json=sent)
    path = f"/Observation/{made.json()['id']}"
    kept = await patches(world, doctor, path, [op("remove", "/meta/security")])
    assert kept.status_code == 200
    assert kept.json()["meta"]["security"] == [label]
    assert (await patches(world, doctor, path, [op("replace", "/meta/security/0/code", "N")])).status_code == 403


# Histories


async def test_a_history_shows_what_the_caller_sees(world: World, doctor: str, stranger: str, anna: str) -> None:
    """Of a type and of the system alike: nothing of Boris, and the directory to everybody."""
    start = await since(world)
    await world.open.put(observation("h-anna", "anna"))
    await world.open.put(observation("h-boris", "boris"))
    await world.open.put(observation("h-both", "anna", focus=[{"reference": "Patient/boris"}]))
    await world.open.put(observation("h-boris", "boris", status="amended"))
    await world.open.put({"resourceType": "Organization", "id": "h-new", "name": "New"})
    of_type, of_system = f"/Observation/_history?_since={start}", f"/_history?_since={start}"
    assert await versions(world, doctor, of_type) == ["Observation/h-anna/1"]
    assert await versions(world, anna, of_type) == ["Observation/h-anna/1"]
    assert await versions(world, stranger, of_type) == []
    assert await versions(world, doctor, of_system) == ["Organization/h-new/1", "Observation/h-anna/1"]
    assert await versions(world, stranger, of_system) == ["Organization/h-new/1"]
    boris = await world.token("Patient/boris", "patient/*.rs", patient="boris")
    assert await versions(world, boris, of_type) == ["Observation/h-boris/2", "Observation/h-boris/1"]


@pytest.mark.parametrize("sort", ["-_lastUpdated", "_lastUpdated"])
async def test_the_hidden_changes_no_byte_of_a_history(world: World, doctor: str, sort: str) -> None:
    """3.4 number 3: pages are filled from what is visible; a next only if something visible follows."""
    start = await since(world)
    for number in range(3):
        await world.open.put(observation(f"p-{number}", "anna"))
    until = await since(world)
    path = f"/Observation/_history?_since={start}&_count=2&_sort={sort}"
    before = await _pages(world, doctor, path)
    for number in range(40):
        await world.open.put(observation(f"p-hidden-{number % 20}", "boris", note=[{"text": f"{until} {number}"}]))
    assert await _pages(world, doctor, path) == before
    assert [len(page) for page in before] == [2, 1]


async def test_the_hidden_moves_no_cut_between_the_entries_of_a_batch(
    world: World, doctor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the entries may answer only so many bytes together, a history that hidden versions make slow loses nothing to the next."""
    start = await since(world)
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    for number in range(3):
        await world.open.put(observation(f"cut-{number}", "anna"))
        await world.open.put(visit | {"id": f"cut-{number}", "subject": {"reference": "Patient/anna"}})
    urls = [f"{name}/_history?_since={start}&_count=2" for name in ("Observation", "Encounter")]
    sizes = [len((await world.asks(doctor, "GET", f"/{url}")).content) for url in urls]
    monkeypatch.setattr(DOOR, "Budget", partial(Budget, sum(sizes) - 1))
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    before = await world.asks(doctor, "POST", "", json=batch)
    assert [each["response"]["status"] for each in before.json()["entry"]] == ["200 OK", "400 Bad Request"]
    for number in range(40):
        await world.open.put(observation(f"cut-hidden-{number % 20}", "boris", note=[{"text": f"{number}"}]))
    for _ in range(3):
        assert told(await world.asks(doctor, "POST", "", json=batch)) == told(before)


async def test_a_list_neither_widens_a_history_nor_tells_of_itself(world: World, doctor: str) -> None:
    """What a List names stands under its own permit; a List that is hidden names nothing, as one that never was."""
    items = [{"item": {"reference": f"Observation/l-{name}"}} for name in ("anna", "boris")]
    naming: dict[str, Any] = {"resourceType": "List", "status": "current", "mode": "working", "entry": items}
    for name in ("anna", "boris"):
        await world.open.put(observation(f"l-{name}", name))
    await world.open.put(naming | {"id": "l-hidden"})
    own = (await world.asks(doctor, "POST", "/List", json=naming)).json()["id"]
    for path in ("/Observation/_history", "/_history"):
        assert await versions(world, doctor, f"{path}?_list={own}") == ["Observation/l-anna/1"]
        assert await versions(world, doctor, f"{path}?_list=l-hidden") == []
    hidden = await world.asks(doctor, "GET", "/Observation/l-anna/_history?_list=l-hidden")
    absent = await world.asks(doctor, "GET", "/Observation/l-anna/_history?_list=l-absent")
    for answer in (hidden, absent):
        assert (answer.status_code, answer.json().get("entry")) == (200, None)


async def _pages(world: World, token: str, path: str) -> list[list[Any]]:
    """The entries of each page."""
    pages = []
    while path:
        bundle = (await world.asks(token, "GET", path)).json()
        pages.append(bundle.get("entry", []))
        following = {link["relation"]: link["url"] for link in bundle["link"]}.get("next", "")
        path = following[following.index("/fhir") + 5 :] if following else ""
    return pages


@pytest.mark.parametrize("path", ["/Observation/_history", "/_history"])
async def test_an_old_version_needs_its_own_owner_as_well(world: World, doctor: str, anna: str, path: str) -> None:
    """SC-14, 3.3: owner moved from A to B: the old version needs A and B."""
    start = await since(world)
    await world.open.put(observation(f"m1{len(path)}", "boris", note=[{"text": "CANARY"}]))
    await world.open.put(observation(f"m1{len(path)}", "anna"))
    await world.open.put(observation(f"m2{len(path)}", "anna", note=[{"text": "CANARY"}]))
    await world.open.put(observation(f"m2{len(path)}", "boris"))
    for token in (doctor, anna):
        answer = await world.asks(token, "GET", f"{path}?_since={start}")
        assert b"CANARY" not in answer.content
        assert await versions(world, token, f"{path}?_since={start}") == [f"Observation/m1{len(path)}/2"]


async def test_a_tombstone_shows_to_whom_the_record_showed(world: World, doctor: str, stranger: str) -> None:
    """SC-02, 3.3: it keeps the last version's facts; to others it is absent, and not gone."""
    start = await since(world)
    await world.open.put(observation("t-anna", "anna"))
    await world.open.put(observation("t-boris", "boris"))
    assert (await world.open("DELETE", "/Observation/t-anna")).status_code == 204
    assert (await world.open("DELETE", "/Observation/t-boris")).status_code == 204
    path = f"/Observation/_history?_since={start}"
    assert await versions(world, doctor, path) == ["Observation/t-anna/2", "Observation/t-anna/1"]
    assert await versions(world, stranger, path) == []
    codes = [(await world.asks(token, "GET", "/Observation/t-anna")).status_code for token in (doctor, stranger)]
    assert codes == [410, 404]


async def test_a_hidden_version_does_not_end_the_one_before(world: World, doctor: str) -> None:
    """`_at`: that something was written in between is not to be seen by who may not see it."""
    one = (await world.open.put(observation("at-1", "anna"))).json()["meta"]["lastUpdated"]
    hidden = (await world.open.put(observation("at-1", "boris"))).json()["meta"]["lastUpdated"]
    three = (await world.open.put(observation("at-1", "anna"))).json()["meta"]["lastUpdated"]
    for moment, expected in ((one, "1"), (hidden, "1"), (three, "3")):
        found = await versions(world, doctor, f"/Observation/_history?_since={one}&_at={moment}")
        assert found == [f"Observation/at-1/{expected}"]


async def test_what_a_caller_wrote_herself_is_in_her_history(world: World, stranger: str) -> None:
    """By the writer of each version, as the server knows it; a version of another writer stays away."""
    start = await since(world)
    sent = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    made = await world.asks(stranger, "POST", "/QuestionnaireResponse", json=sent)
    assert made.status_code == 201
    path = f"QuestionnaireResponse/{made.json()['id']}"
    assert await versions(world, stranger, f"/_history?_since={start}") == [f"{path}/1"]
    await world.open.put(sent | {"id": made.json()["id"], "status": "amended"})
    assert await versions(world, stranger, f"/_history?_since={start}") == []


async def test_a_taking_part_in_an_appointment_shows_its_versions(world: World, stranger: str) -> None:
    """What the feed does not know of a version, the collections are asked."""
    start = await since(world)
    participants = [{"actor": {"reference": f"{each}"}, "status": "accepted"} for each in ("Patient/boris",)]
    mine = [*participants, {"actor": {"reference": "Practitioner/stranger"}, "status": "accepted"}]
    for id, people in (("a-mine", mine), ("a-other", participants)):
        await world.open.put(
            {
                "resourceType": "Appointment",
                "id": id,
                "status": "booked",
                "start": "2026-02-01T09:00:00Z",
                "end": "2026-02-01T09:30:00Z",
                "participant": people,
            }
        )
    assert await versions(world, stranger, f"/Appointment/_history?_since={start}") == ["Appointment/a-mine/1"]
    assert await versions(world, stranger, f"/_history?_since={start}") == ["Appointment/a-mine/1"]


async def test_consents_are_nobody_elses_history(world: World, doctor: str, anna: str) -> None:
    """3.4 number 22: the patient sees hers; a doctor whom she permits does not."""
    start = await since(world)
    await world.open.put(consent("c-anna", "anna", "Organization/elsewhere", status="inactive"))
    await world.open.put(consent("c-boris", "boris", "Organization/elsewhere", status="inactive"))
    for path in (f"/Consent/_history?_since={start}", f"/_history?_since={start}"):
        assert await versions(world, doctor, path) == []
        assert await versions(world, anna, path) == ["Consent/c-anna/1"]


async def test_a_revoked_consent_empties_the_next_page(world: World, stranger: str) -> None:
    """A cursor carries a position, never permission."""
    await world.open.put({"resourceType": "Patient", "id": "nina"})
    start = await since(world)
    for number in range(3):
        await world.open.put(observation(f"nina-{number}", "nina"))
    await world.open.put(consent("nina-1", "nina", "Practitioner/stranger"))
    first = (await world.asks(stranger, "GET", f"/Observation/_history?_since={start}&_count=1")).json()
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    path = following[following.index("/fhir") + 5 :]
    assert len((await world.asks(stranger, "GET", path)).json()["entry"]) == 1
    await world.open.put(consent("nina-1", "nina", "Practitioner/stranger", status="inactive"))
    assert "entry" not in (await world.asks(stranger, "GET", path)).json()


async def test_a_cursor_is_nobody_elses(world: World, doctor: str, anna: str) -> None:
    """3.3: bound to the caller."""
    start = await since(world)
    for number in range(2):
        await world.open.put(observation(f"cursor-{number}", "anna"))
    first = (await world.asks(doctor, "GET", f"/Observation/_history?_since={start}&_count=1")).json()
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    path = following[following.index("/fhir") + 5 :]
    assert (await world.asks(doctor, "GET", path)).status_code == 200
    assert (await world.asks(anna, "GET", path)).status_code == 400


async def test_scopes_open_the_histories_of_their_types(world: World) -> None:
    """SMART 2: the letter `s`. What the token shows is said with 403; at the level of the system it confines."""
    start = await since(world)
    await world.open.put(observation("s-anna", "anna"))
    await world.open.put({"resourceType": "Organization", "id": "s-new", "name": "New"})
    narrow = await world.token("Patient/anna", "patient/Observation.s", patient="anna")
    assert await versions(world, narrow, f"/_history?_since={start}") == ["Observation/s-anna/1"]
    assert await versions(world, narrow, f"/Observation/_history?_since={start}") == ["Observation/s-anna/1"]
    assert (await world.asks(narrow, "GET", "/Organization/_history")).status_code == 403
    reading = await world.token("Patient/anna", "patient/*.r", patient="anna")
    for path in ("/_history", "/Observation/_history"):
        refused = await world.asks(reading, "GET", path)
        assert refused.status_code == 403
        assert "insufficient_scope" in refused.headers["www-authenticate"]
    assert (await world.asks(None, "GET", "/_history")).status_code == 401


# The operation $meta


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_the_meta_of_the_hidden_is_the_meta_of_the_absent(world: World, doctor: str, method: str) -> None:
    """One answer."""
    answers = [
        seen(await world.asks(doctor, method, f"/Observation/{id}/$meta"), id) for id in (HIDDEN, ABSENT[: len(HIDDEN)])
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


async def test_what_is_in_use_is_what_the_caller_sees_in_use(
    world: World, doctor: str, stranger: str, anna: str
) -> None:
    """3.4 number 30: over visible rows only, of a type and of everything."""
    for id, patient in (("tag-anna", "anna"), ("tag-boris", "boris")):
        tag = {"system": "http://tags.example", "code": id}
        await world.open.put(observation(id, patient, meta={"tag": [tag]}))
    for path in ("/Observation/$meta", "/$meta"):
        for token, sees in ((doctor, True), (anna, True), (stranger, False)):
            answer = await world.asks(token, "GET", path)
            assert answer.status_code == 200
            assert (b"tag-anna" in answer.content) is sees
            assert b"tag-boris" not in answer.content
    reading = await world.token("Patient/anna", "patient/*.r", patient="anna")
    assert (await world.asks(reading, "GET", "/Observation/tag-anna/$meta")).status_code == 200
    assert (await world.asks(reading, "GET", "/Observation/$meta")).status_code == 403
    assert (await world.asks(reading, "GET", "/$meta")).status_code == 403
