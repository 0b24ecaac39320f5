"""https://hl7.org/fhir/R4/searchparameter.html: parameters of one's own, used when what is stored was indexed for them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhirserver.settings import Settings
from tests.integration.serving import Server, serving

HAIR = "http://example.org/hair"


def parameter(id: str = "hair", **changes: Any) -> dict[str, Any]:
    """A SearchParameter of hair."""
    resource = {
        "resourceType": "SearchParameter",
        "id": id,
        "url": f"http://example.org/SearchParameter/{id}",
        "name": "Hair",
        "status": "active",
        "description": "The colour of hair.",
        "code": id,
        "base": ["Patient"],
        "type": "token",
        "expression": f"Patient.extension('{HAIR}').value",
    }
    return {name: value for name, value in (resource | changes).items() if value is not None}


def patient(id: str, colour: str | None) -> dict[str, Any]:
    extension = [{"url": HAIR, "valueCode": colour}] if colour is not None else None
    return {"resourceType": "Patient", "id": id} | ({"extension": extension} if extension else {})


class Stepped:
    """A server whose upkeep happens when the test says so."""

    def __init__(self, server: Server) -> None:
        self.server = server
        upkeep = server.application.upkeep
        assert upkeep is not None
        self.keeper, self.worker = upkeep.keeper, upkeep.worker

    async def refresh(self) -> None:
        """Look at the catalog."""
        await self.keeper.refresh()

    async def work(self) -> int:
        """Do the jobs."""
        return await self.worker.work()

    async def settle(self) -> None:
        """Until nothing changes any more."""
        for _ in range(4):
            await self.refresh()
            await self.work()

    async def ids(self, query: str, status: int = 200) -> list[str]:
        """The ids that a search finds, sorted by the server."""
        answer = await self.server("GET", f"/{query}")
        assert answer.status_code == status, answer.text
        return [entry["resource"]["id"] for entry in answer.json().get("entry", [])]

    async def refused(self, query: str) -> str:
        """What a search that is not answered is told."""
        answer = await self.server("GET", f"/{query}")
        assert answer.status_code == 400, answer.text
        [issue] = answer.json()["issue"]
        assert issue["code"] == "not-supported"
        return str(issue["diagnostics"])


@pytest.fixture
def own(settings: Settings, database_name: str) -> Settings:
    """Settings of servers on a database of the test's own."""
    return Settings(settings.mongo_url, database=database_name, auth="none", log_requests=False)


@pytest.fixture
async def stepped(own: Settings) -> AsyncIterator[Stepped]:
    async with serving(own) as server:
        assert server.application.upkeep is not None
        await server.application.upkeep.pause()
        yield Stepped(server)


async def test_a_parameter_is_refused_until_everything_is_indexed_and_then_finds_what_was_there_and_what_came(
    stepped: Stepped,
) -> None:
    server = stepped.server
    await server.put(patient("old-red", "red"))
    await server.put(patient("old-blond", "blond"))
    assert "no search parameter" in await stepped.refused("Patient?hair=red")
    await server.put(parameter())
    assert "no search parameter" in await stepped.refused("Patient?hair=red")
    await stepped.refresh()
    assert "not used yet" in await stepped.refused("Patient?hair=red")
    await server.put(patient("new-red", "red"))
    assert "not used yet" in await stepped.refused("Patient?hair=red")
    assert await stepped.work() == 1
    assert await stepped.ids("Patient?hair=red&_sort=_id") == ["new-red", "old-red"]
    assert await stepped.ids("Patient?hair:missing=true") == []
    await server.put(patient("late-red", "red"))
    assert await stepped.ids("Patient?hair=red&_sort=_id") == ["late-red", "new-red", "old-red"]
