"""Which pages of which origins may read answers in a browser.

https://hl7.org/fhir/R4/security.html#cors and https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from fhirserver.settings import Settings
from tests.integration.serving import Server, serving

APP, OTHER = "https://app.example.org", "https://other.example.org"
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
async def pages(settings: Settings, server: Server) -> AsyncIterator[Server]:
    """A server whose answers the pages of one origin may read."""
    async with serving(replace(settings, auth="smart", cors_origins=f"{APP},http://localhost:3000")) as running:
        yield running


def told(answer: httpx.Response) -> dict[str, str]:
    """What the answer says to a browser."""
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize(
    ("method", "path", "origin", "allowed"),
    [
        ("GET", "/Patient/absent", APP, APP),
        ("GET", "/Patient/absent", "http://localhost:3000", "http://localhost:3000"),
        ("GET", "/Patient/absent", "HTTPS://APP.example.org", "HTTPS://APP.example.org"),
        ("GET", "/Patient/absent", OTHER, None),
        ("GET", "/Patient/absent", "null", None),
        ("GET", "/Patient/absent", f"{APP}.other.org", None),
        ("GET", "/Nothing", APP, APP),
        ("POST", "/Patient", APP, APP),
        ("GET", "/metadata", OTHER, "*"),
        ("HEAD", "/metadata", "null", "*"),
    ],
)
async def test_pages_of_the_origins_named_read_answers(
    pages: Server, method: str, path: str, origin: str, allowed: str | None
) -> None:
    """A refusal as well: an application that cannot read why it was refused cannot say so."""
    answer = await pages(method, path, headers={"Origin": origin})
    assert answer.headers.get(ALLOWED) == allowed
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers
    if allowed is not None:
        assert "ETag" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", ["/Patient", "/Patient/1", "", "/_history", "/Patient/_search"])
async def test_a_browser_that_asks_beforehand_is_told_what_it_may_send(pages: Server, path: str) -> None:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,if-match"}
    answer = await pages("OPTIONS", path, headers={"Origin": APP, **asked})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[ALLOWED] == APP
    assert answer.headers["access-control-allow-methods"] == answer.headers["allow"]
    assert {"Authorization", "Content-Type", "If-Match", "Prefer"} <= set(
        answer.headers["access-control-allow-headers"].split(", ")
    )
    assert told(await pages("OPTIONS", path, headers={"Origin": OTHER, **asked})) == {}


async def test_without_a_setting_only_the_statement_of_capabilities_is_for_every_page(server: Server) -> None:
    assert told(await server("GET", "/Patient", headers={"Origin": APP})) == {}
    assert told(await server("GET", "/metadata")) == {}
    statement = await server("GET", "/metadata", headers={"Origin": APP})
    assert statement.headers[ALLOWED] == "*"
    assert statement.json()["rest"][0]["security"]["cors"] is False


async def test_the_statement_says_that_origins_are_named(pages: Server) -> None:
    assert (await pages("GET", "/metadata")).json()["rest"][0]["security"]["cors"] is True
