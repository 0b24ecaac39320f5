"""What a load reads: files, lines, Bundles, and the ids of what has none."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fhirserver.bench import data
from fhirserver.cli.load.bar import line
from fhirserver.definitions import load as definitions
from fhirserver.interactions.load import (
    BadReport,
    BadSource,
    Checkpoint,
    Job,
    Means,
    Outcome,
    Progress,
    Report,
    Source,
    Unit,
    files,
    load,
)
from fhirserver.interactions.load import run as running
from fhirserver.interactions.load import sources as reading
from fhirserver.interactions.load.sources import Reader, Text
from fhirserver.interactions.load.units import Units

BASE = "http://127.0.0.1:8000/fhir"
DIGEST = "0123456789abcdef" * 4
PATIENT = {"resourceType": "Patient", "id": "p"}


def units() -> Units:
    return Units(definitions(), BASE, DIGEST)


def read(value: Any) -> Unit:
    return units().of(Text(7, 100, json.dumps(value).encode()))


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def post(resource: dict[str, Any], full_url: str | None = None, **request: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"], **request},
    }
    return entry if full_url is None else entry | {"fullUrl": full_url}


def observation(reference: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {}, "subject": {"reference": reference}}


# Files


def test_folders_give_what_has_the_right_ending_by_name(tmp_path: Path) -> None:
    for name in ("b.ndjson", "a.json.gz", "sub/c.jsonl", "simulator.log", "x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    assert [path.name for path in files([tmp_path])] == ["a.json.gz", "b.ndjson", "c.jsonl"]


@pytest.mark.parametrize("name", ["absent.ndjson", "x.csv", "empty"])
def test_a_path_that_cannot_be_loaded_is_refused_before_anything_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.csv").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadSource):
        files([tmp_path / name])


def test_lines_are_read_on_from_any_place_plain_and_zipped(tmp_path: Path) -> None:
    text = b'{"a":1}\n\n  \n{"b":2}\r\n{"c":3}'
    (tmp_path / "x.ndjson").write_bytes(text)
    (tmp_path / "x.ndjson.gz").write_bytes(gzip.compress(text))
    for name in ("x.ndjson", "x.ndjson.gz"):
        source = Source.of(tmp_path / name)
        with Reader(source) as reader:
            found = list(reader.texts())
        assert [(each.number, each.data) for each in found] == [(1, b'{"a":1}'), (4, b'{"b":2}'), (5, b'{"c":3}')]
        with Reader(source, offset=found[1].end, number=found[1].number) as reader:
            assert list(reader.texts()) == found[2:]


def test_a_line_past_the_bound_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LINE_LIMIT", 20)
    monkeypatch.setattr(reading, "_CHUNK", 8)
    (tmp_path / "x.ndjson").write_bytes(b'{"a":1}\n' + b"x" * 100 + b'\n{"b":2}\n')
    with Reader(Source.of(tmp_path / "x.ndjson")) as reader:
        found = list(reader.texts())
    assert [(each.number, each.error is None) for each in found] == [(1, True), (2, False), (3, True)]
    assert found[2].data == b'{"b":2}'


@pytest.mark.parametrize("damage", ["cut", "no gzip"])
def test_a_damaged_gzip_ends_with_the_reason(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress(b"".join(b'{"n":%d}\n' % number for number in range(50_000)))
    (tmp_path / "x.ndjson.gz").write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"plain text")
    with Reader(Source.of(tmp_path / "x.ndjson.gz")) as reader:
        *good, last = reader.texts()
    assert all(each.error is None for each in good)
    assert bool(good) == (damage == "cut")
    assert last.error is not None


def test_a_json_file_past_the_bound_is_refused_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FILE_LIMIT", 5)
    (tmp_path / "x.json").write_bytes(b'{"resourceType":"Patient"}')
    with Reader(Source.of(tmp_path / "x.json")) as reader:
        [text] = reader.texts()
    assert text.error is not None
    assert text.error.status == 413


# Units


def test_what_has_an_id_keeps_it_and_what_has_none_gets_the_same_one_each_time() -> None:
    [kept] = read(PATIENT).candidates
    assert (kept.resource["id"], kept.is_new) == ("p", False)
    [made], [again] = read({"resourceType": "Patient"}).candidates, read({"resourceType": "Patient"}).candidates
    assert made == again
    assert made.is_new
    ids = [units().new_id(number, entry) for number in (1, 2, 99_999) for entry in (None, 0, 1)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_links_of_a_transaction_follow_their_resources() -> None:
    url = "urn:uuid:8f8c3a8e-3f43-4b5e-9d0a-0a3a2f0b8a11"
    unit = read(bundle("transaction", post({"resourceType": "Patient"}, url), post(observation(url))))
    patient, result = unit.candidates
    assert unit.whole
    assert result.resource["subject"] == {"reference": f"Patient/{patient.resource['id']}"}


def test_links_of_a_collection_follow_their_resources() -> None:
    old = "https://other.example/fhir/Patient/p"
    unit = read(bundle("collection", {"fullUrl": old, "resource": PATIENT}, {"resource": observation(old)}))
    assert not unit.whole
    assert unit.candidates[1].resource["subject"] == {"reference": "Patient/p"}


def test_an_outcome_of_a_searchset_is_not_loaded() -> None:
    outcome = {"resource": {"resourceType": "OperationOutcome", "issue": []}, "search": {"mode": "outcome"}}
    assert [each.entry for each in read(bundle("searchset", outcome, {"resource": PATIENT})).candidates] == [1]


def test_a_document_is_a_resource_itself() -> None:
    [found] = read(bundle("document")).candidates
    assert found.resource["resourceType"] == "Bundle"


CONDITIONS = {
    "ifNoneExist": [post(PATIENT, ifNoneExist="identifier=a|b")],
    "a conditional reference": [post(observation("Patient?identifier=a|b"))],
    "a deletion": [{"request": {"method": "DELETE", "url": "Patient/x"}}],
    "ifMatch": [{"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p", "ifMatch": 'W/"2"'}}],
    "ifNoneMatch": [{"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p", "ifNoneMatch": "*"}}],
    "a conditional update": [{"resource": PATIENT, "request": {"method": "PUT", "url": "Patient?identifier=a|b"}}],
    "two of the same": [{"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p"}}] * 2,
}


@pytest.mark.parametrize("what", CONDITIONS)
def test_a_transaction_with_conditions_goes_the_normal_way(what: str) -> None:
    unit = read(bundle("transaction", *CONDITIONS[what], post({"resourceType": "Basic", "code": {}})))
    assert (unit.whole, unit.candidates, unit.refusals) == (True, (), ())
    assert len(unit.entries) == len(CONDITIONS[what]) + 1


def test_of_a_batch_only_the_entries_with_conditions_go_the_normal_way() -> None:
    unit = read(bundle("batch", *CONDITIONS["ifNoneExist"], post(PATIENT)))
    assert ([each.entry for each in unit.candidates], [index for index, _ in unit.entries]) == ([1], [0])


BROKEN: dict[str, bytes] = {
    "no JSON": b"{",
    "a key twice": b'{"resourceType":"Patient","resourceType":"Patient"}',
    "no resource": b"[]",
    "no type": b'{"id":"x"}',
    "an unknown type": b'{"resourceType":"Dog"}',
    "an id of another kind": b'{"resourceType":"Patient","id":5}',
    "entries that are none": b'{"resourceType":"Bundle","type":"collection","entry":{}}',
    "an entry without a request": b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"}}]}',
    "a patch": b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"PATCH","url":"Patient/x"}}]}',
    "an address of nothing": b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"DELETE","url":"Dog/x"}}]}',
    "a method that does not fit": b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"PUT","url":"Patient"}}]}',
    "an update of no id": b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient"},'
    b'"request":{"method":"PUT","url":"Patient"}}]}',
    "a create of an id": b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient"},'
    b'"request":{"method":"POST","url":"Patient/a"}}]}',
    "an entry without its resource": b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"POST","url":"Patient"}}]}',
    "another id than the address has": b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","id":"b"},'
    b'"request":{"method":"PUT","url":"Patient/a"}}]}',
    "nothing in an entry": b'{"resourceType":"Bundle","type":"collection","entry":[{}]}',
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_read_is_refused_with_a_reason(what: str) -> None:
    unit = units().of(Text(1, 1, BROKEN[what]))
    assert unit.size >= 1
    assert not unit.candidates
    [(_, error)] = unit.refusals
    assert error.issues[0].diagnostics


# The run


class Nowhere:
    """A target that keeps nothing."""

    ahead = 1
    beside = 0

    async def judge(self, texts: Sequence[Text], job: Job) -> list[Unit]:
        return [job.units.of(text) for text in texts]

    async def write(self, ready: Sequence[Unit], job: Job) -> list[Outcome]:
        return [Outcome(unit.number, each.entry, "created") for unit in ready for each in unit.candidates]

    async def recall(self, key: str) -> Checkpoint | None:
        return None

    async def remember(self, key: str, checkpoint: Checkpoint) -> None:
        pass

    async def forget(self, key: str) -> None:
        pass


async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    result = data.encode(data.observation(1, 1)) + b"\n"
    peaks = []
    for count in (6_000, 30_000):
        path = tmp_path / f"{count}.ndjson"
        path.write_bytes(result * count)
        means = Means(definitions(), BASE, lambda: "run", Report(tmp_path / "refused"), lambda _: None)
        tracemalloc.start()
        counts = await load([path], Nowhere(), means)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert counts.created == count
    assert peaks[1] < peaks[0] * 1.2


class Deaf(Nowhere):
    """A target that loses the cancellation that comes while it writes its first batch, as the driver may."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.writes = asyncio.Event()

    async def write(self, ready: Sequence[Unit], job: Job) -> list[Outcome]:
        self.written.append(ready[0].number)
        if len(self.written) == 1:
            self.writes.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return await super().write(ready, job)


async def test_a_load_that_is_told_to_end_ends_where_the_driver_did_not_hear_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BATCH", 1)
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"".join(data.encode(PATIENT | {"id": f"p{number}"}) + b"\n" for number in range(9)))
    means = Means(definitions(), BASE, lambda: "run", Report(tmp_path / "refused"), lambda _: None)
    target = Deaf()
    loading = asyncio.create_task(load([path], target, means))
    async with asyncio.timeout(10):
        await target.writes.wait()
        loading.cancel()
        await asyncio.wait([loading])
    assert loading.cancelled()
    assert target.written == [1]


def test_what_cannot_be_read_or_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"x\.ndjson cannot be read: No such file or directory\.$"):
        Source.of(tmp_path / "x.ndjson")
    report = Report(tmp_path / "absent" / "refused.ndjson")
    report.resume(0)
    with pytest.raises(BadReport, match=r"refused\.ndjson cannot be written: No such file or directory\. Load again"):
        report.add(tmp_path, Outcome(1, None, "refused"), is_lines=True)
    assert report.size == 0


def test_the_bar_says_how_much_how_fast_and_how_long_still() -> None:
    progress = Progress("x.ndjson", done=600, size=1000, resources=60)
    assert line(progress, 10.0, (100, 10)) == f"[{'#' * 18}{'.' * 12}]  60%  60 resources  5/s  0:08 left  x.ndjson"
    assert line(Progress("x", 0, 0, 0), 0.0, (0, 0)).startswith(f"[{'#' * 30}] 100%")
