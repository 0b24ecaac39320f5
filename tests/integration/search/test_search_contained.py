"""Contained resources found by what they are: how they are sent, in which pages, and what it takes to find them.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient

from fhirserver.search.index.contained import MOST, REFERRED
from tests.integration.serving import FHIR, Server, serving_alone

Resource = dict[str, Any]


def medication(id: str, code: str, **more: Any) -> Resource:
    return {"resourceType": "Medication", "id": id, "code": {"coding": [{"system": "urn:c", "code": code}]}, **more}


def request(id: str, *contained: Resource, **more: Any) -> Resource:
    """A MedicationRequest of the first of the resources that it contains; it mentions the others."""
    first, *others = contained
    mentioned = {"supportingInformation": [{"reference": f"#{each['id']}"} for each in others]} if others else {}
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": f"#{first['id']}"},
        **mentioned,
        "contained": list(contained),
        **more,
    }


def statement(id: str, *contained: Resource) -> Resource:
    found = request(id, *contained)
    found["resourceType"] = "MedicationStatement"
    if mentioned := found.pop("supportingInformation", None):
        found["derivedFrom"] = mentioned
    del found["intent"]
    return found


@pytest.fixture(scope="module")
async def own(mongo_url: str) -> AsyncIterator[tuple[Server, Any]]:
    """A server of its own, for what is asked goes through all there is; and its database."""
    async with serving_alone(mongo_url) as server, AsyncMongoClient[dict[str, Any]](mongo_url) as client:
        yield server, client[server.application.settings.database]


@pytest.fixture(scope="module")
def server(own: tuple[Server, Any]) -> Server:
    return own[0]


def entries(answer: httpx.Response) -> list[Resource]:
    assert answer.status_code == 200, answer.text
    found: list[Resource] = answer.json().get("entry", [])
    return found


def addresses(answer: httpx.Response) -> list[str]:
    return [each["fullUrl"].removeprefix(f"{FHIR}/") for each in entries(answer) if each["search"]["mode"] == "match"]


async def walk(server: Server, path: str) -> list[list[str]]:
    """The addresses of all pages."""
    pages = []
    following: str | None = path
    while following is not None:
        answer = await server("GET", following)
        pages.append(addresses(answer))
        links = {each["relation"]: each["url"].removeprefix(FHIR) for each in answer.json()["link"]}
        following = links.get("next")
    return pages


# How they are sent


async def test_a_container_is_sent_as_it_is(server: Server) -> None:
    sent = request("sent", medication("m", "sent-1"))
    await server.put(sent)
    (entry,) = entries(await server("GET", "/Medication?code=sent-1&_contained=true"))
    assert (entry["fullUrl"], entry["search"]) == (f"{FHIR}/MedicationRequest/sent", {"mode": "match"})
    assert entry["resource"] == (await server("GET", "/MedicationRequest/sent")).json()


async def test_a_contained_resource_is_sent_as_it_is_contained(server: Server) -> None:
    """Its address is its container's with its id; its digits stay as they are, and it gets nothing that it has not."""
    inner = (
        b'{"resourceType":"Medication","id":"m","code":{"coding":[{"system":"urn:c","code":"sent-2"}]},'
        b'"amount":{"numerator":{"value":1.50},"denominator":{"value":1E2}}}'
    )
    body = (
        b'{"resourceType":"MedicationRequest","id":"exact","status":"active","intent":"order",'
        b'"subject":{"reference":"Patient/p"},"medicationReference":{"reference":"#m"},"contained":[%b]}' % inner
    )
    written = await server(
        "PUT", "/MedicationRequest/exact", content=body, headers={"content-type": "application/fhir+json"}
    )
    assert written.status_code == 201
    answer = await server("GET", "/Medication?code=sent-2&_contained=true&_containedType=contained")
    assert addresses(answer) == ["MedicationRequest/exact#m"]
    assert inner in answer.content
    as_xml = await server("GET", "/Medication?code=sent-2&_contained=true&_containedType=contained&_format=xml")
    assert b'<fullUrl value="%b/MedicationRequest/exact#m"/>' % FHIR.encode() in as_xml.content


async def test_a_part_of_a_contained_resource_says_that_it_is_one(server: Server) -> None:
    await server.put(request("part", medication("m", "sent-3", status="active", form={"text": "x"})))
    alone = "/Medication?code=sent-3&_contained=true&_containedType=contained"
    for shape, left in (("_elements=status", {"status"}), ("_summary=true", {"code", "status"})):
        ((resource,),) = [[each["resource"] for each in entries(await server("GET", f"{alone}&{shape}"))]]
        assert resource["meta"]["tag"][0]["code"] == "SUBSETTED"
        assert resource.keys() - {"resourceType", "id", "meta"} == left
    whole = entries(await server("GET", "/Medication?code=sent-3&_contained=true&_elements=status"))[0]["resource"]
    assert "contained" in whole
    named = "/Medication?code=sent-3&_contained=true&_elements=MedicationRequest.subject"
    cut = entries(await server("GET", named))[0]["resource"]
    assert "subject" in cut
    assert "contained" not in cut


async def test_totals_count_what_is_sent(server: Server) -> None:
    await server.put(request("count", medication("a", "sent-4"), medication("b", "sent-4"), medication("c", "other")))
    await server.put(medication("count", "sent-4"))
    for contained, kind, total in (
        ("true", "container", 1),
        ("true", "contained", 2),
        ("both", "container", 2),
        ("both", "contained", 3),
    ):
        path = f"/Medication?code=sent-4&_contained={contained}&_containedType={kind}"
        for shape in ("_total=accurate", "_total=estimate", "_summary=count", "_count=0", "_count=5"):
            assert (await server("GET", f"{path}&{shape}")).json()["total"] == total, (path, shape)
        assert "total" not in (await server("GET", f"{path}&_total=none")).json()


async def test_it_is_asked_in_a_batch_and_in_a_transaction(server: Server) -> None:
    await server.put(request("asked", medication("m", "sent-5")))
    for kind in ("batch", "transaction"):
        for url, found in (
            ("Medication?code=sent-5&_contained=true", "MedicationRequest/asked"),
            ("Medication?code=sent-5&_contained=both&_containedType=contained", "MedicationRequest/asked#m"),
        ):
            bundle = {"resourceType": "Bundle", "type": kind, "entry": [{"request": {"method": "GET", "url": url}}]}
            answer = (await server("POST", "", json=bundle)).json()
            assert [each["fullUrl"] for each in answer["entry"][0]["resource"]["entry"]] == [f"{FHIR}/{found}"]


async def test_where_it_cannot_be_asked_it_is_refused_and_said(server: Server) -> None:
    for path in ("/Patient/p/Observation?_contained=true", "?_type=Medication&_contained=both"):
        answer = await server("GET", path)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported"), path
        lenient = await server("GET", path, headers={"Prefer": "handling=lenient"})
        issues = [each["resource"]["issue"][0] for each in entries(lenient) if each["search"]["mode"] == "outcome"]
        assert "were found" not in lenient.text
        assert [issue["code"] for issue in issues] == ["not-supported"], path


# Pages

PAGED: Sequence[Resource] = (
    request("page-1", medication("a", "paged"), medication("x", "other"), medication("b", "paged")),
    statement("page-2", medication("a", "paged")),
    request("page-3", *(medication(id, "paged") for id in "abcde")),
    medication("page-4", "paged"),
    statement("page-5", medication("x", "other"), medication("b", "paged"), medication("c", "paged")),
    medication("page-6", "paged"),
)
ALONE = {
    "page-1": ["MedicationRequest/page-1#a", "MedicationRequest/page-1#b"],
    "page-2": ["MedicationStatement/page-2#a"],
    "page-3": [f"MedicationRequest/page-3#{id}" for id in "abcde"],
    "page-4": ["Medication/page-4"],
    "page-5": ["MedicationStatement/page-5#b", "MedicationStatement/page-5#c"],
    "page-6": ["Medication/page-6"],
}
WHOLE = {id: [found[0].partition("#")[0]] for id, found in ALONE.items()}
IN_TURN = ["page-4", "page-6", "page-1", "page-3", "page-2", "page-5"]


@pytest.fixture(scope="module")
async def paged(server: Server) -> str:
    for resource in PAGED:
        await server.put(resource)
    return "/Medication?code=paged&_contained=both"


@pytest.mark.parametrize("sort", ["", "_lastUpdated", "-_lastUpdated"])
@pytest.mark.parametrize("kind", ["container", "contained"])
async def test_pages_are_full_and_show_each_once(server: Server, paged: str, kind: str, sort: str) -> None:
    found = ALONE if kind == "contained" else WHOLE
    order = {"": IN_TURN, "_lastUpdated": sorted(found), "-_lastUpdated": sorted(found)[::-1]}[sort]
    expected = [address for id in order for address in found[id]]
    for count in (1, 2, 3, 5, len(expected) - 1, len(expected), len(expected) + 1):
        path = f"{paged}&_containedType={kind}&_count={count}" + (f"&_sort={sort}" if sort else "")
        pages = await walk(server, path)
        assert [address for page in pages for address in page] == expected, path
        assert [len(page) for page in pages[:-1]] == [count] * (len(pages) - 1), path
        assert pages[-1], path


@pytest.mark.parametrize("sort", ["", "&_sort=_lastUpdated", "&_sort=-_lastUpdated"])
async def test_a_walk_goes_on_where_a_container_has_lost_what_was_shown(server: Server, sort: str) -> None:
    """What did not change meanwhile is shown once."""
    code = f"walk{sort[-3:]}".replace("=", "")
    first, last = request("walk-1", *(medication(id, code) for id in "abc")), request("walk-2", medication("z", code))
    for resource in (last, first) if "-_" in sort else (first, last):
        await server.put(resource)
    path = f"/Medication?code={code}&_contained=true&_containedType=contained&_count=2{sort}"
    answer = await server("GET", path)
    assert addresses(answer) == ["MedicationRequest/walk-1#a", "MedicationRequest/walk-1#b"]
    following = {each["relation"]: each["url"].removeprefix(FHIR) for each in answer.json()["link"]}["next"]
    await server("DELETE", "/MedicationRequest/walk-1")
    assert await walk(server, following) == [["MedicationRequest/walk-2#z"]]


async def test_a_page_of_another_size_or_query_is_refused(server: Server, paged: str) -> None:
    answer = await server("GET", f"{paged}&_count=2")
    following = {each["relation"]: each["url"].removeprefix(FHIR) for each in answer.json()["link"]}["next"]
    assert (await server("GET", following.replace("_count=2", "_count=3"))).status_code == 400
    assert (await server("GET", following.replace("both", "true"))).status_code == 400


# What is stored of them


async def test_of_a_great_many_the_first_are_found(server: Server) -> None:
    many = [medication(f"m{number}", "many") for number in range(MOST + 5)]
    await server.put(request("many", *many))
    path = "/Medication?code=many&_contained=true&_containedType=contained&_summary=count"
    assert (await server("GET", path)).json()["total"] == MOST


async def test_of_what_refers_to_one_another_a_bounded_number_is_kept_twice(own: tuple[Server, Any]) -> None:
    """Otherwise what is stored would grow with the square of what is sent."""
    server, database = own
    makers = [{"resourceType": "Organization", "id": f"o{number}", "name": "Maker"} for number in range(20)]
    drugs = [
        medication(f"m{number}", "knot", manufacturer={"reference": f"#o{number % 20}"})
        for number in range(2 * REFERRED)
    ]
    await server.put(request("knot", *drugs, *makers))
    row = await database["MedicationRequest"].find_one({"_id": "knot"})
    nested = [inner for each in row["index"]["_contained"] for inner in each["index"].get("_contained", ())]
    assert len(nested) == REFERRED


async def test_a_change_of_the_container_is_a_change_of_what_is_found(server: Server) -> None:
    path = "/Medication?code=changed&_contained=true"
    for code, found in (("changed", ["MedicationRequest/changed"]), ("other", [])):
        await server.put(request("changed", medication("m", code)))
        assert addresses(await server("GET", path)) == found


async def test_what_contains_nothing_is_not_in_the_index(own: tuple[Server, Any]) -> None:
    server, database = own
    await server.put(medication("plain", "plain"))
    assert "_contained" not in (await database["Medication"].find_one({"_id": "plain"}))["index"]
    indexes = await database["Medication"].index_information()
    assert indexes["inside"]["partialFilterExpression"] == {"index._inside": {"$exists": True}}


@pytest.mark.parametrize(
    "path",
    [
        "/Medication?code=led&_contained=true",
        "/Medication?identifier=urn:i|led&_contained=both&_sort=-_lastUpdated",
        "/Organization?name=led&_contained=true&_containedType=contained&_total=accurate",
        "/Medication?manufacturer.name=led&_contained=true",
        "/Medication?manufacturer.name=led&code=led,more&_contained=true",
        "/MedicationRequest?medication.identifier=urn:i|led",
        "/MedicationRequest?medication.identifier=urn:i|led&medication.code=led&patient=Patient/led",
        "/MedicationRequest?medication.manufacturer.name=led",
    ],
)
async def test_it_is_led_by_the_index(own: tuple[Server, Any], path: str) -> None:
    """However much there is, what is looked at is what has been found, or nearly."""
    server, database = own
    maker = {"resourceType": "Organization", "id": "o", "name": "Led"}
    more = {"manufacturer": {"reference": "#o"}, "identifier": [{"system": "urn:i", "value": "led"}]}
    await server.put(request("led", medication("m", "led", **more), maker, subject={"reference": "Patient/led"}))
    crowd = [
        request(f"crowd-{number}", medication("m", "crowd"), subject={"reference": f"Patient/{number}"})
        for number in range(60)
    ]
    bundle = [
        {"resource": each, "request": {"method": "PUT", "url": f"MedicationRequest/{each['id']}"}} for each in crowd
    ]
    assert (
        await server("POST", "", json={"resourceType": "Bundle", "type": "batch", "entry": bundle})
    ).status_code == 200
    await database["system.profile"].drop()
    await database.command({"profile": 2})
    try:
        answer = await server("GET", path)
    finally:
        await database.command({"profile": 0})
    assert addresses(answer) in (["MedicationRequest/led"], ["MedicationRequest/led#o"])
    rows = await database["system.profile"].find({"op": {"$in": ["query", "command"]}}).to_list()
    plans = [row for row in rows if row["ns"].rpartition(".")[2][:1].isupper() and "planSummary" in row]
    assert plans
    for row in plans:
        assert "COLLSCAN" not in row["planSummary"], row["command"]
        assert row["docsExamined"] <= 5, (row["planSummary"], row["command"])


# Criteria


async def test_a_criterion_goes_into_what_is_contained(server: Server) -> None:
    """Also in what another entry of the transaction writes."""
    first, second = request("c", medication("m", "criterion")), request("d", medication("m", "criterion"))
    criteria = {"If-None-Exist": "medication.code=criterion"}
    statuses = [
        (await server("POST", "/MedicationRequest", json=each, headers=criteria)).status_code
        for each in (first, second)
    ]
    assert statuses == [201, 200]
    entries = [
        {
            "fullUrl": f"urn:uuid:{uuid.uuid4()}",
            "resource": request(id, medication("m", "criterion-2")),
            "request": {"method": "POST", "url": "MedicationRequest", "ifNoneExist": "medication.code=criterion-2"},
        }
        for id in "ef"
    ]
    for status in ("201", "200"):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries[:1]}
        answer = (await server("POST", "", json=bundle)).json()
        assert answer["entry"][0]["response"]["status"].startswith(status)
    both = {"resourceType": "Bundle", "type": "transaction", "entry": [_with(each, "criterion-3") for each in entries]}
    answered = (await server("POST", "", json=both)).json()
    assert [each["response"]["status"][:3] for each in answered["entry"]] == ["201", "200"]


async def test_a_criterion_goes_through_and_out_of_what_is_contained(server: Server) -> None:
    maker = {"resourceType": "Organization", "id": "o", "name": "Criterion Works"}
    await server.put(request("criterion", medication("m", "criterion-4", manufacturer={"reference": "#o"}), maker))
    for name, status in (("criterion works", 200), ("nobody", 201)):
        answer = await server(
            "POST",
            "/MedicationRequest",
            json=request("x", medication("m", "criterion-5")),
            headers={"If-None-Exist": f"medication.manufacturer.name={name}&medication.code=criterion-4"},
        )
        assert answer.status_code == status, answer.text


# Contained or not, a chain finds the same

CHAINS = [
    *(f"code{each}" for each in ("=x", "=y", ":not=x", "=x,y", ":missing=false", ":missing=true", "=urn:c|", "=z")),
    *(f"status{each}" for each in ("=active", ":missing=true")),
    *(f"expiration-date={each}" for each in ("2026", "ge2026-06", "lt2026-02", "ne2026")),
    *(
        f"manufacturer{each}"
        for each in (".name=acme", ".name=b", ".name:exact=Acme", ".name:contains=m", ":missing=true")
    ),
    *(
        f"manufacturer.{each}"
        for each in ("active=true", "active:not=true", "identifier=urn:i|1", "partof=Organization/trust")
    ),
    "identifier=urn:i|7&medication.code=x",
    "code=x&medication.manufacturer.name=acme",
    "code=x&medication.manufacturer.name=b",
]
FILTERS = [
    "medication.code eq x or medication.code eq y",
    "not (medication.code eq x)",
    "medication[code eq x].manufacturer.name eq acme",
    "medication[code eq x and status eq active].code pr true",
    "not (medication.manufacturer.name co m) and status eq active",
    "medication.code pr true",
    "medication pr true",
]


async def test_chains_find_the_same_contained_or_not(server: Server) -> None:
    makers = [
        {"resourceType": "Organization", "id": "acme", "name": "Acme", "active": True},
        {
            "resourceType": "Organization",
            "id": "bm",
            "name": "Bm",
            "identifier": [{"system": "urn:i", "value": "1"}],
            "partOf": {"reference": "Organization/trust"},
        },
    ]
    drugs = [
        medication("0", "x", status="active", manufacturer={"reference": "Organization/acme"}),
        medication("1", "x", batch={"expirationDate": "2026-07"}, manufacturer={"reference": "Organization/bm"}),
        medication("2", "y", identifier=[{"system": "urn:i", "value": "7"}], batch={"expirationDate": "2026-01"}),
        medication("3", "x", identifier=[{"system": "urn:i", "value": "7"}], status="inactive"),
        {"resourceType": "Medication", "id": "4", "status": "active"},
    ]
    for each in (*makers, *({**drug, "id": f"apart-{drug['id']}"} for drug in drugs)):
        await server.put(each)
    for drug in drugs:
        whole = request(
            f"apart-{drug['id']}", drug, medicationReference={"reference": f"Medication/apart-{drug['id']}"}
        )
        del whole["contained"]
        maker = drug.get("manufacturer", {}).get("reference", "").partition("/")[2]
        beside = [each for each in makers if each["id"] == maker]
        inner = {**drug, "manufacturer": {"reference": f"#{maker}"}} if beside else drug
        await server.put(whole)
        await server.put(request(f"inside-{drug['id']}", inner, *beside))
        await server.put(request(f"half-{drug['id']}", drug))
    ids = [f"{kind}-{drug['id']}" for kind in ("apart", "inside", "half") for drug in drugs]
    asked = [f"medication.{chain}" for chain in CHAINS] + [f"_filter={each}" for each in FILTERS]
    telling = 0
    for query in asked:
        for narrowed in (f"&_id={','.join(ids)}", ""):
            answer = await server("GET", f"/MedicationRequest?{query}{narrowed}&_count=1000")
            found: dict[str, set[str]] = {"apart": set(), "inside": set(), "half": set()}
            for each in entries(answer):
                kind, _, number = each["resource"]["id"].rpartition("-")
                if kind in found:
                    found[kind].add(number)
            assert found["apart"] == found["inside"] == found["half"], query
            telling += 0 < len(found["apart"]) < len(drugs)
    assert telling > len(asked)


def _with(entry: Resource, code: str) -> Resource:
    return {
        **entry,
        "resource": request("x", medication("m", code)),
        "request": {**entry["request"], "ifNoneExist": f"medication.code={code}"},
    }
