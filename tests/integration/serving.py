"""The composed server, run in this process as a server would run it, and a client for it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pymongo import AsyncMongoClient

from fhirserver.app import Application, create_app
from fhirserver.rest.messages.responses import Message
from fhirserver.settings import Settings

BASE = "http://127.0.0.1:8000"
FHIR = f"{BASE}/fhir"


class Server:
    """A running application, and a client that speaks to it without a socket."""

    def __init__(self, application: Application, client: httpx.AsyncClient) -> None:
        self.application = application
        self.client = client

    async def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request; `path` is what follows `/fhir`, or begins with `//` for what lies outside of it."""
        url = path[1:] if path.startswith("//") else f"/fhir{path}"
        return await self.client.request(method, f"{BASE}{url}", **options)  # whole: `//` would begin a host's name

    async def put(self, resource: dict[str, Any], **options: Any) -> httpx.Response:
        """Update, or create, a resource under its own id."""
        answer = await self("PUT", f"/{resource['resourceType']}/{resource['id']}", json=resource, **options)
        assert answer.status_code in (200, 201), answer.text
        return answer

    async def put_all(self, resources: Iterable[dict[str, Any]]) -> None:
        """The same of many at once, all in one transaction."""
        entries = [
            {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
            for each in resources
        ]
        answer = await self("POST", "", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def lifespan(application: Application) -> AsyncIterator[None]:
    """Run an application's lifespan as a server would: through its messages."""
    to_application: asyncio.Queue[Message] = asyncio.Queue()
    from_application: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.ensure_future(application({"type": "lifespan"}, to_application.get, from_application.put))
    await to_application.put({"type": "lifespan.startup"})
    begun = asyncio.ensure_future(from_application.get())
    await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED)
    if not begun.done() or begun.result()["type"] != "lifespan.startup.complete":
        begun.cancel()
        await task
    try:
        yield
    finally:
        await to_application.put({"type": "lifespan.shutdown"})
        assert (await from_application.get())["type"] == "lifespan.shutdown.complete"
        await task


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    """The server of these settings."""
    application = create_app(settings)
    async with lifespan(application):
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            yield Server(application, client)


@asynccontextmanager
async def serving_alone(mongo_url: str) -> AsyncIterator[Server]:
    """An open server on a database of its own, which is dropped in the end."""
    settings = Settings(mongo_url, database=f"own{uuid.uuid4().hex[:12]}", auth="none", log_requests=False)
    try:
        async with serving(settings) as server:
            yield server
    finally:
        async with AsyncMongoClient[dict[str, Any]](mongo_url) as client:
            await client.drop_database(settings.database)
