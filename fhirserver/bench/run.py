"""Run the benchmark: start the database and the servers, drive each in turn, and print the figures with their ratios."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhirserver.bench import cpu, data
from fhirserver.store.embedded import Embedded, free_port

DATABASE = "bench"
READERS, SEARCHERS, WRITERS, SENDERS = 64, 16, 64, 4
BUNDLE = 50
"""Resources of a transaction."""
CEILING_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured row: the median rate of its rounds, and the latencies of its median round.

    `cpu` and `mongod_cpu` are processor microseconds of a request, in the server and in the database, over all rounds."""

    name: str
    rate: float
    p50_ms: float
    p99_ms: float
    cpu: float = 0.0
    mongod_cpu: float = 0.0


class Bench:
    """One run over one database."""

    def __init__(
        self, folder: Path, embedded: Embedded, url: str, *, patients: int, each: int, seconds: float, rounds: int
    ) -> None:
        self.folder, self.embedded, self.url = folder, embedded, url
        self._pids: dict[int, int] = {}
        """The servers, by port."""
        self.patients, self.each, self.seconds, self.rounds = patients, each, seconds, rounds
        self.figures: dict[str, Figure] = {}
        self._log = (folder / "servers.log").open("ab")

    async def run(self) -> None:
        """Everything, in order: load and create, open reads beside the ceilings, gated reads, the insert ceiling."""
        async with self._server("--auth", "none") as port:
            await self._load(port)
            await self._create(port, "create, open", None, first=0)
            await self._insert_ceiling()  # at once, so that both have met the same machine
            await self._transactions(port, "transaction of 50, open", None, first=2 * self.each)
            ids = await self._ids()
            async with self._ceilings() as bare:
                await self._alternate(
                    {
                        "bare ASGI answer": (bare, ["/bare"], READERS, None),
                        "bare ASGI + find_one": (bare, [f"/one/{id}" for id in ids], READERS, None),
                        "read, open": (port, [f"/fhir/Observation/{id}" for id in ids], READERS, None),
                    }
                )
                await self._alternate(
                    {
                        "bare ASGI + same find": (bare, self._page_paths("/page/{0}"), SEARCHERS, None),
                        "search page, open": (port, self._page_paths(SEARCH), SEARCHERS, None),
                    }
                )
        async with self._server("--auth", "smart") as port:
            doctor = await self._token(
                "Practitioner", data.DOCTOR, "user/*.rs", "--role", f"PractitionerRole/{data.ROLE}"
            )
            laboratory = await self._token("Organization", data.LABORATORY, "system/Observation.crs")
            await self._alternate(
                {
                    "read, gated, no audit": (port, [f"/fhir/Observation/{id}" for id in ids], READERS, doctor),
                }
            )
            await self._alternate(
                {"search page, gated, no audit": (port, self._page_paths(SEARCH), SEARCHERS, doctor)},
            )
            await self._create(port, "create, gated, no audit", laboratory, first=self.each)
            await self._transactions(port, "transaction of 50, gated, no audit", laboratory, first=3 * self.each)

    # What is sent

    def _page_paths(self, template: str) -> list[str]:
        chosen = random.Random(1).sample(range(self.patients), min(self.patients, 500))
        return [template.format(data.patient_id(number)) for number in chosen]

    async def _load(self, port: int) -> None:
        puts: list[dict[str, Any]] = [*data.directory()]
        for number in range(self.patients):
            puts += [data.patient(number), data.consent(number)]
        lines = (("PUT", f"/fhir/{put['resourceType']}/{put['id']}", data.encode(put)) for put in puts)
        await self._drive(port, {"requests": self._file(lines), "connections": WRITERS})

    async def _create(self, port: int, name: str, token: str | None, *, first: int) -> None:
        order = [(number, first + serial) for serial in range(self.each) for number in range(self.patients)]
        lines = (("POST", "/fhir/Observation", data.encode(data.observation(*pair))) for pair in order)
        plan = {"requests": self._file(lines), "connections": WRITERS, "token": token}
        counted = await self._drive(port, plan)
        self.figures[name] = _figure(name, counted, [counted])

    async def _transactions(self, port: int, name: str, token: str | None, *, first: int) -> None:
        """Creates again, as many, fifty in each transaction."""
        order = [(number, first + serial) for serial in range(self.each) for number in range(self.patients)]
        bundles = (data.transaction(order[start : start + BUNDLE]) for start in range(0, len(order), BUNDLE))
        lines = (("POST", "/fhir", data.encode(bundle)) for bundle in bundles)
        plan = {"requests": self._file(lines), "connections": SENDERS, "token": token}
        counted = await self._drive(port, plan)
        self.figures[name] = _figure(name, counted, [counted])

    def _file(self, lines: Iterable[tuple[str, str, bytes]]) -> str:
        path = self.folder / "requests.txt"
        with path.open("wb") as out:
            for method, where, body in lines:
                out.write(f"{method} {where} ".encode() + body + b"\n")
        return str(path)

    async def _alternate(self, rows: dict[str, tuple[int, list[str], int, str | None]]) -> None:
        """The rows in turn, several rounds, so that a drift of the machine reaches them all."""
        seen: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
        for _ in range(self.rounds):
            for name, (port, paths, connections, token) in rows.items():
                plan = {"paths": paths, "connections": connections, "token": token, "seconds": self.seconds}
                seen[name].append(await self._drive(port, plan))
        for name, counted in seen.items():
            middle = statistics.median_low([each["rate"] for each in counted])
            self.figures[name] = _figure(name, next(each for each in counted if each["rate"] == middle), counted)

    async def _drive(self, port: int, plan: dict[str, Any]) -> dict[str, Any]:
        whole = {"host": "127.0.0.1", "port": port, "seconds": self.seconds, **plan}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fhirserver.bench.load", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        watched = (self._pids[port], self.embedded.pid())
        before = [cpu.seconds(pid) for pid in watched]
        out, _ = await process.communicate(json.dumps(whole).encode())
        counted: dict[str, Any] = json.loads(out)
        counted["cpu"] = [cpu.seconds(pid) - then for pid, then in zip(watched, before, strict=True)]
        refused = {status for status in counted["statuses"] if status not in ("200", "201")}
        if refused or process.returncode:
            raise RuntimeError(f"The benchmark's requests were refused: {counted['statuses']}")
        return counted

    # The processes

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "FHIRSERVER_MONGO_URL": self.url,
            "FHIRSERVER_MONGO_URL_FILE": "",
            "FHIRSERVER_DATABASE": DATABASE,
            "FHIRSERVER_BENCH_MONGO": self.url,
            "FHIRSERVER_BENCH_DATABASE": DATABASE,
            "FHIRSERVER_BENCH_PAGE": json.dumps(PAGE),
        }

    @asynccontextmanager
    async def _process(self, port: int, *command: str) -> AsyncIterator[int]:
        process = await asyncio.create_subprocess_exec(
            *command, env=self._environment(), stdout=subprocess.DEVNULL, stderr=self._log
        )
        try:
            await _listening(port)
            self._pids[port] = process.pid
            yield port
        finally:
            process.terminate()
            await process.wait()

    def _server(self, *options: str) -> Any:
        port = free_port()
        return self._process(port, sys.executable, "-m", "fhirserver", "serve", "--port", str(port), *options)

    def _ceilings(self) -> Any:
        port = free_port()
        return self._process(port, sys.executable, "-m", "fhirserver.bench.bare", str(port))

    async def _token(self, kind: str, id: str, scope: str, *more: str) -> str:
        command = [
            sys.executable,
            "-m",
            "fhirserver",
            "token",
            "issue",
            "--user",
            f"{kind}/{id}",
            "--scope",
            scope,
            *more,
        ]
        process = await asyncio.create_subprocess_exec(*command, env=self._environment(), stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        return out.decode().strip()

    # The database, seen directly

    async def _ids(self) -> list[str]:
        from pymongo import AsyncMongoClient

        async with AsyncMongoClient[dict[str, Any]](self.url) as client:
            rows = await client[DATABASE]["Observation"].find({}, {"_id": 1}).to_list(None)
        return random.Random(2).sample([row["_id"] for row in rows], min(len(rows), 20_000))

    async def _insert_ceiling(self) -> None:
        """`insert_many` of the very documents that the server stored, from prepared BSON, with the same indexes."""
        from bson.raw_bson import RawBSONDocument
        from pymongo import AsyncMongoClient, WriteConcern

        async with AsyncMongoClient[RawBSONDocument](self.url, document_class=RawBSONDocument) as client:
            database = client[DATABASE]
            stored = database["Observation"]
            rows = await stored.find({}, limit=self.patients * self.each).to_list(None)
            copy = database.get_collection("bench_ceiling", write_concern=WriteConcern(w="majority", j=True))
            await copy.drop()
            for row in [dict(each) for each in await (await stored.list_indexes()).to_list()]:
                if row["name"] != "_id_":
                    await copy.create_index(list(dict(row["key"]).items()), name=row["name"])
            began = time.perf_counter()
            for first in range(0, len(rows), CEILING_BATCH):
                await copy.insert_many(rows[first : first + CEILING_BATCH], ordered=False)
            took = time.perf_counter() - began
            await copy.drop()
        self.figures["insert_many, same indexes"] = Figure("insert_many, same indexes", len(rows) / took, 0.0, 0.0)


SEARCH = "/fhir/Observation?patient={0}&code=http://loinc.org%7C718-7&_sort=-date&_count=20"
PAGE = {
    "filter": {"index._pair": "PATIENT|http://loinc.org|718-7", "deleted": False},
    "sort": [["sort.date.hi", -1], ["_id", -1]],
}


def _figure(name: str, middle: dict[str, Any], rounds: list[dict[str, Any]]) -> Figure:
    requests = sum(sum(each["statuses"].values()) for each in rounds)
    spent = [sum(each["cpu"][place] for each in rounds) / requests * 1e6 for place in (0, 1)]
    return Figure(name, middle["rate"], middle["p50_ms"], middle["p99_ms"], *spent)


RATIOS = (
    ("read, open", "bare ASGI + find_one", 1, 2.0),
    ("search page, open", "bare ASGI + same find", 1, 0.5),
    ("create, open", "insert_many, same indexes", 1, 0.12),
    ("transaction of 50, open", "insert_many, same indexes", BUNDLE, 0.19),
)
"""Ours, its ceiling, how many of the ceiling one of ours is, and the ratio to hold."""


def report(figures: dict[str, Figure]) -> str:
    """The figures as a Markdown table, and below it the ratios of this one run."""
    rows = [
        f"| {each.name} | {each.rate:,.0f}/s | {each.p50_ms:.1f} | {each.p99_ms:.1f} "
        f"| {each.cpu:,.0f} | {each.mongod_cpu:,.0f} |"
        for each in figures.values()
    ]
    ratios = []
    for ours, ceiling, size, bar in RATIOS:
        if ours in figures and ceiling in figures:
            mine, bare = figures[ours], figures[ceiling]
            by_cpu = f"{bare.cpu / mine.cpu:.2f}" if mine.cpu and bare.cpu else "-"
            ratios.append(f"| {ours} / {ceiling} | {size * mine.rate / bare.rate:.2f} | {by_cpu} | {bar} |")
    head = ["| Work | Rate | p50 ms | p99 ms | Server CPU µs | mongod CPU µs |", "| --- " * 6 + "|", *rows, ""]
    return "\n".join([*head, "| Ratio in this run | Rate | Server CPU | To hold |", "| --- " * 4 + "|", *ratios])


async def _listening(port: int) -> None:
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise RuntimeError("The server did not begin to listen within a minute.")


async def run(*, patients: int = 1000, each: int = 20, seconds: float = 5.0, rounds: int = 3) -> str:
    """One whole run on a database of its own; the report as Markdown."""
    with tempfile.TemporaryDirectory(prefix="fhirserver-bench-") as folder:
        embedded = Embedded(Path(folder), cache_gb=1.0)
        url = await embedded.start(server=False)
        try:
            bench = Bench(Path(folder), embedded, url, patients=patients, each=each, seconds=seconds, rounds=rounds)
            await bench.run()
        finally:
            await embedded.stop()
    return report(bench.figures)
