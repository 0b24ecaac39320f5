"""https://hl7.org/fhir/R4/searchparameter.html: parameters of one's own, used when what is stored was indexed for them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from fhirserver.app import derivation
from fhirserver.definitions import load
from fhirserver.interactions.parameters import Means, inform
from fhirserver.interactions.parameters.keeper import CHANGES, DEAD, SERVERS
from fhirserver.jobs import Queue
from fhirserver.jobs.queue import LEASE
from fhirserver.search.permit import Permit
from fhirserver.settings import Settings
from fhirserver.store import By, Store, Write
from fhirserver.store.client import Mongo
from fhirserver.store.commit.fence import seconds
from tests.integration.serving import Server, serving

HAIR = "http://example.org/hair"


def parameter(id: str = "hair", **changes: Any) -> dict[str, Any]:
    """A SearchParameter of hair."""
    resource = {
        "resourceType": "SearchParameter",
        "id": id,
        "url": f"http://example.org/SearchParameter/{id}",
        "name": "Hair",
        "status": "active",
        "description": "The colour of hair.",
        "code": id,
        "base": ["Patient"],
        "type": "token",
        "expression": f"Patient.extension('{HAIR}').value",
    }
    return {name: value for name, value in (resource | changes).items() if value is not None}


def patient(id: str, colour: str | None) -> dict[str, Any]:
    extension = [{"url": HAIR, "valueCode": colour}] if colour is not None else None
    return {"resourceType": "Patient", "id": id} | ({"extension": extension} if extension else {})


class Stepped:
    """A server whose upkeep happens when the test says so, and that of its peers with it."""

    def __init__(self, server: Server, *peers: Stepped) -> None:
        self.server = server
        self.peers = peers
        upkeep = server.application.upkeep
        assert upkeep is not None
        self.keeper, self.worker = upkeep.keeper, upkeep.worker
        self.store = self.keeper._means.store
        self.database = self.store._mongo.database

    async def refresh(self) -> None:
        """Look at the catalog."""
        await self.keeper.refresh()
        for peer in self.peers:
            await peer.refresh()

    async def work(self) -> int:
        """Do the jobs."""
        return await self.worker.work()

    async def settle(self) -> None:
        """Until nothing changes any more."""
        for _ in range(4):
            await self.refresh()
            await self.work()

    async def ids(self, query: str, status: int = 200) -> list[str]:
        """The ids that a search finds, sorted by the server."""
        answer = await self.server("GET", f"/{query}")
        assert answer.status_code == status, answer.text
        return [entry["resource"]["id"] for entry in answer.json().get("entry", [])]

    async def refused(self, query: str) -> str:
        """What a search that is not answered is told."""
        answer = await self.server("GET", f"/{query}")
        assert answer.status_code == 400, answer.text
        [issue] = answer.json()["issue"]
        assert issue["code"] == "not-supported"
        return str(issue["diagnostics"])


@pytest.fixture(scope="module")
async def pair(settings: Settings) -> AsyncIterator[tuple[Server, Server]]:
    """Two servers on a database of their own."""
    own = replace(settings, database=f"{settings.database}p")
    patched = pytest.MonkeyPatch()
    async with serving(own) as one, serving(own) as two:
        patched.setattr("fhirserver.interactions.parameters.keeper.TRUST", 100_000)  # nobody signs but for the tests
        for each in (one, two):
            assert each.application.upkeep is not None
            await each.application.upkeep.pause()
        yield one, two
        assert one.application.services is not None
        await one.application.services.store._mongo.client.drop_database(own.database)
    patched.undo()


@pytest.fixture
async def stepped(pair: tuple[Server, Server]) -> AsyncIterator[Stepped]:
    """A server; the other one follows it. What a test leaves is taken away."""
    one = Stepped(pair[0], Stepped(pair[1]))
    yield one
    for name in await one.database.list_collection_names():
        if name[0].isupper() or name in ("jobs", "feed"):
            await one.database[name].delete_many({})
    for each in one.keeper.catalog.entries:
        await one.store.documents(CHANGES).put({"_id": each.id, "id": each.id})
    together = Stepped(pair[0], Stepped(pair[1]))
    while together.keeper.catalog.entries:
        await together.refresh()


@pytest.fixture
def other(pair: tuple[Server, Server], stepped: Stepped) -> Stepped:
    """The other server, when it goes its own way."""
    [peer] = stepped.peers
    stepped.peers = ()
    return peer


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
    monkeypatch.setattr("fhirserver.store.reindex.BATCH", 7)
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


async def test_a_job_is_polled_cancelled_and_begun_again(stepped: Stepped, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stepped.server
    for number in range(6):
        await server.put(patient(f"p{number}", "red"))
    await server.put(parameter())
    await stepped.refresh()
    [job] = await stepped.keeper.queue.open()
    polled = await server("GET", f"/_jobs/{job.id}")
    assert (polled.status_code, polled.headers["x-progress"], polled.headers["retry-after"]) == (
        202,
        "queued, 0 %",
        "2",
    )
    assert polled.json()["resourceType"] == "OperationOutcome"
    assert (await server("DELETE", f"/_jobs/{job.id}")).status_code == 202
    assert (await server("DELETE", f"/_jobs/{job.id}")).status_code == 202
    assert await stepped.work() == 0
    said = await server("GET", f"/_jobs/{job.id}")
    assert (said.status_code, said.json()["parameter"][0]["valueCode"]) == (200, "cancelled")
    await stepped.settle()
    assert "not used yet" in await stepped.refused("Patient?hair=red")
    begun = await server("POST", "/SearchParameter/hair/$reindex")
    assert begun.status_code == 202
    place = begun.headers["content-location"].removeprefix("http://127.0.0.1:8000/fhir")
    again = await server("POST", "/SearchParameter/hair/$reindex")
    assert again.headers["content-location"] == begun.headers["content-location"]
    await stepped.settle()
    ended = await server("GET", place)
    assert (ended.status_code, ended.json()["parameter"][0]["valueCode"]) == (200, "completed")
    assert len(await stepped.ids("Patient?hair=red")) == 6
    assert (await server("DELETE", place)).status_code == 409
    assert (await server("GET", "/_jobs/nothing")).status_code == 404
    assert (await server("DELETE", "/_jobs/nothing")).status_code == 404
    assert (await server("PUT", place)).status_code == 405


async def test_everything_can_be_reindexed_and_keeps_its_values(stepped: Stepped) -> None:
    server = stepped.server
    await server.put(patient("red", "red"))
    await server.put(parameter())
    await stepped.settle()
    database = stepped.database
    before = await database["Patient"].find_one({"_id": "red"})
    await database["Patient"].update_many({}, {"$set": {"index": {}, "sort": {}}})
    assert await stepped.ids("Patient?hair=red") == []
    for body in (None, {"resourceType": "Parameters", "parameter": [{"name": "type", "valueCode": "Patient"}]}):
        begun = await server("POST", "/$reindex", **({} if body is None else {"json": body}))
        assert begun.status_code == 202
        await stepped.settle()
        assert await stepped.ids("Patient?hair=red") == ["red"]
    after = await database["Patient"].find_one({"_id": "red"})
    assert after is not None
    assert before is not None
    assert {**after, "generation": before["generation"]} == before
    assert (await server("GET", "/$reindex")).status_code == 405
    assert (await server("POST", "/$reindex?type=Nothing")).status_code == 400
    assert (await server("POST", "/SearchParameter/none/$reindex")).status_code == 404
    await server.put(parameter("draft", status="draft"))
    assert (await server("POST", "/SearchParameter/draft/$reindex")).status_code == 422
    assert (await server("POST", "/SearchParameter/hair/$reindex")).status_code == 202


async def test_only_so_many_reindexes_wait_and_none_of_them_twice(stepped: Stepped) -> None:
    server = stepped.server
    places = [(await server("POST", "/$reindex?type=Patient")).headers["content-location"] for _ in range(3)]
    assert len(set(places)) == 1
    types = ("Account", "Basic", "Bundle", "Flag", "Goal", "Group", "Invoice", "List", "Media")
    for each in types:
        assert (await server("POST", f"/$reindex?type={each}")).status_code == 202
    refused = await server("POST", "/$reindex?type=Task")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.json()["issue"][0]["code"] == "throttled"
    assert (await server("POST", "/$reindex?type=Patient")).headers["content-location"] == places[0]
    assert (await server("DELETE", places[0].partition("/fhir")[2])).status_code == 202
    assert (await server("POST", "/$reindex?type=Task")).status_code == 202


async def test_the_job_of_a_server_that_died_is_taken_over_where_it_stopped(
    stepped: Stepped, other: Stepped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhirserver.store.reindex.BATCH", 2)
    server = stepped.server
    for number in range(9):
        await server.put(patient(f"p{number}", "red"))
    await server.put(parameter())
    await stepped.refresh()
    await other.refresh()
    steps, store = 0, stepped.store

    class Killed(BaseException):
        """Nothing of the server's own can answer to this."""

    step = store.rederive

    async def deadly(*given: Any, **named: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise Killed
        return await step(*given, **named)

    monkeypatch.setattr(store, "rederive", deadly)
    with pytest.raises(Killed):
        await stepped.work()
    [job] = await stepped.keeper.queue.open()
    assert (job.state, job.holder, job.done, job.percent) == ("running", stepped.keeper.name, 6, 66)
    assert await other.work() == 0  # the lease has not ended
    later = Queue(store.documents("jobs"), partial(_later, store))
    monkeypatch.setattr(other.worker, "_queue", later)
    walked: list[Any] = []
    follow = other.store.rederive

    async def counted(resource_type: str, after: Any = None, **named: Any) -> Any:
        walked.append(after)
        return await follow(resource_type, after, **named)

    monkeypatch.setattr(other.store, "rederive", counted)
    # One that is just beginning does not hold up what was begun: it will know.
    starting = {"_id": "starting", "at": await store.database_time(), "generation": -1}
    await store.documents(SERVERS).put(starting)
    assert await other.work() == 1
    await store.documents(SERVERS).delete("starting")
    assert walked[0] == "p5"
    assert len(await other.ids("Patient?hair=red")) == 9


async def _later(store: Any) -> datetime:
    now: datetime = await store.database_time()
    return now + LEASE + timedelta(seconds=1)


async def test_a_job_that_fails_is_tried_again_and_then_says_so(
    stepped: Stepped, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stepped.store
    hours = iter(range(1, 100))

    async def later() -> datetime:
        return (await store.database_time()) + timedelta(hours=next(hours))

    async def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("SECRET")

    monkeypatch.setattr(store, "rederive", broken)
    await stepped.server.put(parameter())
    await stepped.refresh()
    [job] = await stepped.keeper.queue.open()
    monkeypatch.setattr(stepped.worker, "_queue", Queue(store.documents("jobs"), later))
    while (await stepped.keeper.queue.get(job.id)).state != "failed":  # type: ignore[union-attr]
        await stepped.work()
    answer = await stepped.server("GET", f"/_jobs/{job.id}")
    assert (answer.status_code, "SECRET" in answer.text) == (500, False)
    assert "not used yet" in await stepped.refused("Patient?hair=red")


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
    prepared = store.prepare(bulk)
    await stepped.server.put(parameter())
    await stepped.settle()
    await store.commit(alone)
    await store.transact(lambda tx: tx.write([together]), types=("Patient",))
    assert await store.insert([[prepared]]) == [True]
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
