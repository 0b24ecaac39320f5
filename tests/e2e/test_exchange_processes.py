"""Transactions and conditional creates between processes: parallel writers make one, and kills leave all or nothing.

Two servers share one database; or server and mongod are killed under a load of transactions, each of which is recognised by its
number.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhirserver.store.embedded import connect
from tests.e2e.killing import survive
from tests.e2e.server import Server, end

SYSTEM = "urn:example:exchange"
PARALLEL = 50
RESULTS = 4
CLIENTS = 8


def patient(number: str) -> dict[str, Any]:
    """A patient that is recognised by a number."""
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": number}]}


def order(number: str, *, criteria: bool) -> dict[str, Any]:
    """A patient and some results of hers, as one transaction."""
    results = [
        {
            "resource": {
                "resourceType": "Observation",
                "identifier": [{"system": SYSTEM, "value": f"{number}-{each}"}],
                "status": "final",
                "code": {"text": f"{number} " * 40},
                "subject": {"reference": "urn:uuid:p"},
            },
            "request": {"method": "POST", "url": "Observation"},
        }
        for each in range(RESULTS)
    ]
    entries = [
        {"fullUrl": "urn:uuid:p", "resource": patient(number), "request": {"method": "POST", "url": "Patient"}},
        *results,
    ]
    if criteria:
        for entry in entries:
            value = entry["resource"]["identifier"][0]["value"]
            entry["request"]["ifNoneExist"] = f"identifier={SYSTEM}|{value}"
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def total(client: httpx.AsyncClient, query: str) -> int:
    """How many resources there are."""
    found: int = (await client.get(f"/{query}&_summary=count")).json()["total"]
    return found


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(3, id="3"), pytest.param(200, id="200", marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
)
async def test_parallel_conditional_creates_make_one(tmp_path: Path, rounds: int) -> None:
    """Fifty writers on one criterion, on two servers, alone and inside transactions."""
    (tmp_path / "second").mkdir()
    first = Server(tmp_path, "--auth", "none")
    await asyncio.to_thread(first.start)
    try:
        async with connect(first.data) as url:
            second = Server(tmp_path / "second", "--auth", "none", mongo_url=url)
            await asyncio.to_thread(second.start)
            try:
                await race(first, second, rounds)
            finally:
                second.kill()
    finally:
        end(first)


async def race(first: Server, second: Server, rounds: int) -> None:
    """Fifty writers on each criterion, half of them on each server."""
    # The servers close what is idle for five seconds; on a slow machine that must not meet a request.
    limits = httpx.Limits(max_connections=PARALLEL, keepalive_expiry=2)
    async with (
        httpx.AsyncClient(base_url=first.base, timeout=60, limits=limits) as one,
        httpx.AsyncClient(base_url=second.base, timeout=60, limits=limits) as two,
    ):
        for number in range(rounds):
            await alone(one, two, f"alone-{number}")
            await together(one, two, f"together-{number}")


async def alone(one: httpx.AsyncClient, two: httpx.AsyncClient, number: str) -> None:
    """Fifty times the same conditional create."""
    headers = {"If-None-Exist": f"identifier={SYSTEM}|{number}"}
    answers = await asyncio.gather(
        *((one, two)[each % 2].post("/Patient", json=patient(number), headers=headers) for each in range(PARALLEL))
    )
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) <= {200, 201, 503}, codes
    assert codes.count(201) == 1
    assert len({answer.json()["id"] for answer in answers if answer.status_code != 503}) == 1
    assert await total(one, f"Patient?identifier={SYSTEM}|{number}") == 1


async def together(one: httpx.AsyncClient, two: httpx.AsyncClient, number: str) -> None:
    """Fifty times the same transaction of conditional creates."""
    answers = await asyncio.gather(
        *((one, two)[each % 2].post("", json=order(number, criteria=True)) for each in range(PARALLEL))
    )
    done = [answer.json()["entry"] for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 503}
    created = [entries for entries in done if entries[0]["response"]["status"].startswith("201")]
    assert len(created) == 1
    assert all(each["response"]["status"].startswith("201") for each in created[0])
    assert len({entries[0]["resource"]["id"] for entries in done}) == 1
    assert await total(one, f"Patient?identifier={SYSTEM}|{number}") == 1
    for each in range(RESULTS):
        assert await total(one, f"Observation?identifier={SYSTEM}|{number}-{each}") == 1


class Ledger:
    """Which transactions were sent, and which were acknowledged."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.acknowledged: list[str] = []


async def post(ledger: Ledger, client: httpx.AsyncClient, name: str, stop: asyncio.Event) -> None:
    """Post one transaction after the other; one without an answer is sent again, where sending twice is safe."""
    count = 0
    while not stop.is_set():
        count += 1
        number = f"{name}-{count}"
        ledger.sent.append(number)
        criteria = count % 2 == 0
        for _ in range(20 if criteria else 1):
            try:
                answer = await client.post("", json=order(number, criteria=criteria))
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200:
                ledger.acknowledged.append(number)
                break
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)


async def check(ledger: Ledger, client: httpx.AsyncClient) -> None:
    """Every acknowledged transaction is there, whole and once; every other one whole or not at all."""
    for number in ledger.sent:
        patients = (await client.get("/Patient", params={"identifier": f"{SYSTEM}|{number}"})).json().get("entry", [])
        assert len(patients) == (1 if number in ledger.acknowledged else len(patients)) <= 1, number
        for each in range(RESULTS):
            query = {"identifier": f"{SYSTEM}|{number}-{each}"}
            results = (await client.get("/Observation", params=query)).json().get("entry", [])
            assert len(results) == len(patients), f"{number} is there in part."
            for result in results:
                reference = result["resource"]["subject"]["reference"]
                assert reference == f"Patient/{patients[0]['resource']['id']}"


@pytest.mark.parametrize(
    "kills", [pytest.param(3, id="3"), pytest.param(50, id="50", marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
async def test_transactions_under_kills_are_all_or_nothing(tmp_path: Path, kills: int) -> None:
    ledger = Ledger()
    writers = [partial(post, ledger)] * CLIENTS
    await survive(tmp_path, kills, writers, lambda: len(ledger.acknowledged), partial(check, ledger), between=10)
