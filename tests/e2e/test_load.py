"""`fhirserver load` as a person runs it: into the database and through REST, killed and run again, and read back the same.

Third-party synthetic patients are loaded where FHIRSERVER_SYNTHETIC names folders of them (separated by `:`).
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from fhirserver.bench import data
from fhirserver.interactions.load import Source, files
from fhirserver.interactions.load.sources import Reader
from fhirserver.interactions.load.units import UNPACKED
from fhirserver.model.json import dump, parse
from tests.e2e.server import COMMAND, Server, end, environment, serving

SAID = re.compile(r"([\d,]+) (created|updated|unchanged|deleted|refused|in all)")


def said(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The counts of the last line that are not zero."""
    found = {name: int(number.replace(",", "")) for number, name in SAID.findall(run.stdout.splitlines()[-1])}
    assert found.pop("in all") == sum(found.values())
    return {name: number for name, number in found.items() if number}


def load(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    whole = [COMMAND, "load", *words]
    variables = environment(folder) | variables
    return subprocess.run(whole, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def hospital(folder: Path, results: int) -> list[dict[str, Any]]:
    """A folder of NDJSON, some of it zipped, with one resource that is refused; what is in it."""
    patients = [data.patient(number) for number in range(20)]
    observations = [{**data.observation(number % 20, number), "id": f"o{number}"} for number in range(results)]
    consents = [data.consent(number) for number in range(20)]
    folder.mkdir()
    (folder / "directory.ndjson").write_bytes(_lines(data.directory()))
    (folder / "patients.ndjson.gz").write_bytes(gzip.compress(_lines(patients)))
    (folder / "results.ndjson").write_bytes(_lines([*observations, {"resourceType": "Observation", "id": "bad"}]))
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in consents]}
    (folder / "consents.json").write_bytes(data.encode(bundle))
    return [*data.directory(), *patients, *observations, *consents]


def _lines(resources: list[dict[str, Any]]) -> bytes:
    return b"".join(data.encode(each) + b"\n" for each in resources)


def bare(resource: dict[str, Any]) -> bytes:
    """The resource without what the server adds, in one spelling."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    kept = {name: value for name, value in resource.items() if name != "meta"} | ({"meta": meta} if meta else {})
    return json.dumps(parse(dump(kept)), sort_keys=True, default=lambda number: f"exactly {number.text}").encode()


def read_back(base: str, sent: list[dict[str, Any]]) -> None:
    """Every resource is there once, as it was sent."""
    with httpx.Client(base_url=base, timeout=60) as client:
        for first in range(0, len(sent), 200):
            portion = sent[first : first + 200]
            urls = [f"{each['resourceType']}/{each['id']}" for each in portion]
            entries = [{"request": {"method": "GET", "url": url}} for url in urls]
            got = client.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
            for each, answer in zip(portion, parse(got.content, limit=1 << 30, nesting=100)["entry"], strict=True):
                assert answer["resource"]["meta"]["versionId"] == "1"
                assert bare(answer["resource"]) == bare(parse(data.encode(each)))


def test_a_folder_is_loaded_into_a_new_database_and_served_the_same(tmp_path: Path) -> None:
    sent = hospital(tmp_path / "hospital", 300)
    first = load(tmp_path, "hospital", "--data", "data")
    assert (said(first), first.returncode) == ({"created": len(sent), "refused": 1}, 1), first.stderr
    assert "refused.ndjson" in first.stderr
    assert "\r" not in first.stderr
    [line] = (tmp_path / "refused.ndjson").read_text().splitlines()
    assert "hospital/results.ndjson" in line
    with serving(tmp_path, "--auth", "none") as server:
        read_back(server.base, sent)
        again = server.run("load", "hospital")
        assert said(again) == {"unchanged": len(sent), "refused": 1}
        assert server.stop() == 0


def test_a_folder_is_loaded_through_rest_and_again_it_changes_nothing(tmp_path: Path) -> None:
    sent = hospital(tmp_path / "hospital", 300)
    with serving(tmp_path, "--auth", "none") as server:
        first = load(tmp_path, "hospital", "--url", server.base)
        assert (said(first), first.returncode) == ({"created": len(sent), "refused": 1}, 1), first.stderr
        read_back(server.base, sent)
        again = load(tmp_path, "hospital", "--url", server.base, "--parallel", "2")
        assert said(again) == {"unchanged": len(sent), "refused": 1}
        changed = {**data.observation(0, 0), "id": "o0", "status": "amended"}
        (tmp_path / "changed.ndjson").write_bytes(_lines([changed]))
        assert said(load(tmp_path, "changed.ndjson", "--url", server.base)) == {"updated": 1}
        assert server.stop() == 0


def test_transactions_are_loaded_through_rest_and_again_they_change_nothing(tmp_path: Path) -> None:
    url = "urn:uuid:8f8c3a8e-3f43-4b5e-9d0a-0a3a2f0b8a11"
    plain = [
        {"fullUrl": url, "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {
            "resource": {**data.observation(0, 0), "subject": {"reference": url}},
            "request": {"method": "POST", "url": "Observation"},
        },
    ]
    key = "identifier=https://bench.example/results|0-1"
    conditional = [
        plain[0],
        {
            "resource": {**data.observation(0, 1), "subject": {"reference": url}},
            "request": {"method": "POST", "url": "Observation", "ifNoneExist": key},
        },
    ]
    broken = [plain[0], {"resource": {"resourceType": "Basic"}, "request": {"method": "POST", "url": "Basic"}}]
    for name, entries in (("plain", plain), ("conditional", conditional), ("broken", broken)):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        (tmp_path / f"{name}.json").write_bytes(data.encode(bundle))
    paths = ("plain.json", "conditional.json", "broken.json")
    with serving(tmp_path, "--auth", "none") as server:
        assert said(load(tmp_path, *paths, "--url", server.base)) == {"created": 4, "refused": 2}
        assert said(load(tmp_path, *paths, "--url", server.base)) == {"unchanged": 4, "refused": 2}
        assert said(server.run("load", *paths)) == {"unchanged": 4, "refused": 2}
        with httpx.Client(base_url=server.base) as client:
            found = client.get("/Observation").json()
            owners = {each["resource"]["subject"]["reference"] for each in found["entry"]}
            assert len(owners) == len(found["entry"]) == 2
            assert all(client.get(f"/{owner}").status_code == 200 for owner in owners)


def test_a_client_that_may_not_assign_ids_loads_what_needs_none(tmp_path: Path) -> None:
    (tmp_path / "x.ndjson").write_bytes(_lines([data.observation(1, 1), {**data.observation(1, 2), "id": "mine"}]))
    with serving(tmp_path) as server:
        token = server.token("--user", "Organization/lab", "--scope", "system/Observation.crus")
        (tmp_path / "token").write_text(f"{token}\n")
        loaded = load(tmp_path, "x.ndjson", "--url", server.base, FHIRSERVER_TOKEN_FILE=str(tmp_path / "token"))
        assert said(loaded) == {"created": 1, "refused": 1}
        refused = load(tmp_path, "x.ndjson", "--url", server.base, "--token", "wrong")
        assert refused.returncode == 1
        assert "access token" in refused.stderr


@pytest.fixture
def observations(mongo_url: str, database_name: str) -> Iterator[Any]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    yield client[database_name]["Observation"]
    client.close()


def test_a_load_that_is_killed_again_and_again_doubles_and_loses_nothing(
    tmp_path: Path, mongo_url: str, database_name: str, observations: Any
) -> None:
    sent = hospital(tmp_path / "hospital", 10_000)
    variables = {"FHIRSERVER_MONGO_URL": mongo_url, "FHIRSERVER_DATABASE": database_name}
    words = ("hospital", "--processes", "2")
    seen = 0
    for _ in range(3):
        process = subprocess.Popen(
            [COMMAND, "load", *words],
            cwd=tmp_path,
            env=environment(tmp_path) | variables,
            stdout=subprocess.DEVNULL,
        )
        children: set[int] = set()
        seen = kill_after_more(process, seen, lambda: int(observations.count_documents({})), children)
        assert len(children) == 2
        wait_until_gone(children)
        # What it had begun MongoDB would end by itself, after a minute or two.
        observations.database.client.admin.command("killAllSessions", [])
    last = load(tmp_path, *words, **variables)
    assert said(last) == {"created": len(sent), "refused": 1}, last.stderr
    assert observations.count_documents({}) == observations.count_documents({"version": 1}) == 10_000
    assert len((tmp_path / "refused.ndjson").read_text().splitlines()) == 1


def test_a_load_through_rest_that_is_killed_doubles_and_loses_nothing(tmp_path: Path) -> None:
    sent = hospital(tmp_path / "hospital", 1_500)
    with serving(tmp_path, "--auth", "none") as server, httpx.Client(base_url=server.base) as client:

        def count() -> int:
            return int(client.get("/Observation?_summary=count").json()["total"])

        words = [COMMAND, "load", "hospital", "--url", server.base]
        seen = 0
        for _ in range(2):
            process = subprocess.Popen(words, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.DEVNULL)
            seen = kill_after_more(process, seen, count)
        assert said(load(tmp_path, "hospital", "--url", server.base)) == {"created": len(sent), "refused": 1}
        read_back(server.base, sent)


def test_a_server_that_is_killed_and_comes_back_gets_all_of_it(tmp_path: Path) -> None:
    sent = hospital(tmp_path / "hospital", 1_500)
    server = Server(tmp_path, "--auth", "none")
    try:
        server.start()
        words = [COMMAND, "load", "hospital", "--url", server.base]
        process = subprocess.Popen(words, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, text=True)
        with httpx.Client(base_url=server.base) as client:
            while client.get("/Observation?_summary=count").json()["total"] == 0:
                assert process.poll() is None
        server.kill()
        server.start()
        out, _ = process.communicate(timeout=200)
        assert said(subprocess.CompletedProcess([], 0, out)) == {"created": len(sent), "refused": 1}
        read_back(server.base, sent)
        assert server.stop() == 0
    finally:
        end(server)


def kill_after_more(process: subprocess.Popen[Any], seen: int, count: Any, children: set[int] | None = None) -> int:
    """Kill the process once there is more than there was; what is there then, and which processes it had begun."""
    deadline = time.monotonic() + 120
    # What the load before had on its way may come late: this one is to be at work.
    while process.poll() is None and (count() == seen or children == set()):
        assert time.monotonic() < deadline
        if children is not None:
            children |= begun_by(process.pid)
        time.sleep(0.02)
    process.kill()
    process.wait()
    return int(count())


def begun_by(pid: int) -> set[int]:
    """The processes that a process has begun, if it is there yet."""
    with suppress(FileNotFoundError, ProcessLookupError):
        threads = Path(f"/proc/{pid}/task").iterdir()
        return {int(child) for each in threads for child in (each / "children").read_text().split()}
    return set()


def wait_until_gone(pids: set[int]) -> None:
    """None of these processes does anything any more."""
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Synthetic patients that nobody here made


def folders() -> list[str]:
    return [each for each in os.environ.get("FHIRSERVER_SYNTHETIC", "").split(":") if each]


def in_folder(folder: Path) -> int:
    """How many resources there are."""
    count = 0
    for path in files([folder]):
        with Reader(Source.of(path)) as reader:
            for text in reader.texts():
                value = parse(text.data, limit=1 << 30)
                unpacked = value.get("resourceType") == "Bundle" and value.get("type") in UNPACKED
                count += len(value["entry"]) if unpacked else 1
    return count


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("folder", folders() or [""])
def test_synthetic_patients_are_the_same_through_rest_and_through_the_loader(tmp_path: Path, folder: str) -> None:
    if not folder:
        pytest.skip("FHIRSERVER_SYNTHETIC names no folder of synthetic patients")
    whole = in_folder(Path(folder))
    both: list[dict[str, bytes]] = []
    reports: list[list[Any]] = []
    for way in ("direct", "rest"):
        place = tmp_path / way
        place.mkdir()
        with serving(place, "--auth", "none") as server:
            loaded = (
                load(place, folder, "--data", "data") if way == "direct" else load(place, folder, "--url", server.base)
            )
            counts = said(loaded)
            assert counts["created"] + counts.get("refused", 0) == whole
            both.append(everything(server.base))
            assert len(both[-1]) == counts["created"]
            report = place / "refused.ndjson"
            reports.append([json.loads(line) for line in report.read_text().splitlines()] if report.exists() else [])
            assert sum(_resources(each) for each in reports[-1]) == counts.get("refused", 0)
    assert both[0] == both[1]
    assert [each["issue"] for each in reports[0]] == [each["issue"] for each in reports[1]]


def _resources(outcome: dict[str, Any]) -> int:
    place = {each["url"]: each for each in outcome["extension"][0]["extension"]}
    return int(place.get("resources", {}).get("valuePositiveInt", 1))


def everything(base: str) -> dict[str, bytes]:
    """Every current resource of a server by its address, without what the server adds."""
    found: dict[str, bytes] = {}
    with httpx.Client(base_url=base, timeout=60) as client:
        page: str | None = f"{base}/_history?_count=1000"
        while page is not None:
            bundle = parse(client.get(page).content, limit=1 << 30, nesting=100)
            for entry in bundle.get("entry", ()):
                resource = entry["resource"]
                found[f"{resource['resourceType']}/{resource['id']}"] = bare(resource)
            page = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found
