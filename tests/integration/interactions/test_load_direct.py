"""The loader on a real mongod: exact counts, all or nothing, resumed, and the same records as by any other way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import ExecutionTimeout

from fhirserver.access.principal import OPEN
from fhirserver.app import create_app
from fhirserver.bench import data
from fhirserver.interactions.context import Context, Services
from fhirserver.interactions.load import Counts, Direct, Job, Means, Outcome, Report, load
from fhirserver.interactions.load import run as running
from fhirserver.interactions.load.direct import Ready
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.writing.update import update
from fhirserver.model.json import parse
from fhirserver.search.expression import In
from fhirserver.search.permit import Permit
from fhirserver.settings import Settings
from fhirserver.store import bulk
from fhirserver.store.commit import ending

SYSTEM = Permit.system("test")
NEXT = "urn:uuid:2c7f9f0e-8a9e-4c3b-9f43-6b1f2a5d7c0"


@pytest.fixture
async def services(mongo_url: str, database_name: str) -> AsyncIterator[Services]:
    application = create_app(Settings(mongo_url, database=database_name))
    yield await application.start()
    await application.stop()


Loading = Callable[..., Any]


@pytest.fixture
def loading(services: Services, tmp_path: Path) -> Loading:
    """Load these files, and give the counts that are not zero."""

    async def run(*paths: Path, target: Direct | None = None) -> dict[str, int]:
        means = Means(
            services.definitions,
            services.base_url,
            services.new_id,
            Report(tmp_path / "refused.ndjson"),
            lambda _: None,
        )
        counts: Counts = await load(paths, target or await Direct.of(services), means)
        return {name: number for name, number in asdict(counts).items() if number}

    return run


@pytest.fixture
def stored(services: Services) -> Callable[[str, str], Any]:
    """The resource as it is served, with what the server adds taken out."""

    async def get(resource_type: str, id: str) -> Any:
        version = await read(Context(services, OPEN, "test"), resource_type, id)
        resource = parse(version.json or b"")
        del resource["meta"]["versionId"], resource["meta"]["lastUpdated"]
        return {name: value for name, value in resource.items() if name != "meta" or value}

    return get


def lines(path: Path, resources: Sequence[Any]) -> Path:
    path.write_bytes(b"".join(data.encode(each) + b"\n" for each in resources))
    return path


def results(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [{**data.observation(number % 7, number), "id": f"o{number}"} for number in range(first, first + count)]


def refusals(tmp_path: Path) -> list[tuple[dict[str, Any], list[str]]]:
    """What the report says: the places and the sentences."""
    found = []
    for line in (tmp_path / "refused.ndjson").read_text().splitlines():
        outcome = json.loads(line)
        place = {
            each["url"]: next(v for k, v in each.items() if k != "url") for each in outcome["extension"][0]["extension"]
        }
        found.append((place, [issue["diagnostics"] for issue in outcome["issue"]]))
    return found


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(resource: dict[str, Any], method: str = "POST", url: str | None = None, **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url or resource["resourceType"], **more.pop("request", {})}
    return {"resource": resource, "request": request, **more}


async def total(services: Services, resource_type: str) -> int:
    return len(await services.store.facts(resource_type, In("deleted", frozenset((False,))), SYSTEM, limit=10_000))


async def test_every_resource_is_there_as_it_was_and_a_second_load_changes_nothing(
    loading: Loading, stored: Any, services: Services, tmp_path: Path
) -> None:
    sent = [*data.directory(), *map(data.patient, range(7)), *map(data.consent, range(7)), *results(2_500)]
    path = lines(tmp_path / "all.ndjson", sent)
    assert await loading(path) == {"created": len(sent)}
    for each in sent[:25] + sent[-5:]:
        assert await stored(each["resourceType"], each["id"]) == parse(data.encode(each))
    assert await loading(path) == {"unchanged": len(sent)}
    changed = [{**sent[20], "status": "amended"}, *sent[21:24]]
    assert await loading(lines(tmp_path / "changed.ndjson", changed)) == {"updated": 1, "unchanged": 3}
    assert await total(services, "Observation") == 2_500


async def test_each_loaded_version_has_its_feed_row_and_its_batch_a_row_with_the_name_of_the_load(
    loading: Loading, services: Services, tmp_path: Path
) -> None:
    await loading(lines(tmp_path / "x.ndjson", results(30)))
    [row] = await services.store.documents("requests").find(In("client", frozenset(("load",))))
    feed = await services.store.documents("feed").find(In("type", frozenset(("Observation",))))
    assert len(feed) == 30
    assert {each["interaction"] for each in feed} == {"create"}
    assert (row["principal"], row["created"]) == ("operator", {"Observation": 30})
    (first, number), (last, until) = (row[name].rsplit("-", 1) for name in ("request", "until"))
    assert (first, number, until) == (last, "1", "30")
    assert {each["updated"] for each in feed} == {row["at"]}


async def test_what_has_no_id_is_there_once_however_often_it_is_loaded(
    loading: Loading, services: Services, tmp_path: Path
) -> None:
    path = lines(tmp_path / "x.ndjson", [data.observation(1, 1)] * 3)
    assert await loading(path) == {"created": 3}
    assert await loading(path) == {"unchanged": 3}
    assert await total(services, "Observation") == 3


async def test_the_same_id_twice_in_a_file_is_a_create_and_an_update(
    loading: Loading, stored: Any, tmp_path: Path
) -> None:
    first, second = results(1)[0], {**results(1)[0], "status": "corrected"}
    assert await loading(lines(tmp_path / "x.ndjson", [first, second])) == {"created": 1, "updated": 1}
    assert (await stored("Observation", "o0"))["status"] == "corrected"


async def test_what_gives_rights_is_written_in_the_order_of_its_lines(
    loading: Loading, stored: Any, tmp_path: Path
) -> None:
    """Each line by itself, and the lines of one resource one after the other: what is there already is left alone."""
    first, second = ({"resourceType": "Organization", "id": "o", "name": name} for name in "ab")
    path = lines(tmp_path / "x.ndjson", [first, first, second, second])
    assert await loading(path) == {"created": 1, "unchanged": 2, "updated": 1}
    assert await stored("Organization", "o") == second


async def test_what_is_refused_is_reported_with_its_line_and_every_reason(loading: Loading, tmp_path: Path) -> None:
    bad = {**results(1)[0], "id": "bad", "status": "nonsense", "colour": "red"}
    path = lines(tmp_path / "x.ndjson", [*results(3), bad, *results(2, first=10)])
    with path.open("ab") as opened:
        opened.write(b"{no json\n")
    assert await loading(path) == {"created": 5, "refused": 2}
    (first, said), (second, _) = refusals(tmp_path)
    assert (first["file"], first["line"], first["status"]) == (str(path), 4, 400)
    assert any("colour" in sentence for sentence in said)
    assert (second["line"], second["status"]) == (7, 400)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert await loading(path) == {"unchanged": 3}
    assert not (tmp_path / "refused.ndjson").exists()


async def test_a_transaction_is_loaded_whole_with_its_links(
    loading: Loading, services: Services, tmp_path: Path
) -> None:
    sent = bundle(
        "transaction",
        entry({"resourceType": "Patient"}, fullUrl=f"{NEXT}1"),
        entry({**data.observation(1, 1), "subject": {"reference": f"{NEXT}1"}}, fullUrl=f"{NEXT}2"),
    )
    (tmp_path / "b.json").write_bytes(data.encode(sent))
    assert await loading(tmp_path / "b.json") == {"created": 2}
    [patient] = await services.store.facts("Patient", In("deleted", frozenset((False,))), SYSTEM)
    [result] = await services.store.facts("Observation", In("deleted", frozenset((False,))), SYSTEM)
    assert result["security"]["owners"] == [patient["_id"]]
    assert await loading(tmp_path / "b.json") == {"unchanged": 2}


@pytest.mark.parametrize("with_organization", [False, True])
async def test_a_transaction_of_which_a_part_is_refused_leaves_nothing(
    loading: Loading, services: Services, tmp_path: Path, with_organization: bool
) -> None:
    first = data.directory()[0] if with_organization else data.patient(1)
    sent = bundle(
        "transaction",
        entry(first, "PUT", f"{first['resourceType']}/{first['id']}"),
        entry({"resourceType": "Observation"}),
    )
    (tmp_path / "b.json").write_bytes(data.encode(sent))
    assert await loading(tmp_path / "b.json") == {"refused": 2}
    assert await total(services, first["resourceType"]) == 0
    [(place, _)] = refusals(tmp_path)
    assert place["resources"] == 2


async def test_a_transaction_of_which_a_part_is_there_is_finished_whole(
    loading: Loading, stored: Any, services: Services, tmp_path: Path
) -> None:
    one, two, three = results(3)
    await update(Context(services, OPEN, "test"), "Observation", "o0", one)
    await update(Context(services, OPEN, "test"), "Observation", "o1", {**two, "status": "preliminary"})
    sent = bundle("transaction", *(entry(each, "PUT", f"Observation/{each['id']}") for each in (one, two, three)))
    (tmp_path / "b.json").write_bytes(data.encode(sent))
    assert await loading(tmp_path / "b.json") == {"created": 1, "updated": 1, "unchanged": 1}
    assert await stored("Observation", "o1") == parse(data.encode(two))


async def test_a_transaction_with_conditions_is_done_once(loading: Loading, services: Services, tmp_path: Path) -> None:
    patient = data.patient(1)
    criteria = "identifier=urn:oid:1.2.3.4.5|{}".format(patient["identifier"][0]["value"])
    result = {**data.observation(1, 1), "subject": {"reference": f"Patient?{criteria}"}}
    sent = bundle(
        "transaction",
        entry({**patient}, request={"ifNoneExist": criteria}),
        entry(result, request={"ifNoneExist": "identifier=https://bench.example/results|1-1"}),
        entry({**data.observation(1, 2)}),
    )
    (tmp_path / "b.json").write_bytes(data.encode(sent))
    assert await loading(tmp_path / "b.json") == {"created": 3}
    assert await loading(tmp_path / "b.json") == {"unchanged": 3}
    assert await total(services, "Observation") == 2
    [row] = await services.store.facts("Patient", In("deleted", frozenset((False,))), SYSTEM)
    facts = await services.store.facts("Observation", In("deleted", frozenset((False,))), SYSTEM)
    assert {owner for each in facts for owner in each["security"]["owners"]} == {row["_id"], data.patient_id(1)}


async def test_a_reference_by_criteria_that_nothing_resolves_is_refused(loading: Loading, tmp_path: Path) -> None:
    """In a collection, whose resources are each put by themselves; and however its question mark is written."""
    result = {**results(1)[0], "subject": {"reference": "Patient?identifier=urn:x|1"}}
    assert await loading(lines(tmp_path / "x.ndjson", [bundle("collection", {"resource": result})])) == {"refused": 1}
    path = tmp_path / "y.ndjson"
    path.write_bytes(data.encode(result).replace(b"?", b"\\u003f") + b"\n")
    assert b"\\u003f" in path.read_bytes()
    assert await loading(path) == {"refused": 1}


async def test_a_transaction_that_conflicts_with_what_others_wrote_is_refused(loading: Loading, tmp_path: Path) -> None:
    """Only what this very load had made under ids of its own is there already."""
    taken = {"resourceType": "Patient", "id": "taken"}
    assert await loading(lines(tmp_path / "there.ndjson", [taken])) == {"created": 1}
    sent = bundle("transaction", entry(taken, "PUT", "Patient?identifier=urn:x|none"))
    assert await loading(lines(tmp_path / "x.ndjson", [sent])) == {"refused": 1}


async def test_a_line_with_a_reference_by_criteria_is_linked_or_refused(
    loading: Loading, services: Services, tmp_path: Path
) -> None:
    """A reference by criteria is a transaction's to resolve, so such a line is one of its own."""
    system = {"system": "urn:load", "value": "p"}
    known = lines(tmp_path / "a.ndjson", [{"resourceType": "Patient", "id": "known", "identifier": [system]}])
    assert await loading(known) == {"created": 1}
    sent = [
        {**each, "subject": {"reference": f"Patient?identifier=urn:load|{value}"}}
        for each, value in zip(results(2), "pq", strict=True)
    ]
    assert await loading(lines(tmp_path / "b.ndjson", sent)) == {"created": 1, "refused": 1}
    version = await read(Context(services, OPEN, "test"), "Observation", "o0")
    assert parse(version.json or b"")["subject"] == {"reference": "Patient/known"}
    [(said, _)] = refusals(tmp_path)
    assert said["line"] == 2
    assert await total(services, "Observation") == 1


async def test_the_entries_of_a_batch_are_independent(loading: Loading, tmp_path: Path) -> None:
    await loading(lines(tmp_path / "x.ndjson", results(2)))
    sent = bundle(
        "batch",
        entry(data.patient(1), "PUT", f"Patient/{data.patient_id(1)}"),
        entry({"resourceType": "Observation"}),
        {"request": {"method": "DELETE", "url": "Observation/o0"}},
        entry(data.patient(2), request={"ifNoneExist": "identifier=urn:oid:1.2.3.4.5|x"}),
        {"request": {"method": "GET", "url": "Patient"}},
    )
    (tmp_path / "b.json").write_bytes(data.encode(sent))
    assert await loading(tmp_path / "b.json") == {"created": 2, "deleted": 1, "refused": 2}
    assert [place["entry"] for place, _ in refusals(tmp_path)] == [1, 4]


async def test_a_collection_is_its_resources(loading: Loading, tmp_path: Path) -> None:
    sent = bundle("collection", *({"resource": each} for each in [*data.directory(), *results(5)]))
    lines(tmp_path / "b.ndjson", [sent])
    assert await loading(tmp_path / "b.ndjson") == {"created": 9}


async def test_a_commit_that_happened_and_was_not_heard_of_in_time_counts_as_created(
    loading: Loading, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine: the time is up while MongoDB commits. The batch is tried again in halves, and found."""
    late: list[bool] = []

    async def finish(session: Any) -> None:
        await ending.finish(session)
        if not late:
            late.append(True)
            raise ExecutionTimeout("late", 50)

    monkeypatch.setattr(bulk, "finish", finish)
    assert await loading(lines(tmp_path / "x.ndjson", results(30))) == {"created": 30}
    assert late
    rows = await services.store.documents("feed").find(In("type", frozenset(("Observation",))))
    assert len(rows) == 30


class Death(BaseException):
    """Ends a target."""


class Mortal(Direct):
    """A target that dies in the middle: after a batch was written, before anybody heard of it."""

    left = 0

    async def write(self, ready: Ready, job: Job) -> list[Outcome]:
        outcomes = await super().write(ready, job)
        self.left -= 1
        if self.left < 0:
            raise Death
        return outcomes


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_what_a_dead_load_had_done_counts_as_done(
    loading: Loading, services: Services, tmp_path: Path, kind: str
) -> None:
    """Plain and by criteria, once by each entry; so with what it had updated and deleted. What others had done before does not."""

    def once(key: str) -> dict[str, Any]:
        named = {
            "resourceType": "Basic",
            "code": {"text": key},
            "identifier": [{"system": "urn:dead", "value": f"{kind}-{key}"}],
        }
        return entry(named, request={"ifNoneExist": f"identifier=urn:dead|{kind}-{key}"})

    def gone(id: str) -> dict[str, Any]:
        return {"request": {"method": "DELETE", "url": f"Basic/{id}"}}

    plain = {"resourceType": "Basic", "code": {"text": "plain"}}
    kept, old, new = ({**plain, "id": f"{kind}-{name}"} for name in ("kept", "old", "new"))
    entries = [once("old"), once("new"), entry(plain), gone(old["id"]), gone("never-there")]
    entries += [entry(each, "PUT", f"Basic/{each['id']}") for each in (kept, new)]
    path = lines(tmp_path / "x.ndjson", [bundle(kind, *entries), bundle(kind, once("new"))])
    before = lines(tmp_path / "old.ndjson", [bundle("batch", once("old")), old, {**kept, "language": "de"}])
    assert await loading(before) == {"created": 3}
    target = await Mortal.of(services)
    with pytest.raises(Death):
        await loading(path, target=target)
    assert await loading(path) == {"created": 3, "updated": 1, "deleted": 1, "unchanged": 3}
    assert await loading(path) == {"unchanged": 8}


@pytest.mark.parametrize("left", [0, 1, 3, 5])
async def test_a_load_that_died_goes_on_and_counts_as_one(
    loading: Loading, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(running, "BATCH", 50)
    monkeypatch.setattr(running, "CHECKPOINT_SECONDS", 0.0)
    bad = {"resourceType": "Observation", "id": "bad"}
    paths = [
        lines(tmp_path / "a.ndjson", [*data.directory(), *results(100), bad]),
        lines(tmp_path / "b.ndjson", [bad, *results(130, first=100), *[data.observation(1, 1)] * 40]),
    ]
    older = {**results(1)[0], "status": "preliminary"}
    assert await loading(lines(tmp_path / "older.ndjson", [older])) == {"created": 1}
    target = await Mortal.of(services)
    assert isinstance(target, Mortal)
    target.left = left
    with pytest.raises(Death):
        await loading(*paths, target=target)
    assert await loading(*paths) == {"created": 273, "updated": 1, "refused": 2}
    assert await total(services, "Observation") == 270
    assert [(place["file"], place["line"]) for place, _ in refusals(tmp_path)] == [
        (str(paths[0]), 105),
        (str(paths[1]), 1),
    ]
    assert await loading(*paths) == {"unchanged": 274, "refused": 2}
