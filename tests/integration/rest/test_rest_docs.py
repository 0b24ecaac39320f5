"""The pages of the description: each served from here, with a policy that lets nothing else in."""

from __future__ import annotations

import re

import pytest

from tests.integration.serving import Server

NAMES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png", "start.js")


async def test_the_page_names_only_what_is_served_beside_it(gated: Server) -> None:
    page = await gated("GET", "//docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    links = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert sorted(links) == sorted([*(f"docs/{name}" for name in NAMES), "openapi.json"])
    assert "<script>" not in page.text
    for link in links:
        assert (await gated("GET", f"//{link}")).status_code == 200


@pytest.mark.parametrize("path", ["//docs", "//openapi.json", *(f"//docs/{name}" for name in NAMES)])
async def test_the_policy_lets_in_nothing_from_elsewhere(gated: Server, path: str) -> None:
    answer = await gated("GET", path)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "http" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["", "redoc.standalone.js", "__init__.py", "..%2fcore.py", "%2e%2e/core.py", "x"])
async def test_nothing_else_of_the_package_is_served(gated: Server, name: str) -> None:
    assert (await gated("GET", f"//docs/{name}")).status_code == 404


async def test_the_document_needs_no_token_and_is_the_same_each_time(gated: Server) -> None:
    answer = await gated("GET", "//openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["openapi"] == "3.0.3"
    assert answer.json()["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert (await gated("GET", "//openapi.json")).content == answer.content


async def test_the_front_door_leads_to_the_page(gated: Server) -> None:
    answer = await gated("GET", "//")
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")
