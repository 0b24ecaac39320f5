"""Running the server: health, metrics, logs, start and stop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import httpx
import pytest
import structlog

from fhirserver.app import create_app
from fhirserver.model.outcome import BadRequest
from fhirserver.rest.messages.request import BodyBounds, read_body
from fhirserver.rest.operate import log as log_module
from fhirserver.rest.operate.log import LOGGERS, Log, configure
from fhirserver.settings import Settings
from tests.integration.serving import BASE, Server, lifespan


async def test_a_running_server_lives_and_is_ready(server: Server) -> None:
    for path, status in (("//health/live", "live"), ("//health/ready", "ready")):
        answer = await server("GET", path)
        assert (answer.status_code, answer.json()["status"]) == (200, status)


async def test_without_its_database_a_server_lives_and_is_not_ready(settings: Settings) -> None:
    application = create_app(replace(settings, mongo_url=settings.mongo_url))
    async with lifespan(application):
        assert application.services is not None
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            assert (await client.get("/health/ready")).status_code == 200
            await application.services.store.close()
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get("/health/ready")).status_code == 503


def reads_of_basic(metrics: str) -> float:
    """How many reads of a Basic were answered with 200: other tests share the server."""
    label = 'fhir_requests_total{interaction="read",status="200",type="Basic"} '
    return next((float(line.removeprefix(label)) for line in metrics.splitlines() if line.startswith(label)), 0.0)


async def test_metrics_count_by_interaction_type_and_status(server: Server, new_id: str) -> None:
    await server.put({"resourceType": "Basic", "id": new_id, "code": {"text": "x"}})
    before = reads_of_basic((await server("GET", "//metrics")).text)
    await server("GET", f"/Basic/{new_id}")
    await server("GET", f"/Basic/{new_id}/$x")
    answer = await server("GET", "//metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert reads_of_basic(answer.text) == before + 1
    assert 'fhir_requests_total{interaction="none",status="404",type=""}' in answer.text
    assert new_id not in answer.text


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.7", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.7"}, 401),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7"}, 401),
        ("192.0.2.7", {"authorization": "Bearer nonsense"}, 401),
    ],
)
async def test_metrics_are_for_this_machine_or_a_token(
    server: Server, client: str, headers: dict[str, str], status: int
) -> None:
    transport = httpx.ASGITransport(server.application, client=(client, 1))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as other:
        assert (await other.get("/metrics", headers=headers)).status_code == status


async def test_what_is_outside_of_fhir_is_not_found(server: Server) -> None:
    for path in ("//x", "//fhirx/Patient", "//%66hir/Patient", "//FHIR/metadata"):
        assert (await server("GET", path)).status_code == 404


def lines(written: str) -> list[dict[str, Any]]:
    """The log's lines, each a JSON object."""
    return [json.loads(line) for line in written.splitlines()]


@pytest.fixture
def configured() -> Iterator[BytesIO]:
    """The log, on for one test, and what is written to it."""
    stream = BytesIO()
    configure("info", stream)
    yield stream
    structlog.reset_defaults()
    for name in LOGGERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


async def test_a_request_is_one_line_without_ids_or_query(settings: Settings, configured: BytesIO, new_id: str) -> None:
    application = create_app(replace(settings, log_requests=True))
    async with lifespan(application):
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            await client.get(f"/fhir/Patient/{new_id}", headers={"x-request-id": "r-1"})
            await client.get(f"/fhir/Patient?name={new_id}", headers={"x-request-id": "r-2"})
            await client.request(new_id.upper(), "/fhir/Patient", headers={"x-request-id": "r-3"})
            for type in ("batch", "transaction", "document"):
                await client.post(
                    "/fhir", json={"resourceType": "Bundle", "type": type}, headers={"x-request-id": type}
                )
    written = configured.getvalue().decode()
    assert new_id.lower() not in written.lower()
    shown = [
        (line["request_id"], line["method"], line["interaction"], line["type"], line["status"])
        for line in lines(written)
        if line["event"] == "request"
    ]
    assert shown == [
        ("r-1", "GET", "read", "Patient", 404),
        ("r-2", "GET", "search-type", "Patient", 200),
        ("r-3", "other", "", "Patient", 405),
        ("batch", "POST", "batch", "", 200),
        ("transaction", "POST", "transaction", "", 200),
        ("document", "POST", "transaction", "", 400),
    ]


def test_a_fault_is_logged_by_its_places_and_never_by_its_message(configured: BytesIO) -> None:
    try:
        try:
            {}["Ivanova"]
        except KeyError as error:
            raise ValueError("Ivanova is not a number") from error
    except ValueError as error:
        Log().fault(b"r-1", "read", error)
        logging.getLogger("uvicorn.error").exception("Exception in %s", "ASGI application")
    logging.getLogger("uvicorn.error").info("Started %s", "here")
    written = configured.getvalue().decode()
    assert "Ivanova" not in written
    fault, forwarded, started = lines(written)
    assert (fault["level"], fault["error"], fault["request_id"]) == ("error", "ValueError", "r-1")
    assert fault["cause"] == "KeyError"
    assert fault["places"][-1].startswith("test_rest_operate.py:")
    assert (forwarded["logger"], forwarded["error"]) == ("uvicorn.error", "ValueError")
    assert started["event"] == "Started here"


def test_what_happens_behind_requests_is_logged_in_the_same_form(configured: BytesIO) -> None:
    extra = {"kind": "reindex", "job": "j1", "try": 2}
    logging.getLogger("fhirserver.jobs").warning("job.failed", extra=extra, exc_info=ValueError("Ivanova"))
    (line,) = lines(configured.getvalue().decode())
    del line["at"], line["places"]
    assert line == {
        "level": "warning",
        "logger": "fhirserver.jobs",
        "event": "job.failed",
        "error": "ValueError",
        **extra,
    }


async def test_a_task_that_nobody_waited_for_is_logged_without_its_message(configured: BytesIO) -> None:
    """asyncio writes the task, and with it the exception's message, into further lines."""
    loop = asyncio.get_running_loop()
    task = asyncio.Future[None]()
    task.set_exception(ValueError("Ivanova"))
    loop.default_exception_handler({"message": "Never retrieved", "future": task, "exception": task.exception()})
    await asyncio.sleep(0)
    (line,) = lines(configured.getvalue().decode())
    assert (line["event"], line["error"]) == ("Never retrieved", "ValueError")
    assert "Ivanova" not in str(line)


async def test_a_fault_of_ours_is_a_plain_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of an unexpected error leaves the server."""
    services = server.application.services
    assert services is not None

    async def broken(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(type(services.store), "read", broken)
    seen: list[str] = []
    monkeypatch.setattr(log_module.Log, "fault", lambda *given: seen.append(type(given[-1]).__name__))
    answer = await server("GET", "/Patient/x")
    assert answer.status_code == 500
    assert answer.json()["issue"][0]["code"] == "exception"
    assert "secret" not in answer.text
    assert seen == ["KeyError"]


def posting(*more: tuple[bytes, bytes]) -> dict[str, Any]:
    """The ASGI scope of a create."""
    return {
        "type": "http",
        "method": "POST",
        "path": "/fhir/Patient",
        "raw_path": b"/fhir/Patient",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/fhir+json"), *more],
    }


async def test_a_client_that_goes_away_in_its_body_is_not_answered(server: Server) -> None:
    sent: list[Any] = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    await server.application(posting(), receive, send)
    assert sent == []


@pytest.mark.parametrize("length", [b"99999999", b"9" * 5000])
async def test_a_body_that_is_declared_too_large_is_not_waited_for(server: Server, length: bytes) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    await server.application(posting((b"content-length", length)), receive, send)
    assert sent[0]["status"] == 413


async def test_a_body_that_never_comes_is_given_up() -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(BadRequest, match="did not arrive"):
        await read_body({}, receive, BodyBounds(seconds=0))


async def test_a_server_that_cannot_start_says_so_to_its_runner() -> None:
    application = create_app(Settings("mongodb://not-an-address:x"))
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(Exception, match=r".+"):
        await application({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.failed"]


async def test_requests_in_flight_are_finished_before_the_store_closes(settings: Settings, new_id: str) -> None:
    application = create_app(settings)
    async with lifespan(application):
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            writes = [
                client.post("/fhir/Basic", json={"resourceType": "Basic", "code": {"text": new_id}}) for _ in range(20)
            ]
            answers = await asyncio.gather(*writes)
    assert [answer.status_code for answer in answers] == [201] * 20
