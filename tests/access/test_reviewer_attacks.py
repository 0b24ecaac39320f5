"""A reviewer at the door, who knows the code and the law and looks for the gap between the two.

Each case names what was hoped for. What others tried stands beside: `test_attacks.py`, `test_exchange_leaks.py`,
`test_patch_and_history_leaks.py`, `test_hidden_equals_absent.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from fhirserver.access.bearer import Grant, issue_token
from tests.access.conftest import World, consent, observation

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED = {"system": CONFIDENTIALITY, "code": "R"}
NORMAL = {"system": CONFIDENTIALITY, "code": "N"}
SECRET = "CANARY"
XML = {"Content-Type": "application/fhir+xml"}
PATCH = {"Content-Type": "application/json-patch+json"}


def told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """Everything that an answer tells, the moment and the request's own id apart."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return answer.status_code, headers, answer.content


def found(answer: httpx.Response) -> set[str]:
    """`Type/id` of every resource in a Bundle, outcomes apart."""
    assert answer.status_code == 200, answer.text
    resources = [each["resource"] for each in answer.json().get("entry", []) if "resource" in each]
    return {f"{each['resourceType']}/{each['id']}" for each in resources if each["resourceType"] != "OperationOutcome"}


def bundle(*entries: tuple[str, str, Any], type: str = "transaction") -> dict[str, Any]:
    """A Bundle of requests."""
    return {
        "resourceType": "Bundle",
        "type": type,
        "entry": [
            {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}
            for method, url, resource in entries
        ],
    }


async def patient(world: World, name: str) -> str:
    """A patient who permits nobody, with one record, and her token."""
    await world.open.put({"resourceType": "Patient", "id": name, "name": [{"family": name}]})
    await world.open.put(observation(f"{name}-1", name, note=[{"text": SECRET}]))
    return await world.token(f"Patient/{name}", "patient/*.cruds", patient=name)


# Another person, another way in


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-HTTP-Method": "PUT"},
        {"X-Method-Override": "PATCH"},
        {"X-Original-URL": "/fhir/Observation/anna-0"},
        {"X-Rewrite-URL": "/fhir/Observation/anna-0"},
        {"X-Forwarded-Prefix": "/fhir/Observation/anna-0?"},
        {"X-Forwarded-User": "Patient/boris"},
        {"X-Remote-User": "Patient/boris"},
        {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
        {"Proxy-Authorization": "Bearer x"},
        {"Cookie": "Authorization=Bearer x; access_token=x"},
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT"},
        {"Range": "bytes=0-0"},
        {"If-Range": 'W/"1"', "Range": "bytes=0-0"},
        {"Prefer": "return=representation; handling=lenient"},
        {"Accept": "application/fhir+xml"},
        {"Accept": "text/html"},
        {"TE": "trailers", "Expect": ""},
    ],
    ids=lambda each: next(iter(each)),
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_headers_that_mean_something_elsewhere(
    world: World, stranger: str, method: str, headers: dict[str, str]
) -> None:
    for path in ("/Observation/{}-0", "/Binary/{}-0", "/Observation/{}-0/_history", "/Observation/{}-0/_history/1"):
        answers = [
            await world.asks(stranger, method, path.format(name), headers=headers) for name in ("boris", "absen")
        ]
        assert told(answers[0]) == told(answers[1])
        assert answers[0].status_code in (404, 406)
    untouched = await world.open("GET", "/Observation/boris-0")
    assert untouched.headers["etag"] == 'W/"1"'


async def test_an_expired_token_in_every_place(world: World) -> None:
    """Not one of them is looked at; the true one counts in its own header alone."""
    services = world.gated.application.services
    assert services is not None
    past = datetime.now(UTC) - timedelta(hours=2)
    grant = Grant("Patient/anna", "patient/*.rs", patient="anna")
    expired = await issue_token(services.store.documents("tokens"), grant, minutes=60, now=past)
    good = await world.token("Patient/anna", "patient/*.rs", patient="anna")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await world.asks(expired, "GET", "/Observation/anna-0")).status_code == 401
    assert (await world.asks(None, "GET", f"/Observation/anna-0?access_token={good}")).status_code == 401
    posted = await world.asks(None, "POST", "/Observation/_search", headers=form, content=f"access_token={good}")
    assert posted.status_code == 401
    in_the_query = await world.asks(expired, "GET", f"/Observation/anna-0?access_token={good}")
    assert in_the_query.status_code == 401
    assert (await world.asks(good, "GET", "/Observation/anna-0")).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer", "Bearer ", "Bearer null", "Bearer {token},{token}", "Bearer {token} {token}", "Bearer {token}="),
        *("Basic {token}", "Token {token}", "{token}", "Bearer:{token}", 'Bearer "{token}"', "Bearer %00{token}"),
        *("Bearer " + "A" * 2_049, "Bearer " + "A" * 100_000, 'Bearer {{"$ne":1}}', "Bearer ../tokens/{token}"),
    ],
    ids=lambda each: each[:20],
)
async def test_what_is_no_token(world: World, anna: str, header: str) -> None:
    sent = {"Authorization": header.replace("{{", "{").replace("}}", "}").replace("{token}", anna)}
    answer = await world.gated("GET", "/Observation/anna-0", headers=sent)
    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert anna not in answer.text


# A token that says less


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Patient/anna", 403),
        ("/Patient?_id=anna", 403),
        ("/Patient/anna/Condition", 403),
        ("/Consent?patient=anna", 403),
        ("/Observation/anna-0?_include=Observation:subject", 400),
        ("/Observation?_id=anna-0&_include=Observation:subject&_revinclude=Provenance:target", 200),
        ("/Patient/anna/Observation?_include=Observation:subject", 200),
        ("/_history?_count=1000", 200),
    ],
)
async def test_a_scope_of_one_type_brings_no_other(world: World, path: str, status: int) -> None:
    narrow = await world.token("Patient/anna", "patient/Observation.rs", patient="anna")
    answer = await world.asks(narrow, "GET", path)
    assert answer.status_code == status
    if status == 200 and answer.json()["resourceType"] == "Bundle":
        assert {each.partition("/")[0] for each in found(answer)} <= {"Observation"}


@pytest.mark.parametrize(
    ("letters", "method", "path", "headers", "body"),
    [
        ("u", "GET", "/Observation/anna-0", {}, None),
        ("s", "GET", "/Observation/anna-0", {}, None),
        ("s", "GET", "/Observation/anna-0/_history", {}, None),
        ("s", "GET", "/Observation/anna-0/_history/1", {}, None),
        ("r", "GET", "/Observation?patient=anna", {}, None),
        ("r", "POST", "/Observation/_search", {}, None),
        ("r", "GET", "/Observation/_history", {}, None),
        ("cu", "POST", "/Observation", {"If-None-Exist": "_id=anna-0"}, observation("x", "anna")),
        ("cu", "PUT", "/Observation?_id=anna-0", {}, observation("anna-0", "anna")),
        ("d", "DELETE", "/Observation?_id=anna-0", {}, None),
        ("c", "PUT", "/Observation/anna-0", {}, observation("anna-0", "anna")),
        ("rs", "DELETE", "/Observation/anna-0", {}, None),
    ],
)
async def test_a_letter_opens_no_other_interaction(
    world: World, letters: str, method: str, path: str, headers: dict[str, str], body: Any
) -> None:
    narrow = await world.token("Practitioner/doctor", f"user/Observation.{letters}", role="PractitionerRole/doctor")
    options: dict[str, Any] = {} if body is None else {"json": body}
    answer = await world.asks(narrow, method, path, headers=headers, **options)
    assert answer.status_code == 403
    in_batch = await world.asks(narrow, "POST", "", json=bundle((method, path[1:], body), type="batch"))
    if not headers:
        entries = in_batch.json().get("entry", [{"response": {"status": str(in_batch.status_code)}}])
        assert entries[0]["response"]["status"][:3] in ("403", "404", "400"), entries


async def test_a_doctor_in_the_context_of_one_patient_sees_no_other(world: World) -> None:
    await patient(world, "petra")
    await world.open.put(consent("petra-1", "petra", "Organization/clinic"))
    token = await world.token("Practitioner/doctor", "patient/*.cruds", role="PractitionerRole/doctor", patient="petra")
    assert (await world.asks(token, "GET", "/Observation/petra-1")).status_code == 200
    for path in ("/Observation/anna-0", "/Patient/anna", "/Observation/anna-0/_history"):
        assert (await world.asks(token, "GET", path)).status_code == 404
    assert found(await world.asks(token, "GET", "/Observation?_count=100")) == {"Observation/petra-1"}
    answer = await world.asks(token, "POST", "/Observation", json=observation("x", "anna"))
    assert answer.status_code == 403


# What comes along


async def test_references_of_my_own_bring_nothing_that_i_may_not_see(world: World, doctor: str) -> None:
    """She refers to what is hidden, and asks for what she refers to; and for what refers to her own."""
    named = {"reference": "Patient/boris"}
    mine = await world.asks(
        doctor,
        *("POST", "/Observation"),
        json=observation(
            "x", "anna", hasMember=[{"reference": "Observation/boris-0"}], performer=[named], note=[{"text": "mine"}]
        ),
    )
    assert mine.status_code == 201
    id = mine.json()["id"]
    await world.open.put(observation("boris-from", "boris", derivedFrom=[{"reference": f"Observation/{id}"}]))
    asked = (
        "_include=Observation:has-member&_include=Observation:performer&_include=Observation:subject"
        "&_revinclude=Observation:derived-from&_revinclude=Observation:has-member"
    )
    for path in (f"/Observation?_id={id}&{asked}", f"/Patient/anna/Observation?_id={id}&{asked}"):
        assert found(await world.asks(doctor, "GET", path)) == {f"Observation/{id}", "Patient/anna"}
    groups = "/Patient?_id=anna&_revinclude=Observation:performer&_revinclude=Observation:subject&_count=1"
    assert not any("boris" in each for each in found(await world.asks(doctor, "GET", groups)))


@pytest.mark.parametrize(
    "query",
    [
        *("_id=boris-0,anna-0", "_id=boris-0&_id=boris-0", "_id:not=anna-0", "subject=Patient/boris,Patient/anna"),
        *("patient:missing=false", "_sort=subject", "_sort=-_lastUpdated", "_sort=-subject,_id", "status=final"),
        *("_lastUpdated=gt2000", "date=ge2000", "code=718-7", "performer:missing=true", "_tag:not=x"),
    ],
)
async def test_neither_entries_nor_totals_nor_pages_count_the_hidden(
    world: World, doctor: str, stranger: str, query: str
) -> None:
    whole = await world.asks(doctor, "GET", f"/Observation?{query}&_total=accurate&_count=1000")
    seen = found(whole)
    assert not any("boris" in each for each in seen)
    assert whole.json()["total"] == len(seen)
    count = await world.asks(doctor, "GET", f"/Observation?{query}&_summary=count")
    assert count.json()["total"] == whole.json()["total"]
    walked, path = set[str](), f"/Observation?{query}&_count=2"
    while path:
        page = await world.asks(doctor, "GET", path)
        walked |= found(page)
        following = [link["url"] for link in page.json()["link"] if link["relation"] == "next"]
        assert len(found(page)) == 2 or not following, "A short page tells of what was left out."
        path = following[0].partition("/fhir")[2] if following else ""
    assert walked == seen
    assert not any("boris" in each for each in found(await world.asks(stranger, "GET", f"/Observation?{query}")))


@pytest.mark.parametrize(
    "query",
    ["", "performer=Patient/boris", "performer=boris", "performer=Patient/boris&patient=anna", "subject=Patient/anna"],
)
async def test_what_is_read_is_found_also_by_whom_it_only_mentions(world: World, doctor: str, query: str) -> None:
    """Boris, who permits nobody, is named as the performer; the record is Anna's."""
    await world.open.put(observation("by-boris", "anna", performer=[{"reference": "Patient/boris"}]))
    assert (await world.asks(doctor, "GET", "/Observation/by-boris")).status_code == 200
    assert found(await world.asks(doctor, "GET", f"/Observation?_id=by-boris&{query}")) == {"Observation/by-boris"}


async def test_a_page_link_is_worth_nothing_to_anybody_else(world: World, doctor: str) -> None:
    """To another doctor, to herself in another role or client, for another query; and to herself once it is revoked."""
    quinta = await patient(world, "quinta")
    for number in (2, 3):
        await world.open.put(observation(f"quinta-{number}", "quinta"))
    given = consent("x", "quinta", "Organization/clinic")
    made = await world.asks(quinta, "POST", "/Consent", json=given)
    first = await world.asks(doctor, "GET", "/Observation?patient=quinta&_count=1&_total=accurate")
    [following] = [link["url"] for link in first.json()["link"] if link["relation"] == "next"]
    path = following.partition("/fhir")[2]
    for token in (
        await world.token("Practitioner/stranger", "user/*.cruds", role="PractitionerRole/stranger"),
        await world.token("Practitioner/doctor", "user/*.cruds"),
        await world.token("Practitioner/doctor", "user/*.cruds", role="PractitionerRole/doctor", client="other"),
        await world.token("Practitioner/doctor", "user/*.cruds", role="PractitionerRole/doctor", purpose="ETREAT"),
        quinta,
    ):
        assert (await world.asks(token, "GET", path)).status_code == 400
    assert (await world.asks(doctor, "GET", path.replace("quinta", "boris"))).status_code == 400
    assert len(found(await world.asks(doctor, "GET", path))) == 1
    ended = given | {"id": made.json()["id"], "status": "inactive"}
    assert (await world.asks(quinta, "PUT", f"/Consent/{ended['id']}", json=ended)).status_code == 200
    after = await world.asks(doctor, "GET", path)
    assert found(after) == set()
    assert after.json()["total"] == 0


# Content behind a context


async def test_a_binary_is_what_its_context_is_now(world: World, doctor: str, stranger: str, laboratory: str) -> None:
    system = await world.token("Organization/laboratory", "system/Binary.cruds")
    raw = {"Content-Type": "text/plain", "X-Security-Context": "Observation/anna-0"}
    made = await world.asks(system, "POST", "/Binary", content=SECRET.encode(), headers=raw)
    path = made.headers["location"].partition("/fhir")[2].partition("/_history")[0]
    assert (await world.asks(doctor, "GET", path)).text == SECRET
    assert (await world.asks(doctor, "GET", path, headers={"Range": "bytes=0-2"})).status_code == 206
    for headers in ({}, {"Range": "bytes=999-"}, {"Accept": "application/fhir+json"}, {"If-None-Match": 'W/"1"'}):
        absent = await world.asks(stranger, "GET", "/Binary/absent", headers=headers)
        assert told(await world.asks(stranger, "GET", path, headers=headers)) == told(absent)
    # The doctor may neither change what it says nor hang it behind something that the stranger sees.
    for context in ("Organization/clinic", "Patient/anna", "Observation/absent"):
        answer = await world.asks(
            doctor, "PUT", path, content=b"other", headers={"Content-Type": "text/plain", "X-Security-Context": context}
        )
        assert answer.status_code == 403
    behind = {"Content-Type": "text/plain", "X-Security-Context": "Observation/boris-0"}
    assert (await world.asks(system, "PUT", path, content=b"now his", headers=behind)).status_code == 200
    for sub in ("", "/_history", "/_history/1", "/_history/2"):
        assert (await world.asks(doctor, "GET", path + sub)).status_code == 404


# Labels


async def test_labels_come_down_by_no_way_of_writing(world: World, doctor: str) -> None:
    """By a deletion in between, in XML, by criteria, in a Bundle, by a patch; with a Coding that says less beside."""
    assigning = await world.token(
        "Practitioner/doctor", "user/*.cruds", role="PractitionerRole/doctor", may=("assign-ids",)
    )
    id = "labelled"
    sent = observation(id, "anna", identifier=[{"system": "urn:labels", "value": id}])
    secret = sent | {"meta": {"security": [RESTRICTED, {"system": "urn:x", "code": "own"}]}}
    path = f"/Observation/{id}"
    assert (await world.asks(assigning, "PUT", path, json=secret)).status_code == 201
    xml = (
        f'<Observation xmlns="http://hl7.org/fhir"><id value="{id}"/><identifier><system value="urn:labels"/>'
        f'<value value="{id}"/></identifier><status value="final"/><code><text value="x"/></code>'
        '<subject><reference value="Patient/anna"/></subject></Observation>'
    )
    criteria = f"/Observation?identifier=urn:labels|{id}"
    remove = [{"op": "remove", "path": "/meta/security"}]
    tries: list[tuple[str, str, Mapping[str, Any]]] = [
        ("PUT", path, {"json": sent}),
        ("PUT", path, {"json": sent | {"meta": {"security": []}}}),
        ("PUT", path, {"json": sent | {"meta": {"security": [NORMAL]}}}),
        (
            "PUT",
            path,
            {"json": sent | {"meta": {"security": [NORMAL, {"system": CONFIDENTIALITY.upper(), "code": "R"}]}}},
        ),
        ("PUT", path, {"json": sent | {"meta": {"security": [{"system": CONFIDENTIALITY, "code": "r"}]}}}),
        ("PUT", path, {"json": sent | {"meta": {"security": [{"system": CONFIDENTIALITY, "display": "R"}]}}}),
        ("PUT", path, {"json": sent | {"meta": {"security": [{"code": "R"}]}}}),
        ("PUT", path, {"content": xml, "headers": XML}),
        ("PUT", criteria, {"json": sent}),
        ("PATCH", path, {"json": remove, "headers": PATCH}),
        ("PATCH", criteria, {"json": remove, "headers": PATCH}),
        ("POST", "", {"json": bundle(("PUT", path[1:], sent))}),
        ("POST", "", {"json": bundle(("PUT", path[1:], sent), type="batch")}),
        ("DELETE", path, {}),
        ("PUT", path, {"json": sent}),
        ("POST", "", {"json": bundle(("DELETE", path[1:], None))}),
        ("PUT", path, {"json": sent}),
    ]
    for method, where, options in tries:
        answer = await world.asks(assigning, method, where, **options)
        assert answer.status_code < 500
        now = await world.open("GET", path)
        if now.status_code == 200:
            labels = now.json()["meta"].get("security", [])
            assert RESTRICTED in labels, (method, where, options, answer.text, labels)
            assert {"system": "urn:x", "code": "own"} in labels, (method, where, options, labels)
    higher = secret | {"meta": {"security": [{"system": CONFIDENTIALITY, "code": "V"}]}}
    raised = await world.asks(assigning, "PUT", path, json=higher)
    assert raised.status_code in (200, 201)
    assert raised.json()["meta"]["security"][0]["code"] == "V"


# Rights for myself


def _rights(name: str) -> list[dict[str, Any]]:
    me, hers = {"reference": "Practitioner/stranger"}, {"reference": "Patient/boris"}
    return [
        {"resourceType": "PractitionerRole", "practitioner": me, "organization": {"reference": "Organization/clinic"}},
        {"resourceType": "Organization", "name": name, "partOf": {"reference": "Organization/clinic"}},
        {"resourceType": "Practitioner", "name": [{"family": name}]},
        {"resourceType": "OrganizationAffiliation", "organization": {"reference": "Organization/clinic"}},
        {"resourceType": "CareTeam", "status": "active", "subject": hers, "participant": [{"member": me}]},
        {"resourceType": "Group", "type": "person", "actual": True, "member": [{"entity": hers}]},
        {"resourceType": "RelatedPerson", "active": True, "patient": hers},
        {"resourceType": "Schedule", "actor": [me]},
        consent("x", "boris", "Practitioner/stranger"),
        consent("x", "boris", "Organization/elsewhere", status="inactive"),
    ]


@pytest.mark.parametrize("number", range(len(_rights(""))))
@pytest.mark.parametrize("who", ["doctor", "anna", "star"])
async def test_nobody_writes_rights_for_herself(world: World, doctor: str, anna: str, who: str, number: int) -> None:
    star = await world.token("Organization/elsewhere", "system/*.cruds", may=("assign-ids",))
    token = {"doctor": doctor, "anna": anna, "star": star}[who]
    resource = _rights("elsewhere")[number]
    resource.pop("id", None)
    resource_type = resource["resourceType"]
    placed = resource | {"id": "elsewhere"}
    for answer in (
        await world.asks(token, "POST", f"/{resource_type}", json=resource),
        await world.asks(token, "PUT", f"/{resource_type}/elsewhere", json=placed),
        await world.asks(token, "PUT", f"/{resource_type}?_id=elsewhere", json=resource),
        await world.asks(token, "POST", f"/{resource_type}", json=resource, headers={"If-None-Exist": "_id=absent"}),
        await world.asks(token, "POST", "", json=bundle(("POST", resource_type, resource))),
        await world.asks(token, "POST", "", json=bundle(("PUT", f"{resource_type}/elsewhere", placed))),
    ):
        assert answer.status_code in (403, 405), answer.text
    batch = await world.asks(token, "POST", "", json=bundle(("POST", resource_type, resource), type="batch"))
    assert batch.json()["entry"][0]["response"]["status"].startswith("403")
    if resource_type != "Consent":
        role = f"/{resource_type}/{'stranger' if resource_type.startswith('Practitioner') else 'elsewhere'}"
        move = [{"op": "add", "path": "/active", "value": True}]
        patched = await world.asks(token, "PATCH", role, json=move, headers=PATCH)
        assert patched.status_code in (403, 404), patched.text
        assert (await world.asks(token, "DELETE", role)).status_code in (204, 403)
    stays = await world.open("GET", "/Organization/elsewhere")
    assert "partOf" not in stays.json()
    assert (await world.open("GET", "/PractitionerRole/stranger")).headers["etag"] == 'W/"1"'


async def test_a_consent_that_the_patient_changed_is_hers_by_every_way(world: World, stranger: str) -> None:
    """A registry wrote it; she narrowed it. The registry, which may name ids, tries everything, and after her deletion too."""
    rita = await patient(world, "rita")
    registry = await world.token("Organization/laboratory", "system/Consent.cruds", may=("assign-ids",))
    identifier = [{"system": "urn:consents", "value": "rita"}]
    wide = consent("rita-c", "rita", "Practitioner/stranger", identifier=identifier)
    assert (await world.asks(registry, "PUT", "/Consent/rita-c", json=wide)).status_code == 201
    assert (await world.asks(stranger, "GET", "/Observation/rita-1")).status_code == 200
    narrowed = wide | {"provision": {"type": "deny"}}
    assert (await world.asks(rita, "PUT", "/Consent/rita-c", json=narrowed)).status_code == 200
    activate = [{"op": "replace", "path": "/provision", "value": wide["provision"]}]
    unnamed = {name: value for name, value in wide.items() if name != "id"}
    moved = wide | {"patient": {"reference": "Patient/boris"}}

    async def tries() -> None:
        for method, path, options in (
            ("PUT", "/Consent/rita-c", {"json": wide}),
            ("PUT", "/Consent/rita-c", {"json": wide, "headers": {"If-Match": 'W/"2"'}}),
            ("PUT", "/Consent/rita-c", {"json": wide, "headers": {"If-Match": "*"}}),
            ("PUT", "/Consent/rita-c", {"json": moved}),
            ("PUT", "/Consent?_id=rita-c", {"json": wide}),
            ("PATCH", "/Consent/rita-c", {"json": activate, "headers": PATCH}),
            ("PATCH", "/Consent?_id=rita-c", {"json": activate, "headers": PATCH}),
            ("DELETE", "/Consent/rita-c", {}),
            ("DELETE", "/Consent?_id=rita-c", {}),
            ("DELETE", "/Consent?identifier=urn:consents|rita", {}),
            ("POST", "", {"json": bundle(("PUT", "Consent/rita-c", wide))}),
            ("POST", "", {"json": bundle(("DELETE", "Consent/rita-c", None), ("POST", "Basic", None))}),
            ("POST", "", {"json": bundle(("DELETE", "Consent/rita-c", None), type="batch")}),
        ):
            answer = await world.asks(registry, method, path, **options)
            assert answer.status_code < 500, answer.text
        assert (await world.asks(stranger, "GET", "/Observation/rita-1")).status_code == 404
        assert (await world.asks(registry, "GET", "/Consent/rita-c")).status_code == 404
        assert (await world.asks(registry, "GET", "/Consent/rita-c/_history/1")).status_code == 404

    await tries()
    hers = await world.asks(rita, "GET", "/Consent/rita-c")
    assert hers.json()["provision"] == {"type": "deny"}
    assert hers.json()["meta"]["versionId"] == "2"
    # Beside hers the registry may put another one: her deny goes before it.
    assert (await world.asks(registry, "POST", "/Consent", json=unnamed)).status_code == 201
    assert (await world.asks(stranger, "GET", "/Observation/rita-1")).status_code == 404
    assert (await world.asks(rita, "DELETE", "/Consent/rita-c")).status_code == 204
    again = await world.asks(registry, "PUT", "/Consent/rita-c", json=wide)
    assert again.status_code == 409
    assert (await world.asks(rita, "GET", "/Consent/rita-c")).status_code == 410


async def test_a_consent_in_pieces_gives_no_effect(world: World, stranger: str) -> None:
    """A patient that is made in the same transaction, a patient by her identifier, a status that comes later."""
    await patient(world, "sonja")
    star = await world.token("Organization/elsewhere", "system/*.cruds")
    forged = consent("x", "sonja", "Practitioner/stranger")
    forged.pop("id")
    given = {"resourceType": "Consent", "status": "draft"}
    by_urn = forged | {"patient": {"reference": "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"}}
    new = {"resourceType": "Patient", "identifier": [{"system": "urn:sonja", "value": "1"}]}
    full = {"fullUrl": "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"}
    together = bundle(("POST", "Patient", new), ("POST", "Consent", by_urn))
    together["entry"][0] |= full
    assert (await world.asks(star, "POST", "", json=together)).status_code == 403
    await world.open.put({"resourceType": "Patient", "id": "sonja", "identifier": new["identifier"]})
    keyed = bundle(("POST", "Consent", forged | {"patient": {"reference": "Patient?identifier=urn:sonja|1"}}))
    for token in (star, stranger):
        assert (await world.asks(token, "POST", "", json=keyed)).status_code in (400, 403, 412, 422)
        draft = await world.asks(token, "POST", "/Consent", json=forged | {"status": given["status"]})
        if draft.status_code == 201:
            path = f"/Consent/{draft.json()['id']}"
            step = [{"op": "replace", "path": "/status", "value": "active"}]
            assert (await world.asks(token, "PATCH", path, json=step, headers=PATCH)).status_code == 403
            whole = forged | {"id": draft.json()["id"]}
            assert (await world.asks(token, "POST", "", json=bundle(("PUT", path[1:], whole)))).status_code == 403
    xml = (
        '<Consent xmlns="http://hl7.org/fhir"><status value="active"/><scope><coding>'
        '<system value="http://terminology.hl7.org/CodeSystem/consentscope"/><code value="patient-privacy"/></coding></scope>'
        '<category><text value="x"/></category><patient><reference value="Patient/sonja"/></patient>'
        '<policyRule><text value="x"/></policyRule></Consent>'
    )
    for token in (star, stranger):
        assert (await world.asks(token, "POST", "/Consent", content=xml, headers=XML)).status_code == 403
    assert (await world.asks(stranger, "GET", "/Observation/sonja-1")).status_code == 404


async def test_a_patient_takes_over_nothing_of_another(world: World, anna: str) -> None:
    """Her own Consent put under another id, another's record put under her name, her own given to another."""
    tanja = await patient(world, "tanja")
    await world.open.put(consent("tanja-c", "tanja", None, provision={"type": "deny"}))
    assigning = await world.token("Patient/anna", "patient/*.cruds", patient="anna", may=("assign-ids",))
    for token in (anna, assigning):
        hers = consent("tanja-c", "anna", None, status="inactive")
        assert (await world.asks(token, "PUT", "/Consent/tanja-c", json=hers)).status_code in (405, 409)
        taken = await world.asks(token, "PUT", "/Observation/tanja-1", json=observation("tanja-1", "anna"))
        assert taken.status_code in (405, 409)
        assert (await world.asks(token, "DELETE", "/Observation/tanja-1")).status_code == 204
        given = await world.asks(token, "POST", "/Observation", json=observation("x", "tanja"))
        assert given.status_code == 403
        both = observation("x", "anna", focus=[{"reference": "Patient/tanja"}])
        assert (await world.asks(token, "POST", "/Observation", json=both)).status_code == 403
        assert (
            await world.asks(token, "PUT", "/Patient/anna", json={"resourceType": "Patient", "id": "anna"})
        ).status_code == 403
    assert SECRET in (await world.asks(tanja, "GET", "/Observation/tanja-1")).text
    assert (await world.asks(tanja, "GET", "/Consent/tanja-c")).json()["provision"] == {"type": "deny"}


@pytest.mark.parametrize("path", ["/Observation/{}/$meta", "/Observation/{}/$validate", "/Observation/{}/$everything"])
async def test_operations_on_the_hidden(world: World, stranger: str, path: str) -> None:
    for method in ("GET", "POST"):
        answers = [await world.asks(stranger, method, path.format(id)) for id in ("boris-0", "absen-0")]
        assert told(answers[0]) == told(answers[1])
        assert answers[0].status_code in (403, 404, 405)
