"""https://hl7.org/fhir/R4/async.html: `$reindex` and its jobs: polled, cancelled, taken over, tried again, and bounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from fhirserver.interactions.parameters.keeper import SERVERS
from fhirserver.jobs import Queue
from fhirserver.jobs.queue import LEASE
from tests.integration.parameters.stepped import Stepped, parameter, patient


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
    monkeypatch.setattr("fhirserver.store.layout.reindex.BATCH", 2)
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
