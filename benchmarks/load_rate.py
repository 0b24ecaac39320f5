"""`fhirserver load` of NDJSON beside `insert_many` of the same documents with the same indexes, in turn, in one run.

    python benchmarks/load_rate.py [--results 20000] [--rounds 3] [--processes N]

The load is the whole command: reading, validation, search values, security facts, history feed, and the making of collections and
indexes. `insert_many` sends one batch after the other; beside it stands the same with two batches on their way, as the load has them.
Processor time is that of the command with all of its processes. Prints Markdown; the ratio is what is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, WriteConcern

from fhirserver.bench import data
from fhirserver.store.embedded import Embedded

BATCH = 1_000
TO_HOLD = 0.5


async def insert_many(url: str, database: str, beside: int) -> float:
    """The seconds that the stored documents take, from prepared BSON, with so many batches on their way at one time."""
    async with AsyncMongoClient[RawBSONDocument](url, document_class=RawBSONDocument) as client:
        stored = client[database]["Observation"]
        rows = await stored.find({}).to_list(None)
        copy = client[database].get_collection(f"ceiling{beside}", write_concern=WriteConcern(w="majority", j=True))
        specifications = [{**each} for each in await (await stored.list_indexes()).to_list()]
        await client[database].command({"createIndexes": copy.name, "indexes": specifications})
        firsts = iter(range(0, len(rows), BATCH))

        async def lane() -> None:
            for first in firsts:
                await copy.insert_many(rows[first : first + BATCH], ordered=False)

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(beside)))
        took = time.perf_counter() - began
        await copy.drop()
    return took


async def drop(url: str, database: str) -> None:
    """Make room for the next round."""
    async with AsyncMongoClient[RawBSONDocument](url) as client:
        await client.drop_database(database)


def load(url: str, database: str, path: Path, words: list[str]) -> tuple[float, float]:
    """The seconds that the command says it took, and its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    variables: dict[str, Any] = os.environ | {"FHIRSERVER_MONGO_URL": url, "FHIRSERVER_DATABASE": database}
    whole = [sys.executable, "-m", "fhirserver", "load", str(path), *words]
    said = subprocess.run(whole, env=variables, check=True, capture_output=True, text=True, cwd=path.parent).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(said.split()[-2]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def run(given: argparse.Namespace) -> None:
    """All rounds, and the table."""
    words = [] if given.processes is None else ["--processes", str(given.processes)]
    with tempfile.TemporaryDirectory(prefix="fhirserver-bench-") as folder:
        path = Path(folder) / "results.ndjson"
        lines = (data.encode(data.observation(number % 1_000, number // 1_000)) for number in range(given.results))
        path.write_bytes(b"\n".join(lines))
        embedded = Embedded(Path(folder), cache_gb=1.0)
        url = await embedded.start(server=False)
        loads, ceilings, beside, processor = [], [], [], []
        try:
            for number in range(given.rounds):
                took, cpu = await asyncio.to_thread(load, url, f"bench{number}", path, words)
                loads.append(took)
                processor.append(cpu)
                ceilings.append(await insert_many(url, f"bench{number}", 1))
                beside.append(await insert_many(url, f"bench{number}", 2))
                await drop(url, f"bench{number}")
        finally:
            await embedded.stop()
    rates = [given.results / statistics.median(each) for each in (loads, ceilings, beside)]
    print("| Work | Rate | Processor µs each |\n| --- | --- | --- |")
    print(
        f"| fhirserver load, NDJSON | {rates[0]:,.0f}/s | {statistics.median(processor) / given.results * 1e6:,.0f} |"
    )
    print(f"| insert_many, same indexes | {rates[1]:,.0f}/s | |")
    print(f"| the same, two batches at one time | {rates[2]:,.0f}/s | |")
    ratio = statistics.median(ceiling / each for ceiling, each in zip(ceilings, loads, strict=True))
    print(f"\nRatio, median of {given.rounds} rounds: {ratio:.2f} (to hold: {TO_HOLD})")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="The rate of a load beside that of insert_many.")
    parser.add_argument("--results", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, help="as that of the command")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
