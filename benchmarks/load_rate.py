"""`fhirserver load` of NDJSON beside `insert_many` of the same documents with the same indexes, in turn, in one run.

    python benchmarks/load_rate.py [--results 20000] [--rounds 3]

The load is the whole command: the start of the process, reading, validation, search values, security facts, history feed. Prints
Markdown; the ratio is what is kept.
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


async def insert_many(url: str, database: str) -> float:
    """The seconds that the stored documents take, from prepared BSON."""
    async with AsyncMongoClient[RawBSONDocument](url, document_class=RawBSONDocument) as client:
        stored = client[database]["Observation"]
        rows = await stored.find({}).to_list(None)
        copy = client[database].get_collection("ceiling", write_concern=WriteConcern(w="majority", j=True))
        for row in [dict(each) for each in await (await stored.list_indexes()).to_list()]:
            if row["name"] != "_id_":
                await copy.create_index(list(dict(row["key"]).items()), name=row["name"])
        began = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            await copy.insert_many(rows[first : first + BATCH], ordered=False)
        took = time.perf_counter() - began
        await client.drop_database(database)
    return took


def load(url: str, database: str, path: Path) -> tuple[float, float]:
    """The seconds that the command says it took, and its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    variables: dict[str, Any] = os.environ | {"FHIRSERVER_MONGO_URL": url, "FHIRSERVER_DATABASE": database}
    words = [sys.executable, "-m", "fhirserver", "load", str(path)]
    said = subprocess.run(words, env=variables, check=True, capture_output=True, text=True, cwd=path.parent).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(said.split()[-2]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def run(given: argparse.Namespace) -> None:
    """All rounds, and the table."""
    with tempfile.TemporaryDirectory(prefix="fhirserver-bench-") as folder:
        path = Path(folder) / "results.ndjson"
        lines = (data.encode(data.observation(number % 1_000, number // 1_000)) for number in range(given.results))
        path.write_bytes(b"\n".join(lines))
        embedded = Embedded(Path(folder), cache_gb=1.0)
        url = await embedded.start(server=False)
        loads, ceilings, processor = [], [], []
        try:
            for number in range(given.rounds):
                took, cpu = await asyncio.to_thread(load, url, f"bench{number}", path)
                loads.append(took)
                processor.append(cpu)
                ceilings.append(await insert_many(url, f"bench{number}"))
        finally:
            await embedded.stop()
    rates = [given.results / statistics.median(each) for each in (loads, ceilings)]
    print("| Work | Rate | Processor µs each |\n| --- | --- | --- |")
    print(
        f"| fhirserver load, NDJSON | {rates[0]:,.0f}/s | {statistics.median(processor) / given.results * 1e6:,.0f} |"
    )
    print(f"| insert_many, same indexes | {rates[1]:,.0f}/s | |")
    ratio = statistics.median(ceiling / each for ceiling, each in zip(ceilings, loads, strict=True))
    print(f"\nRatio, median of {given.rounds} rounds: {ratio:.2f} (to hold: {TO_HOLD})")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="The rate of a load beside that of insert_many.")
    parser.add_argument("--results", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
