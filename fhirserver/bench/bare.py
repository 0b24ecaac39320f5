"""The ceilings: bare ASGI answers, alone and with the one MongoDB call that the same work needs at least.

Run as `python -m fhirserver.bench.bare PORT`, with the database's URL in FHIRSERVER_BENCH_MONGO and the page's filter, sort and
projection as JSON in FHIRSERVER_BENCH_PAGE.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
HEADERS = [(b"content-type", b"application/fhir+json")]


class Bare:
    """`/bare` answers at once, `/one/<id>` with one `find_one`, `/page/<patient>` with one `find`."""

    def __init__(self, url: str, database: str, page: dict[str, Any]) -> None:
        self._url, self._database, self._page = url, database, page
        self._observations: Any = None

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        _, kind, *rest = scope["path"].split("/")
        if kind == "one":
            row = await self._observations.find_one({"_id": rest[0]}, {"json": 1})
            body = bytes(row["json"])
        elif kind == "page":
            wanted = json.loads(json.dumps(self._page["filter"]).replace("PATIENT", rest[0]))
            found = self._observations.find(wanted, {"json": 1}).sort(self._page["sort"]).limit(20)
            body = b"[" + b",".join([bytes(row["json"]) for row in await found.to_list(None)]) + b"]"
        else:
            body = b"{}"
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        from pymongo import AsyncMongoClient

        await receive()
        self._observations = AsyncMongoClient(self._url)[self._database]["Observation"]
        await self._observations.find_one({})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def main() -> None:
    """Serve on the port of the first argument."""
    import uvicorn

    page = json.loads(os.environ["FHIRSERVER_BENCH_PAGE"])
    app = Bare(os.environ["FHIRSERVER_BENCH_MONGO"], os.environ["FHIRSERVER_BENCH_DATABASE"], page)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main()
