"""Durability: server and mongod are killed again and again under a writing load; every acknowledged write is there, whole, once.

Each client posts results that carry a number of their own, and puts versions of a record of its own. What was acknowledged is
written down as it happens, and looked for at the end through the front door. A write without an answer may be there or not,
but never twice and never in part.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.killing import survive

CLIENTS = 12
SYSTEM = "urn:example:kill"


@dataclass
class Ledger:
    """What the clients sent, and what was acknowledged."""

    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[int, int]] = field(default_factory=dict)
    acknowledged: int = 0


def result(number: str, value: int) -> dict[str, Any]:
    """A result that is recognised by its number, with text enough that half of it would be seen."""
    return {
        "resourceType": "Observation",
        "identifier": [{"system": SYSTEM, "value": number}],
        "status": "final",
        "code": {"text": f"{number} " * 50},
        "valueInteger": value,
    }


async def post(ledger: Ledger, client: httpx.AsyncClient, name: str, stop: asyncio.Event) -> None:
    """Post results until told to stop; after a lost answer go on with the next number."""
    count = 0
    while not stop.is_set():
        count += 1
        number = f"{name}-{count}"
        ledger.sent[number] = result(number, count)
        try:
            answer = await client.post("/Observation", json=ledger.sent[number])
        except httpx.TransportError:
            await asyncio.sleep(0.02)  # the server is down: a client that tries at once would only burn the processor
            continue
        if answer.status_code == 201:
            ledger.created[number] = answer.headers["Location"]
            ledger.acknowledged += 1
        else:
            assert answer.status_code == 503, answer.text


async def put(ledger: Ledger, client: httpx.AsyncClient, name: str, stop: asyncio.Event) -> None:
    """Put one version after the other; the version number is the server's, the value is ours."""
    value = 0
    versions = ledger.versions.setdefault(name, {})
    while not stop.is_set():
        value += 1
        try:
            answer = await client.put(f"/Observation/{name}", json=result(name, value) | {"id": name})
        except httpx.TransportError:
            await asyncio.sleep(0.02)
            continue
        if answer.status_code in (200, 201):
            version = int(answer.json()["meta"]["versionId"])
            assert version not in versions
            versions[version] = value
            ledger.acknowledged += 1
        else:
            assert answer.status_code == 503, answer.text


async def stored(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Every result, by walking the pages of a search."""
    found: list[dict[str, Any]] = []
    page: str | None = "/Observation?_count=1000"
    while page is not None:
        bundle = (await client.get(page)).json()
        found += [entry["resource"] for entry in bundle.get("entry", ())]
        page = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    return found


def bare(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource without what the server adds."""
    return {name: value for name, value in resource.items() if name not in ("id", "meta")}


async def check(ledger: Ledger, client: httpx.AsyncClient) -> None:
    """Every acknowledged write is there, whole, once; nothing is there in part or twice."""
    results = [each for each in await stored(client) if each["id"] not in ledger.versions]
    by_number = {each["identifier"][0]["value"]: each for each in results}
    assert len(by_number) == len(results), "A result is there twice."
    assert ledger.created.keys() <= by_number.keys(), "An acknowledged result is missing."
    for number, each in by_number.items():
        assert bare(each) == ledger.sent[number]
        if number in ledger.created:
            assert ledger.created[number].endswith(f"/Observation/{each['id']}/_history/1")
    for name, versions in ledger.versions.items():
        current = (await client.get(f"/Observation/{name}")).json()
        latest = int(current["meta"]["versionId"])
        assert latest >= max(versions)
        values = []
        for version in range(1, latest + 1):
            answer = await client.get(f"/Observation/{name}/_history/{version}")
            assert answer.status_code == 200, f"Version {version} of {name} is missing."
            values.append(answer.json()["valueInteger"])
            assert bare(answer.json()) == result(name, values[-1])
            assert versions.get(version, values[-1]) == values[-1]
        assert values == sorted(set(values)), "A version is there twice, or out of turn."


@pytest.mark.parametrize(
    "kills", [pytest.param(3, id="3"), pytest.param(50, id="50", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
async def test_every_acknowledged_write_survives_kills(tmp_path: Path, kills: int) -> None:
    ledger = Ledger()
    writers = [put if number % 3 == 0 else post for number in range(CLIENTS)]
    await survive(
        tmp_path,
        kills,
        [partial(write, ledger) for write in writers],
        lambda: ledger.acknowledged,
        partial(check, ledger),
        between=30,
    )
