"""A small HTTP/1.1 load generator: many keep-alive connections, each sending its next request when the last is answered.

It runs in a process of its own, reads a plan on standard input and prints what it counted, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, cast


@dataclass
class Count:
    """What the connections have seen: latencies in seconds, and the number of answers a status."""

    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """One keep-alive connection. Answers must carry Content-Length, as uvicorn's do."""

    def __init__(self, requests: Iterator[bytes], count: Count, done: asyncio.Future[None]) -> None:
        self._requests, self._count, self._done = requests, count, done
        self._buffer = b""
        self._need = -1
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._need < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            self._status = int(head[9:12])
            at = head.find(b"content-length:")
            stop = head.find(b"\r\n", at)
            length = int(head[at + 15 : stop if stop >= 0 else len(head)]) if at >= 0 else 0
            self._need = end + 4 + length
        if len(self._buffer) < self._need:
            return
        self._count.latencies.append(time.perf_counter() - self._sent)
        self._count.statuses[self._status] = self._count.statuses.get(self._status, 0) + 1
        self._buffer, self._need = self._buffer[self._need :], -1
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


def request_bytes(method: str, path: str, host: str, token: str | None, body: bytes | None) -> bytes:
    """One request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Accept: application/fhir+json"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}", "Prefer: return=minimal"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


async def drive(plan: dict[str, Any]) -> dict[str, Any]:
    """Send the plan's requests: `seconds` long over its `paths`, or each line of the file `requests` once.

    A line of that file is a method, a path and a body, separated by single spaces.
    """
    host, port, token = plan["host"], plan["port"], plan.get("token")
    where = f"{host}:{port}"
    count = Count()
    stop = time.perf_counter() + plan["seconds"]
    source: Iterator[bytes]
    if plan.get("requests"):
        lines = [line.split(b" ", 2) for line in Path(plan["requests"]).read_bytes().splitlines()]
        source = iter([request_bytes(m.decode(), path.decode(), where, token, body) for m, path, body in lines])
    else:
        made = [request_bytes("GET", path, where, token, None) for path in plan["paths"]]
        source = _until(stop, cycle(made))
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    finished: list[asyncio.Future[None]] = []
    for _ in range(plan["connections"]):
        done = loop.create_future()
        finished.append(done)
        await loop.create_connection(lambda done=done: Connection(source, count, done), host, port)  # type: ignore[misc]
    await asyncio.gather(*finished)
    took = time.perf_counter() - began
    ordered = sorted(count.latencies)
    return {
        "rate": len(ordered) / took,
        "p50_ms": _share(ordered, 0.5),
        "p99_ms": _share(ordered, 0.99),
        "statuses": {str(status): number for status, number in count.statuses.items()},
    }


def _share(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


def _until(stop: float, requests: Iterator[bytes]) -> Iterator[bytes]:
    for request in requests:
        if time.perf_counter() >= stop:
            return
        yield request


def main() -> None:
    """Read one plan as JSON from standard input; print the figures as JSON."""
    import uvloop

    print(json.dumps(uvloop.run(drive(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
