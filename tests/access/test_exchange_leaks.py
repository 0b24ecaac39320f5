"""Bundles and conditional interactions: what the caller may not see changes no byte of any answer.

Each request is sent twice: once it meets hidden records, once none at all. Rows of the matrix of leaks are named by their ids. The
laboratory's key is the one documented oracle here, and pinned down at the end.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from fhirserver.access.bearer import principal_for
from fhirserver.access.matching import PatientKeys
from fhirserver.model.outcome import TooCostly
from fhirserver.search.expression import In
from tests.access.conftest import World, consent, observation

HIDDEN, ABSENT = "hidden", "absent"
"""Values of identifiers: of three records of Boris, and of none."""
CODES = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def named(id: str, patient: str, value: str) -> dict[str, Any]:
    """A result with an identifier."""
    return observation(id, patient, identifier=[{"system": "urn:leak", "value": value}])


def entry(method: str, url: str, resource: Any = None, **asked: str) -> dict[str, Any]:
    """An entry of a Bundle."""
    found: dict[str, Any] = {"request": {"method": method, "url": url, **asked}}
    return found if resource is None else {**found, "resource": resource}


def bundle(*entries: dict[str, Any], type: str = "transaction") -> dict[str, Any]:
    """A Bundle of requests."""
    return {"resourceType": "Bundle", "type": type, "entry": list(entries)}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """A patch as an entry sends it."""
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


@pytest.fixture(scope="module", autouse=True)
async def records(world: World) -> None:
    """Boris, whom the doctor may not see: one result under `hidden-1`, two under `hidden-2`, 250 under `hidden-3`."""
    await world.open.put(named("leak-1", "boris", f"{HIDDEN}-1"))
    for number in (2, 3):
        await world.open.put(named(f"leak-{number}", "boris", f"{HIDDEN}-2"))
    await asyncio.gather(
        *(world.open.put(named(f"leak-many-{number}", "boris", f"{HIDDEN}-3")) for number in range(250))
    )
    patient = {"resourceType": "Patient", "id": "boris", "active": True, "name": [{"family": "boris"}]}
    await world.open.put({**patient, "identifier": [{"system": "urn:leak", "value": f"{HIDDEN}-1"}]})
    for number in (1, 2):
        twin = {"resourceType": "Patient", "id": f"twin-{number}"}
        await world.open.put({**twin, "identifier": [{"system": "urn:leak", "value": f"{HIDDEN}-2"}]})


MINE = observation("{id}", "anna")
NEW = {name: value for name, value in MINE.items() if name != "id"}
IF = "identifier=urn:leak|{value}"
ACTIVE = {"op": "replace", "path": "/status", "value": "amended"}
CONTENT = {"Content-Type": "application/json-patch+json"}

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "SC-17 conditional create": ("POST", "/Observation", {"json": NEW, "headers": {"If-None-Exist": IF}}),
    "SC-18 conditional update": ("PUT", f"/Observation?{IF}", {"json": NEW}),
    "SC-18 conditional update with If-Match": (
        *("PUT", f"/Observation?{IF}"),
        {"json": NEW, "headers": {"If-Match": 'W/"1"'}},
    ),
    "SC-20 conditional update with an id": ("PUT", f"/Observation?{IF}", {"json": MINE}),
    "SC-18 conditional delete": ("DELETE", f"/Observation?{IF}", {}),
    "SC-18 conditional delete with If-Match": ("DELETE", f"/Observation?{IF}", {"headers": {"If-Match": 'W/"7"'}}),
    "SC-18 conditional patch": ("PATCH", f"/Observation?{IF}", {"json": [ACTIVE], "headers": CONTENT}),
    "by a patient": ("POST", "/Observation", {"json": NEW, "headers": {"If-None-Exist": "patient=Patient/{patient}"}}),
    "by an id": ("POST", "/Observation", {"json": NEW, "headers": {"If-None-Exist": "_id={id}"}}),
    "transaction: conditional create": (
        "POST",
        "",
        {"json": bundle(entry("POST", "Observation", NEW, ifNoneExist=IF))},
    ),
    "transaction: conditional update": ("POST", "", {"json": bundle(entry("PUT", f"Observation?{IF}", NEW))}),
    "transaction: conditional delete": ("POST", "", {"json": bundle(entry("DELETE", f"Observation?{IF}"))}),
    "transaction: conditional patch": (
        "POST",
        "",
        {"json": bundle(entry("PATCH", f"Observation?{IF}", patch(ACTIVE)))},
    ),
    "SC-21 transaction: conditional reference": (
        *("POST", ""),
        {"json": bundle(entry("POST", "Observation", {**NEW, "hasMember": [{"reference": f"Observation?{IF}"}]}))},
    ),
    "SC-21 transaction: conditional reference to a patient": (
        *("POST", ""),
        {"json": bundle(entry("POST", "Observation", {**NEW, "focus": [{"reference": f"Patient?{IF}"}]}))},
    ),
    "transaction: read": ("POST", "", {"json": bundle(entry("GET", "Observation/{id}"))}),
    "transaction: read among writes": (
        *("POST", ""),
        {"json": bundle(entry("POST", "Observation", NEW), entry("GET", "Observation/{id}"))},
    ),
    "transaction: HEAD": ("POST", "", {"json": bundle(entry("HEAD", "Observation/{id}"))}),
    "SC-15 transaction: read if none match": (
        *("POST", ""),
        {"json": bundle(entry("GET", "Observation/{id}", ifNoneMatch='W/"1"'))},
    ),
    "transaction: vread": ("POST", "", {"json": bundle(entry("GET", "Observation/{id}/_history/1"))}),
    "transaction: history": ("POST", "", {"json": bundle(entry("GET", "Observation/{id}/_history"))}),
    "transaction: search": ("POST", "", {"json": bundle(entry("GET", f"Observation?{IF}&_total=accurate"))}),
    "SC-16 transaction: update": ("POST", "", {"json": bundle(entry("PUT", "Observation/{id}", MINE))}),
    "SC-16 transaction: update if match": (
        *("POST", ""),
        {"json": bundle(entry("PUT", "Observation/{id}", MINE, ifMatch='W/"1"'))},
    ),
    "SC-16 transaction: update if another matches": (
        *("POST", ""),
        {"json": bundle(entry("PUT", "Observation/{id}", MINE, ifMatch='W/"7"'))},
    ),
    "WG-06 transaction: delete": ("POST", "", {"json": bundle(entry("DELETE", "Observation/{id}"))}),
    "transaction: delete if match": (
        "POST",
        "",
        {"json": bundle(entry("DELETE", "Observation/{id}", ifMatch='W/"7"'))},
    ),
    "transaction: patch": ("POST", "", {"json": bundle(entry("PATCH", "Observation/{id}", patch(ACTIVE)))}),
    "transaction: overlap that is hidden": (
        *("POST", ""),
        {"json": bundle(entry("DELETE", "Observation/{id}"), entry("PUT", f"Observation?{IF}", NEW))},
    ),
    "SC-22 batch": (
        *("POST", ""),
        {
            "json": bundle(
                entry("GET", "Observation/{id}"),
                entry("GET", "Observation/anna-0"),
                entry("GET", f"Observation?{IF}&_total=accurate"),
                entry("PUT", "Observation/{id}", MINE),
                entry("DELETE", "Observation/{id}"),
                entry("POST", "Observation", NEW, ifNoneExist=IF),
                entry("PUT", f"Observation?{IF}", NEW),
                entry("DELETE", f"Observation?{IF}"),
                entry("PATCH", f"Observation?{IF}", patch(ACTIVE)),
                entry("PATCH", "Observation/{id}", patch(ACTIVE)),
                type="batch",
            )
        },
    ),
}


def filled(value: Any, names: dict[str, str]) -> Any:
    """The case with the names in their places."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {name: filled(each, names) for name, each in value.items()}
    return [filled(each, names) for each in value] if isinstance(value, list) else value


def seen(answer: httpx.Response, names: dict[str, str]) -> tuple[int, str, list[tuple[str, str]]]:
    """What the caller sees, without what every answer has anew, and without what the request itself named."""
    dropped = ("date", "x-request-id", "last-modified")

    def plain(text: str) -> str:
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "WHEN", text)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
        text = text.replace("%7C", "|")
        for name, value in names.items():
            text = text.replace(value, name)
        return text

    headers = sorted((name, plain(value)) for name, value in answer.headers.items() if name not in dropped)
    return answer.status_code, plain(answer.text), headers


@pytest.mark.parametrize("many", ["1", "2", "3"], ids=["one", "two", "hundreds"])
@pytest.mark.parametrize("case", CASES)
async def test_a_hidden_match_is_no_match(world: World, doctor: str, case: str, many: str) -> None:
    """Matches are those that the caller sees; a hidden one counts as none."""
    method, path, options = CASES[case]
    answers = []
    for value, id, patient in ((HIDDEN, "leak-1", "boris"), (ABSENT, "none-1", "nobod")):
        names = {"value": f"{value}-{many}", "id": id, "patient": patient}
        answer = await world.asks(doctor, method, filled(path, names), **filled(options, names))
        answers.append(seen(answer, names))
    assert answers[0] == answers[1]
    assert answers[0][0] < 500


async def test_nothing_hidden_was_touched_by_all_of_this(world: World) -> None:
    for id in ("leak-1", "leak-2", "leak-3", "leak-many-7"):
        assert (await world.open("GET", f"/Observation/{id}")).headers["etag"] == 'W/"1"'


async def test_a_visible_match_beside_hidden_ones_is_the_one(world: World, doctor: str) -> None:
    """SC-17, SC-18: never 412 because of what is hidden."""
    await world.open.put(named("leak-anna", "anna", f"{HIDDEN}-2"))
    criteria = {"If-None-Exist": f"identifier=urn:leak|{HIDDEN}-2"}
    found = await world.asks(doctor, "POST", "/Observation", json=NEW, headers=criteria)
    assert (found.status_code, found.json()["id"]) == (200, "leak-anna")
    update = f"/Observation?identifier=urn:leak|{HIDDEN}-2"
    assert (await world.asks(doctor, "PUT", update, json=NEW)).status_code == 403, "seen, but not written by her"
    assert (await world.open("DELETE", "/Observation/leak-anna")).status_code == 204


@pytest.mark.parametrize("scope", ["user/Observation.cud", "user/Observation.cruds"])
async def test_criteria_need_the_scope_to_search(world: World, scope: str) -> None:
    """A criterion tells what a search would; the token decides that before any data."""
    token = await world.token("Practitioner/doctor", scope, role="PractitionerRole/doctor")
    may = scope.endswith("s")
    for value in (HIDDEN, ABSENT):
        headers = {"If-None-Exist": f"identifier=urn:leak|{value}-1"}
        answer = await world.asks(token, "POST", "/Observation", json=NEW, headers=headers)
        assert answer.status_code == (201 if may else 403)
        if not may:
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        reference = {**NEW, "focus": [{"reference": f"Patient?identifier=urn:leak|{value}-1"}]}
        answer = await world.asks(token, "POST", "", json=bundle(entry("POST", "Observation", reference)))
        assert answer.status_code == 403, "the token reaches no Patient"


async def test_each_entry_is_decided_by_itself(world: World, doctor: str, stranger: str) -> None:
    """A batch entry is a request of its own; a transaction fails as a whole."""
    entries = [entry("GET", "Observation/anna-0"), entry("GET", "Observation/boris-0"), entry("GET", "Patient/anna")]
    for token, wanted in ((doctor, ["200", "404", "200"]), (stranger, ["404", "404", "404"])):
        answer = (await world.asks(token, "POST", "", json=bundle(*entries, type="batch"))).json()
        assert [each["response"]["status"][:3] for each in answer["entry"]] == wanted
    assert (await world.asks(doctor, "POST", "", json=bundle(*entries))).status_code == 404


async def test_without_a_token_no_bundle_is_read(world: World) -> None:
    assert (await world.asks(None, "POST", "", json=bundle(entry("GET", "Patient/anna")))).status_code == 401


async def test_a_transaction_writes_nothing_if_one_entry_is_forbidden(world: World, doctor: str) -> None:
    """WG-01, WG-02: a result for a patient who does not permit, beside one who does."""
    mark = named("x", "anna", "forbidden-1")
    allowed = entry("POST", "Observation", mark)
    moved = [{"op": "replace", "path": "/subject/reference", "value": "Patient/boris"}]
    created = await world.asks(doctor, "POST", "/Observation", json=NEW)
    for other in (
        entry("POST", "Observation", observation("x", "boris")),
        entry("PATCH", f"Observation/{created.json()['id']}", patch(*moved)),
        entry("PUT", "Observation/anna-0", observation("anna-0", "anna")),
        entry("DELETE", "Observation/anna-0"),
        entry("POST", "Consent", consent("x", "anna", "Practitioner/doctor")),
        entry("POST", "PractitionerRole", {"resourceType": "PractitionerRole", "active": True}),
    ):
        answer = await world.asks(doctor, "POST", "", json=bundle(allowed, other))
        assert answer.status_code == 403, answer.text
        assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]
    found = await world.open("GET", "/Observation?identifier=urn:leak|forbidden-1&_summary=count")
    assert found.json()["total"] == 0


async def test_labels_and_private_fields_are_kept_in_a_transaction(world: World, doctor: str) -> None:
    """WG-03, WG-04: labels are raised, never lowered; versionId and lastUpdated are the server's."""
    secret = {"security": [{"system": CODES, "code": "R"}], "versionId": "77", "lastUpdated": "2000-01-01T00:00:00Z"}
    posted = await world.asks(doctor, "POST", "", json=bundle(entry("POST", "Observation", {**NEW, "meta": secret})))
    stored = posted.json()["entry"][0]["resource"]
    assert stored["meta"]["versionId"] == "1"
    assert not stored["meta"]["lastUpdated"].startswith("2000")
    again = {**NEW, "id": stored["id"]}
    url = f"Observation/{stored['id']}"
    kept = await world.asks(doctor, "POST", "", json=bundle(entry("PUT", url, again)))
    assert kept.json()["entry"][0]["resource"]["meta"]["security"] == secret["security"]
    low = {**again, "meta": {"security": [{"system": CODES, "code": "N"}]}}
    assert (await world.asks(doctor, "POST", "", json=bundle(entry("PUT", url, low)))).status_code == 403


async def test_a_revoked_consent_counts_for_the_next_bundle(world: World, stranger: str) -> None:
    await world.open.put({"resourceType": "Patient", "id": "galina"})
    await world.open.put(named("galina-1", "galina", "galina-1"))
    given = consent("galina-stranger", "galina", "Practitioner/stranger")
    request = bundle(
        entry("POST", "Observation", observation("x", "galina"), ifNoneExist="identifier=urn:leak|galina-1")
    )
    for status, wanted in (("active", 200), ("inactive", 403)):
        await world.open.put({**given, "status": status})
        assert (await world.asks(stranger, "POST", "", json=request)).status_code == wanted


# The laboratory's key


def result(reference: str) -> dict[str, Any]:
    """A result whose patient is named by criteria."""
    return bundle(entry("POST", "Observation", {**NEW, "subject": {"reference": reference}}))


async def test_the_key_resolves_one_complete_identifier_to_one_patient(world: World, laboratory: str) -> None:
    """Without reading her; the id is all that the laboratory learns."""
    key = result(f"Patient?identifier=urn:leak|{HIDDEN}-1")
    answer = await world.asks(laboratory, "POST", "", json=key)
    assert answer.status_code == 200, answer.text
    assert answer.json()["entry"][0]["resource"]["subject"] == {"reference": "Patient/boris"}
    assert (await world.asks(laboratory, "GET", "/Patient/boris")).status_code == 403


async def test_the_key_does_not_tell_none_from_several(world: World, laboratory: str) -> None:
    texts = set()
    for value in (f"{HIDDEN}-2", f"{ABSENT}-2"):
        answer = await world.asks(laboratory, "POST", "", json=result(f"Patient?identifier=urn:leak|{value}"))
        assert answer.status_code == 412
        texts.add(answer.text)
    assert len(texts) == 1


@pytest.mark.parametrize(
    "reference",
    [
        "Patient?identifier=hidden-1",
        "Patient?identifier=|hidden-1",
        "Patient?identifier=urn:leak|",
        "Patient?identifier=urn:leak|hidden-1,urn:leak|hidden-2",
        "Patient?identifier=urn:leak|hidden-1&family=boris",
        "Patient?identifier:not=urn:leak|x",
        "Patient?family=boris",
        "Patient?_id=boris",
        "Practitioner?identifier=urn:leak|hidden-1",
    ],
)
async def test_the_key_is_one_complete_identifier_and_nothing_else(
    world: World, laboratory: str, reference: str
) -> None:
    answer = await world.asks(laboratory, "POST", "", json=result(reference))
    assert answer.status_code == 403


async def test_the_key_is_a_systems_and_for_what_it_may_create(world: World, doctor: str, anna: str) -> None:
    """Persons have none; and a system has it only from types that its scope lets it create."""
    key = f"Patient?identifier=urn:leak|{HIDDEN}-1"
    for token in (doctor, anna):
        assert (await world.asks(token, "POST", "", json=result(key))).status_code == 412
    reader = await world.token("Organization/laboratory", "system/Observation.ru system/Specimen.c")
    assert (await world.asks(reader, "POST", "", json=result(key))).status_code == 403
    batch = {**result(key), "type": "batch"}
    answer = await world.asks(reader, "POST", "", json=batch)
    assert "boris" not in answer.text


async def test_the_key_of_one_type_opens_no_other_beside_it(world: World) -> None:
    """The attack: one reference in two entries, of which only the first is from a type that the key fits."""
    key = f"Patient?identifier=urn:leak|{HIDDEN}-1"
    first = result(key)["entry"][0]
    second = entry("PUT", "Specimen/key-1", {"resourceType": "Specimen", "id": "key-1", "subject": {"reference": key}})
    for more, refused in (("", 403), (" system/Patient.s", 412)):
        token = await world.token("Organization/laboratory", "system/Observation.c system/Specimen.u" + more)
        for entries, status in (((first,), 200), ((second,), refused), ((first, second), refused)):
            assert (await world.asks(token, "POST", "", json=bundle(*entries))).status_code == status


@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_what_the_token_does_not_reach_is_refused_before_it_is_looked_at(world: World, type: str) -> None:
    token = await world.token("Practitioner/doctor", "user/Observation.rs", role="PractitionerRole/doctor")
    wrong = {"resourceType": "Observation", "status": "no such status"}
    answer = await world.asks(token, "POST", "", json=bundle(entry("POST", "Observation", wrong), type=type))
    status = answer.status_code if type == "transaction" else answer.json()["entry"][0]["response"]["status"][:3]
    assert str(status) == "403"


@pytest.mark.parametrize("url", ["Observation/anna-0", "Observation?_id=anna-0"])
async def test_a_patch_in_a_transaction_needs_to_read_as_well(world: World, url: str) -> None:
    """The attack: tests that fail or hold, which tell what is stored."""
    token = await world.token("Practitioner/doctor", "user/Observation.us", role="PractitionerRole/doctor")
    test = patch({"op": "test", "path": "/status", "value": "unknown"})
    assert (await world.asks(token, "POST", "", json=bundle(entry("PATCH", url, test)))).status_code == 403


async def test_who_tries_too_many_identifiers_has_to_wait(world: World) -> None:
    """Counted and limited; hits cost nothing."""
    services = world.gated.application.services
    assert services is not None
    keys = services.patient_keys
    prober = await world.token("Organization/elsewhere", "system/Observation.c")
    before, keys = counted(world), services.patient_keys
    bound, keys._bound = keys._bound, 3
    try:
        statuses = [
            (
                await world.asks(prober, "POST", "", json=result(f"Patient?identifier=urn:leak|guess-{number}"))
            ).status_code
            for number in range(5)
        ]
        known = await world.asks(prober, "POST", "", json=result(f"Patient?identifier=urn:leak|{HIDDEN}-1"))
    finally:
        keys._bound = bound
    assert statuses == [412, 412, 412, 400, 400]
    assert known.status_code == 400, "the limit itself tells nothing"
    assert counted(world) == before + 3
    # Another process counts on from there.
    other = PatientKeys(services.store.documents("patientkeys"), misses=3)
    now = datetime.now(UTC)
    principal = await principal_for(services.store.documents("tokens"), prober, now)
    with pytest.raises(TooCostly):
        await other.resolve(services.store, principal, In("index.identifier", frozenset({"x"})), now.timestamp())


def counted(world: World) -> int:
    """How many identifiers led to nobody, as the figures of the server say."""
    found = re.search(rb'fhir_patient_keys_total{found="false"} (\d+)', world.gated.application.metrics.text())
    assert found is not None
    return int(found[1])
