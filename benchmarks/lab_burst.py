"""Eight laboratories post bursts of transactions of 50 results: some sent again, some corrected, some broken.

    python benchmarks/lab_burst.py [--laboratories 8] [--bundles 40] [--burst 10] [--results 50]

It starts a server of its own, counts what was acknowledged, and at the end looks for every result through the front door: nothing
may be lost, doubled or half-written. It prints rates and latencies as Markdown; the exit code is 1 where the count is not exact.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from fhirserver.bench import data, laboratory
from fhirserver.store.embedded import free_port

PATIENTS = 200
RESENT, CORRECTED, BROKEN = 0.02, 0.01, 0.01
PAUSE_SECONDS = 0.5
"""The longest pause between two bursts of a laboratory."""


@dataclass
class Laboratory:
    """One laboratory: what it sent, and what it may expect to find."""

    number: int
    client: httpx.AsyncClient
    chance: random.Random
    results: int
    bundles: int = 0
    expected: dict[str, int] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    async def burst(self, size: int) -> None:
        """Several transactions at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(size):
                group.create_task(self._one())

    async def _one(self) -> None:
        self.bundles += 1
        serial = self.bundles
        share = (serial * 37 + self.number * 13) % 100 / 100
        done = [each for each in self.sent if f"{each}-specimen" in self.expected]
        if share < RESENT and done:
            await self._resend(self.chance.choice(done))
        elif share < RESENT + CORRECTED and done:
            await self._correct(self.chance.choice(done))
        else:
            patient = self.chance.randrange(PATIENTS)
            bundle = laboratory.order(self.number, serial, patient, self.results)
            if share >= 1 - BROKEN:
                await self._expect("broken", laboratory.broken(bundle, self.chance.randrange(self.results)), 422)
                return
            self.sent[serial] = patient
            answer = await self._expect("new", bundle, 200)
            if answer is not None:
                self._note(serial, answer, ("201",))

    async def _resend(self, serial: int) -> None:
        bundle = laboratory.order(self.number, serial, self.sent[serial], self.results)
        answer = await self._expect("sent again", bundle, 200)
        if answer is not None:
            self._note(serial, answer, ("200",))

    async def _correct(self, serial: int) -> None:
        place = self.chance.randint(1, self.results)
        bundle = laboratory.correction(self.number, serial, place, self.sent[serial])
        self.expected[f"{serial}-{place}"] += 1
        await self._expect("correction", bundle, 200)

    def _note(self, serial: int, answer: dict[str, Any], statuses: tuple[str, ...]) -> None:
        places = ["specimen", *range(1, self.results + 1), "report"]
        for place, entry in zip(places, answer["entry"], strict=True):
            response, key = entry["response"], f"{serial}-{place}"
            if not response["status"].startswith((*statuses, *answer["may"])):
                self.faults.append(f"{key}: {response['status']}, {' or '.join(statuses)} was expected")
            where = response["location"].partition("/_history/")[0]
            if self.answers.setdefault(key, where) != where:
                self.faults.append(f"{key} is at two places")
            self.expected.setdefault(key, 1)

    async def _expect(self, kind: str, bundle: dict[str, Any], status: int) -> dict[str, Any] | None:
        body, was_busy = data.encode(bundle), False
        while True:
            began = time.perf_counter()
            got = await self.client.post("", content=body)
            if got.status_code != 503:
                break
            was_busy = True
            self.kinds["503, asked to come again"] += 1
            await asyncio.sleep(float(got.headers.get("Retry-After", 1)))
        self.latencies.append(time.perf_counter() - began)
        self.kinds[kind] += 1
        if got.status_code != status:
            self.faults.append(f"{kind}: {got.status_code} {got.text[:300]}")
            return None
        answer: dict[str, Any] = msgspec.json.decode(got.content)
        # A 503 says that it is not known, or that nothing was done: sent again, it may be there already.
        return answer | {"may": ("200",) if was_busy else ()}

    async def check(self) -> None:
        """Everything expected is there, once, in the version expected, and nothing else."""
        found: Counter[str] = Counter()
        for resource_type in ("Specimen", "Observation", "DiagnosticReport"):
            query = f"/{resource_type}?identifier={laboratory.numbers(self.number)}|&_count=500"
            page: str | None = query
            while page is not None:
                bundle = msgspec.json.decode((await self.client.get(page)).content)
                for entry in bundle.get("entry", ()):
                    resource = entry["resource"]
                    value = resource["identifier"][0]["value"]
                    found[value] += 1
                    if found[value] > 1:
                        self.faults.append(f"{value} is there twice")
                    elif value not in self.expected:
                        self.faults.append(f"{value} is there, and was not acknowledged")
                    elif int(resource["meta"]["versionId"]) != self.expected[value]:
                        self.faults.append(f"{value} is at version {resource['meta']['versionId']}")
                    elif (resource["status"] == "corrected") is not (self.expected[value] > 1):
                        self.faults.append(f"{value} is {resource['status']}")
                page = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        self.faults += [f"{value} is lost" for value in self.expected if value not in found]


async def bursts(lab: Laboratory, bundles: int, size: int) -> None:
    """All bursts of one laboratory, with pauses."""
    while lab.bundles < bundles:
        await lab.burst(min(size, bundles - lab.bundles))
        await asyncio.sleep(lab.chance.uniform(0, PAUSE_SECONDS))


async def run(base: str, tokens: list[str], given: argparse.Namespace) -> int:
    """Post, check, and print."""
    labs: list[Laboratory] = []
    for number, token in enumerate(tokens):
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/fhir+json",
            "Prefer": "return=minimal",
        }
        client = httpx.AsyncClient(base_url=base, headers=headers, timeout=120)
        labs.append(Laboratory(number, client, random.Random(number), given.results))
    began = time.perf_counter()
    await asyncio.gather(*(bursts(lab, given.bundles, given.burst) for lab in labs))
    took = time.perf_counter() - began
    for lab in labs:
        await lab.check()
        await lab.client.aclose()
    kinds = sum((lab.kinds for lab in labs), Counter[str]())
    latencies = sorted(latency for lab in labs for latency in lab.latencies)
    resources = sum(len(lab.expected) for lab in labs)
    print("| Work | Rate | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
    middle, high = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    print(
        f"| transactions of {given.results} results | {len(latencies) / took:,.1f}/s | {middle * 1e3:,.0f} | {high * 1e3:,.0f} |"
    )
    print(f"| resources stored by them | {resources / took:,.0f}/s | | |\n")
    print(", ".join(f"{kind}: {number:,}" for kind, number in sorted(kinds.items())))
    faults = [fault for lab in labs for fault in lab.faults]
    print(f"{resources:,} resources are there; lost, doubled, half-written or otherwise wrong: {len(faults)}")
    print(*faults[:20], sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


def main() -> int:
    """Start a server, load the patients, and run."""
    parser = argparse.ArgumentParser(description="Bursts of laboratory results, and whether all of them are there.")
    for name, default in (("laboratories", 8), ("bundles", 40), ("burst", 10), ("results", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    command = [sys.executable, "-m", "fhirserver"]
    with tempfile.TemporaryDirectory(prefix="fhirserver-bench-") as folder:
        place, port = ["--data", folder + "/data"], free_port()
        patients = Path(folder) / "patients.ndjson"
        patients.write_bytes(b"".join(data.encode(laboratory.patient(number)) + b"\n" for number in range(PATIENTS)))
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen(
                [*command, "serve", "--port", str(port), *place], stdout=subprocess.PIPE, stderr=log, text=True
            )
            try:
                assert server.stdout is not None
                if not server.stdout.readline().startswith("Serving"):
                    raise RuntimeError("The server did not start.")
                subprocess.run([*command, "load", str(patients), *place], check=True, stdout=subprocess.DEVNULL)
                tokens = []
                for number in range(given.laboratories):
                    user = ["--user", f"Organization/laboratory-{number}", "--scope", laboratory.SCOPE]
                    issued = subprocess.run(
                        [*command, "token", "issue", *user, *place], check=True, capture_output=True, text=True
                    )
                    tokens.append(issued.stdout.strip())
                return asyncio.run(run(f"http://127.0.0.1:{port}/fhir", tokens, given))
            finally:
                server.terminate()
                server.wait()


if __name__ == "__main__":
    sys.exit(main())
