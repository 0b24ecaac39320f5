"""The composed server, run in this process as a server would run it, and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from fhirserver.app import Application, create_app
from fhirserver.rest.responses import Message
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
        return await self.client.request(method, url, **options)

    async def put(self, resource: dict[str, Any], **options: Any) -> httpx.Response:
        """Update, or create, a resource under its own id."""
        answer = await self("PUT", f"/{resource['resourceType']}/{resource['id']}", json=resource, **options)
        assert answer.status_code in (200, 201), answer.text
        return answer


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
