"""The composed server on a real mongod: one in open mode, one that asks for tokens."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient

from fhirserver.settings import Settings
from tests.integration.serving import Server, serving


@pytest.fixture(scope="session")
def settings(mongo_url: str) -> Iterator[Settings]:
    """Settings of an open server on a database of its own."""
    database = f"rest{uuid.uuid4().hex[:12]}"
    yield Settings(mongo_url, database=database, auth="none", log_requests=False)
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    client.drop_database(database)
    client.close()


@pytest.fixture(scope="session")
async def server(settings: Settings) -> AsyncIterator[Server]:
    """The open server; tests keep apart by the ids they use."""
    async with serving(settings) as running:
        yield running


@pytest.fixture(scope="session")
async def gated(settings: Settings, server: Server) -> AsyncIterator[Server]:
    """A server that asks for tokens, on the same database."""
    async with serving(replace(settings, auth="smart")) as running:
        yield running


@pytest.fixture
def new_id() -> str:
    """An id that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"
