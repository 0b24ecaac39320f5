"""A load whose resources are judged in processes of their own: the same is stored, and nothing is lost when one of them ends."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from fhirserver.access.principal import OPEN
from fhirserver.app import create_app
from fhirserver.bench import data
from fhirserver.interactions.context import Context, Services
from fhirserver.interactions.load import (
    Direct,
    Job,
    Means,
    Outcome,
    Processes,
    Progress,
    Report,
    Source,
    load,
    processes,
)
from fhirserver.interactions.load import run as running
from fhirserver.interactions.load.direct import Ready
from fhirserver.interactions.load.judge import Judged, Part, Portion
from fhirserver.interactions.load.processes import DEATHS, ENDED, Rules
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.parameters.catalog import Catalog
from fhirserver.interactions.writing.update import update
from fhirserver.model.outcome import FhirError, Unavailable
from fhirserver.search.permit import Permit
from fhirserver.settings import Settings
from tests.fakes.processes import dies
from tests.integration.interactions.test_load_direct import bundle, entry, lines, refusals, results
from tests.integration.parameters.stepped import parameter, patient

SYSTEM = Permit.system("test")
SECRET = "Semyonov"
URL = "urn:uuid:2c7f9f0e-8a9e-4c3b-9f43-6b1f2a5d7c01"
ADDED = ("_id", "updated", "at")


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    """Two processes that judge."""
    with Processes(2, lambda _: None) as both:
        yield both


@pytest.fixture
async def services(mongo_url: str, database_name: str) -> AsyncIterator[Services]:
    application = create_app(Settings(mongo_url, database=database_name))
    yield await application.start()
    await application.stop()


@pytest.fixture
def database(mongo_url: str, database_name: str) -> Iterator[Any]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    yield client[database_name]
    client.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches of few resources."""
    monkeypatch.setattr(running, "BATCH", 20)


Loading = Callable[..., Any]


@pytest.fixture
def loading(services: Services, tmp_path: Path) -> Loading:
    """Load these files into a target, and give the counts that are not zero."""

    async def run(
        target: Direct, *paths: Path, progress: Callable[[Progress], None] = lambda _: None
    ) -> dict[str, int]:
        report = Report(tmp_path / "refused.ndjson")
        means = Means(services.definitions, services.base_url, lambda: "run", report, progress)
        return {name: number for name, number in asdict(await load(paths, target, means)).items() if number}

    return run


def everything(database: Any) -> dict[str, list[Any]]:
    """All that is stored, without the times and the keys that MongoDB makes."""
    found: dict[str, list[Any]] = {}
    for name in ("Observation", "Patient", "Organization", "Consent", "feed", "requests"):
        rows = []
        for row in database[name].find({}):
            row = {key: value for key, value in row.items() if key not in ADDED} | {
                "id": row.get("id") or row.get("request") or row["_id"]
            }
            if "json" in row:
                row["json"] = row["json"].replace(row["resource"]["meta"].pop("lastUpdated").encode(), b"")
            rows.append(row)
        found[name] = sorted(rows, key=lambda row: (row["id"], row.get("version", 0), str(row)))
    return found


def mixed(folder: Path) -> list[Path]:
    """Everything that takes another way: new, old, twice, refused, whole, by criteria, in a collection."""
    criteria = "identifier=urn:oid:1.2.3.4.5|{}".format(data.patient(1)["identifier"][0]["value"])
    folder.mkdir()
    whole = bundle(
        "transaction",
        entry({"resourceType": "Patient"}, fullUrl=URL),
        entry({**data.observation(1, 1), "subject": {"reference": URL}}),
    )
    broken = bundle("transaction", entry(data.patient(5)), entry({"resourceType": "Observation"}))
    asking = bundle("transaction", entry(data.patient(6), request={"ifNoneExist": criteria}), entry(results(1)[0]))
    linked = {**data.observation(1, 3), "id": "linked", "subject": {"reference": f"Patient?{criteria}"}}
    amended = {**results(1)[0], "status": "amended"}
    bad = {**results(1)[0], "status": SECRET, "colour": "red"}
    first = [*data.directory(), *map(data.patient, range(4)), *map(data.consent, range(3)), *results(60), bad, amended]
    second = [
        whole,
        broken,
        asking,
        linked,
        bundle("collection", {"resource": data.patient(7)}),
        data.observation(2, 2),
    ]
    return [
        lines(folder / "a.ndjson", first),
        lines(folder / "b.ndjson", second),
        lines(folder / "c.ndjson", first[:9]),
    ]


async def test_the_same_is_stored_however_many_processes_judge(
    loading: Loading, services: Services, database: Any, two: Processes, tmp_path: Path
) -> None:
    paths = mixed(tmp_path / "x")
    counts, stored, said = [], [], []
    for judges in (None, two):
        counts.append(await loading(await Direct.of(services, judges), *paths))
        stored.append(everything(database))
        said.append(refusals(tmp_path))
        for name in database.list_collection_names():
            if name not in ("keys", "layout", "catalog", "servers"):
                database[name].delete_many({})
    assert counts[0] == counts[1]
    assert counts[0]["refused"] == 3
    assert set(counts[0]) == {"created", "updated", "unchanged", "refused"}
    assert said[0] == said[1]
    assert stored[0]["Observation"]
    for name, rows in stored[0].items():
        assert stored[1][name] == rows, name


async def test_what_is_in_several_batches_ends_as_the_last_of_them_says(
    loading: Loading, services: Services, database: Any, two: Processes, tmp_path: Path
) -> None:
    """Two batches are on their way at one time, and still happen in their order."""
    stati = ["preliminary", "registered", "amended", "corrected", "cancelled", "final"]
    sent = [{**each, "status": status} for status in stati for each in results(20)]
    path = lines(tmp_path / "x.ndjson", sent)
    assert await loading(await Direct.of(services, two), path) == {"created": 20, "updated": 100}
    rows = list(database.Observation.find({}))
    assert [(row["version"], row["resource"]["status"]) for row in rows] == [(6, "final")] * 20


async def test_after_a_batch_that_failed_none_is_written_that_has_to_come_after_it(
    services: Services, database: Any, tmp_path: Path
) -> None:
    class Failing(Direct):
        """Its first batch fails, after a while."""

        async def _write(self, ready: Ready, bulk: Sequence[Part], job: Job) -> list[Outcome]:
            if ready[0][0].number == 1:
                await asyncio.sleep(0)
                raise Unavailable
            return await super()._write(ready, bulk, job)

    target = await Failing.of(services)
    job: Any = Job(None, None, "run", False)  # type: ignore[arg-type]
    texts = [
        Text(number, 0, data.encode(each))
        for number, each in enumerate([*results(1), *results(1), *results(1, first=1)], 1)
    ]
    ready = [([text], target._judge.judge(Portion("0" * 64, "run", [text]))) for text in texts]
    done = await asyncio.gather(*(target.write(each, job) for each in ready), return_exceptions=True)
    assert [type(each) for each in done] == [Unavailable, Unavailable, list]
    assert [row["_id"] for row in database.Observation.find({})] == ["o1"]


async def test_a_process_that_is_killed_loses_and_doubles_nothing(
    loading: Loading, services: Services, database: Any, tmp_path: Path
) -> None:
    said: list[str] = []
    killed: list[int] = []

    def kill(_: Progress) -> None:
        if not killed:
            killed.append(next(iter(judges._pool.executor._processes)))
            os.kill(killed[0], signal.SIGKILL)

    path = lines(tmp_path / "x.ndjson", [*results(400), {"resourceType": "Observation"}])
    with Processes(2, said.append) as judges:
        counts = await loading(await Direct.of(services, judges), path, progress=kill)
    assert counts == {"created": 400, "refused": 1}
    assert said == [ENDED]
    assert database.Observation.count_documents({"version": 1}) == 400
    assert database.feed.count_documents({}) == 400
    assert sum(row["created"]["Observation"] for row in database.requests.find({})) == 400
    assert len(refusals(tmp_path)) == 1
    assert {child.pid for child in multiprocessing.active_children()}.isdisjoint(killed)


async def test_processes_that_end_again_and_again_are_given_up(
    loading: Loading, services: Services, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_judged", dies)
    said: list[str] = []
    with Processes(1, said.append) as judges, pytest.raises(FhirError, match="--processes 1"):
        await loading(await Direct.of(services, judges), lines(tmp_path / "x.ndjson", results(3)))
    assert said == [ENDED] * (DEATHS - 1)
    assert database.Observation.count_documents({}) == 0


def test_what_fails_in_a_process_is_told_without_what_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of clients are never logged."""

    def judge(*_: Any) -> Any:
        raise KeyError(SECRET)

    monkeypatch.setattr("fhirserver.interactions.load.judge.Judge.judge", judge)
    portion = Portion("0" * 64, "run", [Text(1, 0, data.encode({"resourceType": "Patient", "id": SECRET}))])
    with pytest.raises(RuntimeError, match=r"KeyError in .*test_load_processes\.py") as failed:
        processes._judged(portion, Rules("http://x/fhir", True, False), Catalog().as_row(), None)
    assert SECRET not in "".join(traceback.format_exception(failed.value))


async def test_what_is_judged_elsewhere_has_the_values_of_a_search_parameter_of_ones_own(
    loading: Loading, services: Services, database: Any, two: Processes, tmp_path: Path
) -> None:
    """Of one that was known, and of one that came while the batch was on its way."""
    assert services.parameters is not None
    target = await Direct.of(services, two)
    text = Text(1, 0, data.encode(patient("early", "red")))
    job: Any = Job(await asyncio.to_thread(_source, tmp_path), None, "run", False)  # type: ignore[arg-type]
    _, early = await target.judge([text], job)
    await update(Context(services, OPEN, "test"), "SearchParameter", "hair", parameter())
    await services.parameters.refresh()
    assert services.parameters.catalog.generation > 0
    _, late = await target.judge([Text(2, 0, data.encode(patient("late", "red")))], job)
    assert [each.parts[0].writes[0].generation > 0 for each in (early, late)] == [False, True]
    await target.write(([], Judged([*early.parts, *late.parts], [], [])), job)
    rows = list(database.Patient.find({"index.hair": {"$exists": True}}, {"index.hair": 1, "generation": 1}))
    assert sorted(row["_id"] for row in rows) == ["early", "late"]
    assert len({(row["generation"], str(row["index"])) for row in rows}) == 1


def _source(folder: Path) -> Source:
    return Source.of(lines(folder / "empty.ndjson", []))
