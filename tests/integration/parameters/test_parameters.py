"""https://hl7.org/fhir/R4/searchparameter.html: parameters of one's own, used when what is stored was indexed for them."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from typing import Any

import pytest

from fhirserver.app import derivation
from fhirserver.definitions import load
from fhirserver.interactions.parameters import Means, inform
from fhirserver.interactions.parameters.keeper import DEAD, SERVERS
from fhirserver.search.permit import Permit
from fhirserver.settings import Settings
from fhirserver.store import By, Store, Write, packed, prepare
from fhirserver.store.commit.fence import seconds
from fhirserver.store.connection.client import Mongo
from tests.integration.parameters.stepped import Stepped, parameter, patient


async def test_a_parameter_is_refused_until_everything_is_indexed_and_then_finds_what_was_there_and_what_came(
    stepped: Stepped,
) -> None:
    server = stepped.server
    await server.put(patient("old-red", "red"))
    await server.put(patient("old-blond", "blond"))
    assert "no search parameter" in await stepped.refused("Patient?hair=red")
    await server.put(parameter())
    assert "no search parameter" in await stepped.refused("Patient?hair=red")
    await stepped.refresh()
    assert "not used yet" in await stepped.refused("Patient?hair=red")
    await server.put(patient("new-red", "red"))
    assert "not used yet" in await stepped.refused("Patient?hair=red")
    assert await stepped.work() == 1
    assert await stepped.ids("Patient?hair=red&_sort=_id") == ["new-red", "old-red"]
    assert await stepped.ids("Patient?hair:missing=true") == []
    await server.put(patient("late-red", "red"))
    assert await stepped.ids("Patient?hair=red&_sort=_id") == ["late-red", "new-red", "old-red"]
    asked = await server("GET", "/$graphql", params={"query": '{PatientList(hair: "blond"){id}}'})
    assert asked.json()["data"] == {"PatientList": [{"id": "old-blond"}]}


async def test_a_parameter_that_changes_or_goes_is_not_used_until_every_server_knows(stepped: Stepped) -> None:
    server = stepped.server
    await server.put(patient("red", "red") | {"gender": "male"})
    await server.put(parameter())
    await stepped.settle()
    assert await stepped.ids("Patient?hair=red") == ["red"]
    await server.put(parameter(expression="Patient.gender"))
    await stepped.settle()
    assert await stepped.ids("Patient?hair=male") == ["red"]
    assert await stepped.ids("Patient?hair=red") == []
    await server.put(parameter(status="retired"))
    await stepped.settle()
    assert "no search parameter" in await stepped.refused("Patient?hair=male")
    await server.put(parameter())
    await stepped.settle()
    assert await stepped.ids("Patient?hair=red") == ["red"]
    assert (await server("DELETE", "/SearchParameter/hair")).status_code == 204
    await stepped.settle()
    assert "no search parameter" in await stepped.refused("Patient?hair=red")
    assert (await indexes(stepped, "Patient")) == set()


async def indexes(stepped: Stepped, resource_type: str) -> set[str]:
    """The names of the further indexes of a type."""
    database = stepped.database
    return {name for name in await database[resource_type].index_information() if name.startswith("further ")}


KINDS: list[tuple[str, str, str, dict[str, Any], list[str], str | None]] = [
    # type, code, expression, more of the definition, queries that find it, what an index leads with
    ("token", "h-token", "Patient.maritalStatus", {}, ["h-token=M", "h-token=urn:m|M", "h-token:not=S"], "index.h-token"),
    ("string", "h-string", "Patient.contact.name.family", {}, ["h-string=zim", "h-string:exact=Zimmer", "h-string:contains=imm"], "index.h-string.f"),
    ("uri", "h-uri", "Patient.implicitRules", {}, ["h-uri=http://x/rules/1", "h-uri:below=http://x/rules"], "index.h-uri"),
    ("date", "h-date", "Patient.contact.period", {}, ["h-date=2020", "h-date=ge2020-03", "h-date=lt2021"], "index.h-date.lo"),
    ("number", "h-number", "Patient.multipleBirth.as(integer)", {}, ["h-number=2", "h-number=gt1"], None),
    ("quantity", "h-quantity", "Patient.extension('urn:weight').value.as(Quantity)", {}, ["h-quantity=70|http://unitsofmeasure.org|kg", "h-quantity=gt69000|http://unitsofmeasure.org|g"], None),
    ("reference", "h-reference", "Patient.contact.organization", {"target": ["Organization"]}, ["h-reference=Organization/o", "h-reference.name=acme"], None),
    ("composite", "h-composite", "Patient", {"component": [
        {"definition": "http://hl7.org/fhir/SearchParameter/individual-gender", "expression": "gender"},
        {"definition": "http://hl7.org/fhir/SearchParameter/individual-birthdate", "expression": "birthDate"},
    ]}, ["h-composite=female$1980-01-01", "h-composite=female$lt1981"], None),
]  # fmt: skip
WHOLE = {
    "resourceType": "Patient",
    "id": "whole",
    "implicitRules": "http://x/rules/1",
    "gender": "female",
    "birthDate": "1980-01-01",
    "maritalStatus": {"coding": [{"system": "urn:m", "code": "M"}]},
    "multipleBirthInteger": 2,
    "contact": [
        {
            "name": {"family": "Zimmer"},
            "period": {"start": "2020-02", "end": "2020-04"},
            "organization": {"reference": "Organization/o"},
        }
    ],
    "extension": [
        {
            "url": "urn:weight",
            "valueQuantity": {"value": 70, "system": "http://unitsofmeasure.org", "code": "kg", "unit": "kg"},
        }
    ],
}


async def test_parameters_of_every_type_are_asked_sorted_included_and_followed(stepped: Stepped) -> None:
    server = stepped.server
    await server.put({"resourceType": "Organization", "id": "o", "name": "Acme"})
    await server.put(WHOLE)
    await server.put({"resourceType": "Patient", "id": "bare", "gender": "male"})
    for type, code, expression, more, _, _ in KINDS:
        await server.put(parameter(code, type=type, expression=expression, **more))
    await stepped.settle()
    for _, code, _, _, queries, _ in KINDS:
        for query in (*queries, f"{code}:missing=false"):
            if not (code == "h-composite" and query.endswith("missing=false")):
                found = await stepped.ids(f"Patient?{query}")
                assert "whole" in found, query
                assert ("bare" in found) == (":not" in query), query
    for code in ("h-token", "h-string", "h-date", "h-number"):
        assert await stepped.ids(f"Patient?_sort={code}") == ["whole", "bare"], code
        assert await stepped.ids(f"Patient?_sort=-{code}") == ["whole", "bare"], code
    assert await stepped.ids("Patient?_id=whole&_include=Patient:h-reference") == ["whole", "o"]
    assert await stepped.ids("Organization?_id=o&_revinclude=Patient:h-reference") == ["o", "whole"]
    assert await stepped.ids("Organization?_has:Patient:h-reference:h-token=M") == ["o"]
    statement = (await server("GET", "/metadata")).json()
    [shown] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Patient"]
    assert {code for _, code, *_ in KINDS} <= {each["name"] for each in shown["searchParam"]}
    assert "Patient:h-reference" in shown["searchInclude"]
    leads = {lead for *_, lead in KINDS if lead is not None}
    assert {f"further {lead}" for lead in leads} <= await indexes(stepped, "Patient")


async def test_a_search_by_a_further_parameter_reads_what_its_index_leads_to(stepped: Stepped) -> None:
    server = stepped.server
    for number in range(30):
        await server.put(patient(f"p{number}", "red" if number == 7 else None))
    await server.put(parameter())
    await stepped.settle()
    assert await stepped.ids("Patient?hair=red") == ["p7"]
    database = stepped.database
    explained = await database.command(
        {"explain": {"find": "Patient", "filter": {"index.hair": {"$in": ["~red"]}, "deleted": False}}, "verbosity": "executionStats"}
    )  # fmt: skip
    assert explained["executionStats"]["totalDocsExamined"] == 1


async def test_no_write_during_the_walk_is_missed(stepped: Stepped, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers go on all the time; whatever they were told is written is found once the parameter is used."""
    monkeypatch.setattr("fhirserver.store.layout.reindex.BATCH", 7)
    server = stepped.server
    colours = ("red", "blond", "brown")
    expected: dict[str, str | None] = {}
    for number in range(40):
        expected[f"w{number}"] = colours[number % 3]
        await server.put(patient(f"w{number}", colours[number % 3]))
    is_over = asyncio.Event()

    async def writer(seed: int) -> None:
        chance = random.Random(seed)
        while not is_over.is_set():
            id = f"w{seed + 4 * chance.randrange(15)}"
            colour = chance.choice([*colours, None])
            if colour is None and expected.get(id) is not None:
                assert (await server("DELETE", f"/Patient/{id}")).status_code == 204
            else:
                await server.put(patient(id, colour or "red"))
                colour = colour or "red"
            expected[id] = colour

    writers = [asyncio.create_task(writer(seed)) for seed in range(4)]
    await server.put(parameter())
    await stepped.settle()
    is_over.set()
    await asyncio.gather(*writers)
    for colour in colours:
        wanted = sorted(id for id, each in expected.items() if each == colour)
        assert sorted(await stepped.ids(f"Patient?hair={colour}&_count=100")) == wanted


async def test_a_walk_begins_when_every_server_writes_the_values(stepped: Stepped, other: Stepped) -> None:
    await stepped.server.put(parameter())
    await stepped.refresh()
    assert await stepped.work() == 0
    await other.server.put(patient("unaware", "red"))  # written by a server that does not know of the parameter
    assert await stepped.work() == 0
    await other.refresh()
    await other.server.put(patient("aware", "red"))
    assert await stepped.work() == 1
    assert sorted(await stepped.ids("Patient?hair=red")) == ["aware", "unaware"]
    assert "not used yet" in await other.refused("Patient?hair=red")
    await other.refresh()
    assert sorted(await other.ids("Patient?hair=red")) == ["aware", "unaware"]


async def test_a_changed_parameter_answers_as_before_until_no_server_uses_it(stepped: Stepped, other: Stepped) -> None:
    await stepped.server.put(patient("red", "red") | {"gender": "male"})
    await stepped.server.put(parameter())
    for _ in range(3):
        await stepped.settle()
        await other.refresh()
    assert await other.ids("Patient?hair=red") == ["red"]
    await stepped.server.put(parameter(expression="Patient.gender"))
    await stepped.settle()
    await stepped.server.put(patient("also", "red") | {"gender": "male"})
    assert sorted(await other.ids("Patient?hair=red")) == ["also", "red"]  # it has heard of nothing, and misses nothing
    for _ in range(3):
        await other.refresh()
        await stepped.settle()
    await other.refresh()
    assert sorted(await other.ids("Patient?hair=male")) == ["also", "red"]


async def test_a_server_that_is_lost_holds_nothing_up_and_writes_nothing(
    stepped: Stepped, other: Stepped, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stepped.store
    await stepped.server.put(patient("red", "red"))
    await stepped.server.put(parameter("early", expression="Patient.gender"))
    for _ in range(3):
        await stepped.settle()
        await other.refresh()
    assert await other.ids("Patient?early:missing=true") == ["red"]
    await stepped.server.put(parameter())
    await stepped.refresh()
    assert await stepped.work() == 0
    # The other one is held up: for the database it has not signed for long, and its own clock has gone on.
    rows = store.documents(SERVERS)
    row = await rows.get(other.keeper.name)
    assert row is not None
    await rows.put({**row, "at": row["at"] - DEAD - timedelta(seconds=5)})
    monkeypatch.setattr(other.store.fence, "_clock", lambda: seconds() + 1_000_000)
    assert await stepped.work() == 1
    refused = await other.server("PUT", "/Patient/late", json=patient("late", "red"))
    assert refused.status_code == 503
    assert "not used yet" in await other.refused("Patient?early:missing=true")
    monkeypatch.undo()
    other.keeper._signed = None  # it is long ago
    await other.refresh()
    await other.server.put(patient("back", "red"))
    assert sorted(await stepped.ids("Patient?hair=red")) == ["back", "red"]
    assert sorted(await other.ids("Patient?hair=red")) == ["back", "red"]


async def test_what_is_wrong_with_a_parameter_is_said_when_it_is_written(stepped: Stepped) -> None:
    server = stepped.server
    await server.put(parameter())
    await stepped.refresh()
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"request": {"method": "PUT", "url": "Patient/x"}, "resource": patient("x", None)},
            {
                "request": {"method": "PUT", "url": "SearchParameter/bad"},
                "resource": parameter("bad", expression="Patient.colour"),
            },
        ],
    }
    for method, path, body, place in (
        ("PUT", "/SearchParameter/a", parameter("a", expression="Patient.colour"), "SearchParameter.expression"),
        ("POST", "/SearchParameter", parameter(code="birthdate"), "SearchParameter.code"),
        ("POST", "/SearchParameter", parameter("again", code="hair"), "SearchParameter.code"),
        ("POST", "", bundle, "Bundle.entry[1].resource.expression"),
    ):
        answer = await server(method, path, json=body)
        assert answer.status_code == 422, answer.text
        assert place in [each for issue in answer.json()["issue"] for each in issue["expression"]]
    assert (await server("GET", "/Patient/x")).status_code == 404
    patch = [{"op": "replace", "path": "/expression", "value": "now()"}]
    headers = {"content-type": "application/json-patch+json"}
    answer = await server("PATCH", "/SearchParameter/hair", content=json.dumps(patch), headers=headers)
    assert answer.status_code == 422
    for resource in (parameter("d", status="draft", expression="now()"), parameter("r", code="given", url="http://hl7.org/fhir/SearchParameter/individual-given")):  # fmt: skip
        await server.put(resource)
    await stepped.settle()
    assert {each.id for each in stepped.keeper.catalog.entries} == {"hair"}


async def test_there_are_only_so_many(stepped: Stepped, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stepped.server
    monkeypatch.setattr("fhirserver.interactions.parameters.catalog.MOST", 2)
    for number in range(2):
        await server.put(parameter(f"p{number}"))
    await stepped.refresh()
    answer = await server("PUT", "/SearchParameter/p2", json=parameter("p2"))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "too-costly")
    await server.put(parameter("p1", expression="Patient.gender"))
    # Two servers can each take one at the same time: then the catalog has no place for the second.
    monkeypatch.setattr("fhirserver.interactions.parameters.catalog.MOST", 3)
    await server.put(parameter("p3"))
    await server.put(parameter("p4"))
    await stepped.refresh()
    assert len(stepped.keeper.catalog.entries) == 3


async def test_an_expression_that_fails_on_a_resource_does_not_keep_it_out(stepped: Stepped) -> None:
    server = stepped.server
    await server.put(parameter(type="string", expression="Patient.name.single().family"))
    await stepped.settle()
    await server.put({"resourceType": "Patient", "id": "one", "name": [{"family": "A"}]})
    await server.put({"resourceType": "Patient", "id": "two", "name": [{"family": "A"}, {"family": "B"}]})
    assert await stepped.ids("Patient?hair=a") == ["one"]


async def test_the_upkeep_of_a_server_does_it_by_itself(stepped: Stepped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhirserver.interactions.parameters.upkeep.PERIOD", 0.01)
    monkeypatch.setattr("fhirserver.interactions.parameters.keeper.PERIOD", 0.01)
    server = stepped.server
    await server.put(patient("red", "red"))
    await server.put(parameter())
    both = [each.server.application.upkeep for each in (stepped, *stepped.peers)]
    for upkeep in both:
        assert upkeep is not None
        await upkeep.start()
    async with asyncio.timeout(30):
        while not any(each.state.value == "ready" for each in stepped.keeper.catalog.entries):
            await server("GET", "/Patient/red")
    assert await stepped.ids("Patient?hair=red") == ["red"]
    for upkeep in both:
        assert upkeep is not None
        await upkeep.pause()


def write_of(stepped: Stepped, id: str) -> Write:
    """A write as it was derived at this moment, to be committed later."""
    services = stepped.server.application.services
    assert services is not None
    resource = patient(id, "red")
    by, permit = By("request", "operator", "test"), Permit.system("test")
    derived = services.derive("Patient", resource)
    return Write("PUT", "Patient", id, resource, derived, by, permit, may_create=True)


async def test_what_was_derived_before_and_is_committed_after_has_the_values(stepped: Stepped) -> None:
    """By every way into the store; a slow one is not refused, it is derived again."""
    store = stepped.store
    alone, together, bulk = (write_of(stepped, id) for id in ("alone", "together", "bulk"))
    ready = packed(prepare(bulk, native_copy=store.native_copy))
    await stepped.server.put(parameter())
    await stepped.settle()
    await store.commit(alone)
    await store.transact(lambda tx: tx.write([together]), types=("Patient",))
    assert await store.insert([[ready]]) == [True]
    assert sorted(await stepped.ids("Patient?hair=red")) == ["alone", "bulk", "together"]


async def test_a_reindex_by_what_is_not_in_force_any_more_changes_nothing(stepped: Stepped, other: Stepped) -> None:
    await stepped.server.put(patient("red", "red"))
    derivation = other.keeper.derivation
    before = derivation._now
    await stepped.server.put(parameter())
    for _ in range(3):
        await other.refresh()
        await stepped.settle()
    derivation.adopt(*before)
    assert await other.store.reindex("Patient") >= 1
    assert await stepped.ids("Patient?hair=red") == ["red"]
    other.keeper._known = -1
    await other.refresh()
    assert await other.ids("Patient?hair=red") == ["red"]


async def test_a_command_that_only_derives_does_so_by_the_catalog(stepped: Stepped, settings: Settings) -> None:
    """`fhirserver reindex` keeps the values of further parameters."""
    await stepped.server.put(patient("red", "red"))
    await stepped.server.put(parameter())
    await stepped.settle()
    await stepped.database["Patient"].update_many({}, {"$unset": {"generation": 1}, "$set": {"index": {}}})
    derive = derivation(settings)
    store = Store(Mongo(settings.mongo_url, stepped.database.name), derive)
    await inform(Means(load(), store, derive, name="command"))
    await store.reindex("Patient")
    await store.close()
    assert await stepped.ids("Patient?hair=red") == ["red"]
