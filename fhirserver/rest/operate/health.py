"""Health and metrics over HTTP: whether the process lives, whether reads and writes work, and the figures.

The figures go to loopback and to a token with a system scope. A request that a proxy passed on does not count as loopback.

https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from fhirserver.access.principal import Kind
from fhirserver.model.outcome import FhirError
from fhirserver.rest.authenticate import Authenticate
from fhirserver.rest.operate.metrics import Metrics

_NO_STORE = {"Cache-Control": "no-store"}
_PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip")


def router(ready: Callable[[], Awaitable[bool]], metrics: Metrics, authenticate: Authenticate) -> APIRouter:
    """`/health/live`, `/health/ready` and `/metrics`."""
    routes = APIRouter()

    @routes.get("/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"}, headers=_NO_STORE)

    @routes.get("/health/ready")
    async def readiness() -> JSONResponse:
        is_ready = await ready()
        status = {"status": "ready" if is_ready else "not ready"}
        return JSONResponse(status, 200 if is_ready else 503, headers=_NO_STORE)

    @routes.get("/metrics")
    async def figures(request: Request) -> Response:
        if not _is_local(request) and not await _may_look(request, authenticate):
            challenge = {"WWW-Authenticate": 'Bearer realm="metrics"'}
            return JSONResponse({"detail": "Metrics are for loopback or a system token."}, 401, challenge)
        return Response(metrics.text(), media_type=metrics.content_type, headers=_NO_STORE)

    return routes


def _is_local(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _PROXIED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _may_look(request: Request, authenticate: Authenticate) -> bool:
    """Whether the token is one of a system. In open mode there are no tokens, and nobody else may look."""
    header = request.headers.get("authorization")
    if header is None:
        return False
    try:
        principal = await authenticate({b"authorization": header.encode("latin-1")})
    except FhirError:
        return False
    return principal.kind is Kind.SYSTEM
