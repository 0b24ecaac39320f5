"""Parameters of hair, and a server whose upkeep happens when a test says so."""

from __future__ import annotations

from typing import Any

from tests.integration.serving import Server

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
    """A server whose upkeep happens when the test says so, and that of its peers with it."""

    def __init__(self, server: Server, *peers: Stepped) -> None:
        self.server = server
        self.peers = peers
        upkeep = server.application.upkeep
        assert upkeep is not None
        self.keeper, self.worker = upkeep.keeper, upkeep.worker
        self.store = self.keeper._means.store
        self.database = self.store._mongo.database

    async def refresh(self) -> None:
        """Look at the catalog."""
        await self.keeper.refresh()
        for peer in self.peers:
            await peer.refresh()

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
