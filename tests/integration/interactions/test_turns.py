"""Large requests let others have their turn: entries step by step, large resources and patches beside the event loop."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from fhirserver.interactions.writing import candidate, patch
from fhirserver.store.commit import prepare
from fhirserver.store.pace import BESIDE_BYTES, Pace
from tests.integration.serving import Server

LONG = "x" * (BESIDE_BYTES // 4)
NOTES = [{"text": LONG}] * 5


class Counted(Pace):
    """Counts the steps."""

    steps = 0

    async def step(self) -> None:
        self.steps += 1
        await super().step()


@pytest.fixture
def pace(server: Server, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The steps of the server's long work, each in a turn of its own."""
    services = server.application.services
    assert services is not None
    counted = Counted(0)
    monkeypatch.setattr(services.store, "pace", counted)
    monkeypatch.setattr(services.store._transactor, "_pace", counted)
    return counted


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, bool]]:
    """Which work was done how often, and whether beside the event loop."""
    done: Counter[tuple[str, bool]] = Counter()
    loop = threading.get_ident()

    def watch(name: str, *places: Any) -> None:
        work: Callable[..., Any] = getattr(places[0], name)

        def watched(*given: Any, **named: Any) -> Any:
            done[name, threading.get_ident() != loop] += 1
            return work(*given, **named)

        for place in places:
            monkeypatch.setattr(place, name, watched)

    watch(
        "examined", candidate, sys.modules["fhirserver.interactions.bundles.perform"]
    )  # not its function of that name
    watch("_candidate", sys.modules["fhirserver.interactions.bundles.resolve"]._Resolving)
    watch("patched", patch)
    watch("_encoded", prepare)
    return done


def observation(mark: str, **more: Any) -> dict[str, Any]:
    coded = {"code": {"coding": [{"system": "http://loinc.org", "code": "1"}]}}
    return {"resourceType": "Observation", "status": "final", "identifier": [{"value": mark}], **coded, **more}


def transaction(entries: int, mark: str, criteria: str | None) -> dict[str, Any]:
    def entry(number: int) -> dict[str, Any]:
        request = {"method": "POST", "url": "Observation"}
        if criteria is not None:
            request["ifNoneExist"] = criteria.format(number)
        return {"resource": observation(f"{mark}-{number}"), "request": request}

    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry(each) for each in range(entries)]}


@pytest.mark.parametrize(
    ("criteria", "least"),
    [
        (None, 4),  # read, planned, examined, encoded
        ("identifier=~-{}", 7),  # answered, locked and settled besides
        ("date=gt23{:02}", 16),  # and each asked of those before it: no index of values tells them apart
    ],
)
async def test_each_entry_is_several_steps(
    server: Server, pace: Counted, new_id: str, criteria: str | None, least: int
) -> None:
    entries = 20
    sent = transaction(entries, new_id, criteria and criteria.replace("~", new_id))
    answer = await server("POST", "", json=sent)
    assert answer.status_code == 200, answer.text
    assert pace.steps >= least * entries


async def test_a_large_resource_is_examined_and_encoded_beside_the_loop(
    server: Server, threads: Counter[tuple[str, bool]], new_id: str
) -> None:
    small, large = observation(new_id, id=new_id), observation(new_id, id=new_id, note=NOTES)
    assert (await server("PUT", f"/Observation/{new_id}", json=small)).status_code == 201
    assert threads == {("examined", False): 1, ("_encoded", False): 1}
    threads.clear()
    answer = await server("PUT", f"/Observation/{new_id}", json=large)
    assert answer.json()["note"] == NOTES
    assert threads == {("examined", True): 1, ("_encoded", True): 1}


async def test_so_is_that_of_an_entry_and_its_refusal_has_its_place(
    server: Server, threads: Counter[tuple[str, bool]], new_id: str
) -> None:
    sent = transaction(2, new_id, None)
    sent["entry"][1]["resource"] |= {"note": NOTES, "status": "nonsense"}
    answer = await server("POST", "", json=sent)
    assert answer.status_code == 422
    assert [issue["expression"] for issue in answer.json()["issue"]] == [["Bundle.entry[1].resource.status"]]
    assert threads == {("examined", False): 1, ("examined", True): 1}


async def test_so_is_what_the_criteria_of_others_are_held_against(
    server: Server, threads: Counter[tuple[str, bool]], new_id: str
) -> None:
    """A criterion finds what an entry before it is about to create, which is validated for it."""
    sent = transaction(3, new_id, "date=gt23{:02}")
    sent["entry"][0]["resource"] |= {"note": NOTES}
    del sent["entry"][0]["request"]["ifNoneExist"]
    answer = await server("POST", "", json=sent)
    assert answer.status_code == 200, answer.text
    assert (threads["_candidate", True], threads["_candidate", False]) == (1, 1)


async def test_a_large_resource_is_patched_beside_the_loop(
    server: Server, threads: Counter[tuple[str, bool]], new_id: str
) -> None:
    await server.put(observation(new_id, id=new_id, note=NOTES))
    threads.clear()
    change = [{"op": "replace", "path": "/status", "value": "amended"}]
    kind = {"Content-Type": "application/json-patch+json"}
    answer = await server("PATCH", f"/Observation/{new_id}", json=change, headers=kind)
    assert answer.json()["status"] == "amended"
    assert threads == {("patched", True): 1, ("examined", True): 1, ("_encoded", True): 1}
    refused = await server("PATCH", f"/Observation/{new_id}", json=[{"op": "remove", "path": "/no"}], headers=kind)
    assert refused.status_code == 422, refused.text
