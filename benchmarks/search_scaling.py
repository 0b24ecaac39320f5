"""Thirty shapes of search over 1,000, 8,000 and 64,000 patients with twenty Observations each: does their time grow with the data?

    python benchmarks/search_scaling.py --data DIR [--sizes 1000,8000,64000] [--times 60]

Each size has a database of its own on the mongod of DIR; what is not there yet is built first, by `fhirserver load`, and stays
for the next run. One client asks one search after the other, the sizes in turn, each time for another patient, name or day.
Each is asked twice, and the second answer is measured: what mongod then has in memory is the same share of all sizes. With
`--cold` it is the first, in which the larger sizes read pages from disk that the smaller ones have read already.
Prints Markdown: p50 and p99 of each shape at each size, and by how much p50 grows.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fhirserver.bench import population as people
from fhirserver.bench.shapes import Shape, shapes
from fhirserver.store.embedded import Embedded, free_port

TO_HOLD = 1.5
WARM_UP = 5
DEEP = 20
"""Pages that a deep page lies behind."""


class Client:
    """One connection to one server."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path: str) -> tuple[float, int, dict[str, Any]]:
        """Milliseconds, the status, and the answer."""
        began = time.perf_counter()
        try:
            self._connection.request("GET", path, headers={"Accept": "application/fhir+json"})
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle too long, while the others were asked
            return self.ask(path)
        text = answer.read()
        return (time.perf_counter() - began) * 1000, answer.status, json.loads(text)

    def start_of(self, shape: Shape, number: int) -> str:
        """The address to measure."""
        path = "/fhir/" + shape.address(number)
        for _ in range(DEEP if shape.deep else 0):
            _, _, page = self.ask(path)
            links = {link["relation"]: link["url"] for link in page["link"]}
            if "next" not in links:
                break
            parts = urlsplit(links["next"])
            path = f"{parts.path}?{parts.query}"
        return path


@contextmanager
def server(url: str, database: str) -> Iterator[int]:
    """A server of our own on a database; its port."""
    port = free_port()
    command = [sys.executable, "-m", "fhirserver", "serve", "--auth", "none", "--port", str(port)]
    process = subprocess.Popen(command, env=_environment(url, database), stdout=subprocess.PIPE, text=True)
    try:
        ready(process)
        yield port
    finally:
        process.terminate()
        process.wait()


def ready(process: subprocess.Popen[str]) -> None:
    """Wait for the line that says so."""
    if process.stdout is None or not process.stdout.readline():
        raise RuntimeError("The server did not start.")


def _environment(url: str, database: str) -> dict[str, str]:
    return os.environ | {"FHIRSERVER_MONGO_URL": url, "FHIRSERVER_DATABASE": database, "FHIRSERVER_LOG_REQUESTS": "0"}


def build(url: str, folder: Path, patients: int) -> None:
    """The database of this size, if it is not there whole."""
    done = folder / f"scale{patients}.built"
    if done.exists():
        return
    path = folder / f"scale{patients}.ndjson"
    with path.open("w", encoding="utf-8") as out:
        for resource in people.population(patients):
            out.write(json.dumps(resource, separators=(",", ":")) + "\n")
    command = [sys.executable, "-m", "fhirserver", "load", str(path)]
    subprocess.run(command, env=_environment(url, f"scale{patients}"), check=True, cwd=folder)
    path.unlink()
    done.touch()


def measure(ports: dict[int, int], times: int, *, is_cold: bool = False) -> str:
    """Every shape at every size, the sizes in turn."""
    clients = {size: Client(port) for size, port in ports.items()}
    sizes = list(clients)
    lines = [
        "| Shape | " + " | ".join(f"p50 / p99 ms at {size:,}" for size in sizes) + " | Growth of p50 |",
        "| --- " * (len(sizes) + 2) + "|",
    ]
    for each in range(len(shapes(sizes[0]))):
        spent: dict[int, list[float]] = {size: [] for size in sizes}
        said: dict[int, str] = {}
        for turn in range(times + WARM_UP):
            for size, client in clients.items():
                shape = shapes(size)[each]
                number = random.Random(f"{each}-{turn}").randrange(size)
                path = client.start_of(shape, number) if shape.deep or turn == 0 else "/fhir/" + shape.address(number)
                if not is_cold:
                    client.ask(path)
                took, status, answer = client.ask(path)
                if turn >= WARM_UP:
                    spent[size].append(took)
                said[size] = "" if status == 200 else f" ({status} {answer['issue'][0]['code']})"
        shape = shapes(sizes[0])[each]
        cells = [f"{_share(spent[size], 0.5):.1f} / {_share(spent[size], 0.99):.1f}{said[size]}" for size in sizes]
        growth = statistics.median(spent[sizes[-1]]) / statistics.median(spent[sizes[0]])
        name = shape.name if shape.is_selective else f"{shape.name} (broad)"
        lines.append(f"| {name} | {' | '.join(cells)} | {growth:.2f} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def _share(times: list[float], part: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


async def run(given: argparse.Namespace) -> None:
    """Build, measure, print."""
    folder: Path = given.data
    embedded = Embedded(folder, cache_gb=given.cache)
    url = await embedded.start(server=False)
    try:
        sizes = [int(size) for size in given.sizes.split(",")]
        for size in sizes:
            await asyncio.to_thread(build, url, folder, size)
        if not given.build_only:
            print(await asyncio.to_thread(_measured, url, sizes, given.times, is_cold=given.cold))
            print(f"\nTo hold: {TO_HOLD} for whatever is not broad.")
    finally:
        await embedded.stop()


def _measured(url: str, sizes: list[int], times: int, *, is_cold: bool) -> str:
    with ExitStack() as servers:
        ports = {size: servers.enter_context(server(url, f"scale{size}")) for size in sizes}
        return measure(ports, times, is_cold=is_cold)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="How the time of searches grows with the data.")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the database; it stays")
    parser.add_argument("--sizes", default="1000,8000,64000", help="numbers of patients")
    parser.add_argument("--times", type=int, default=60, help="searches of each shape at each size")
    parser.add_argument("--cache", type=float, default=4.0, help="gigabytes that mongod may cache")
    parser.add_argument("--cold", action="store_true", help="measure the first time that something is asked")
    parser.add_argument("--build-only", action="store_true")
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(given))


if __name__ == "__main__":
    main()
