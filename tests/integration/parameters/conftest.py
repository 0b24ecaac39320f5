"""Two servers on one database, each a step at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fhirserver.interactions.parameters.keeper import CHANGES
from fhirserver.settings import Settings
from tests.integration.parameters.stepped import Stepped
from tests.integration.serving import Server, serving


@pytest.fixture(scope="module")
async def pair(settings: Settings) -> AsyncIterator[tuple[Server, Server]]:
    """Two servers on a database of their own."""
    own = replace(settings, database=f"{settings.database}p")
    patched = pytest.MonkeyPatch()
    async with serving(own) as one, serving(own) as two:
        patched.setattr("fhirserver.interactions.parameters.keeper.TRUST", 100_000)  # nobody signs but for the tests
        for each in (one, two):
            assert each.application.upkeep is not None
            await each.application.upkeep.pause()
        yield one, two
        assert one.application.services is not None
        await one.application.services.store._mongo.client.drop_database(own.database)
    patched.undo()


@pytest.fixture
async def stepped(pair: tuple[Server, Server]) -> AsyncIterator[Stepped]:
    """A server; the other one follows it. What a test leaves is taken away."""
    one = Stepped(pair[0], Stepped(pair[1]))
    yield one
    for name in await one.database.list_collection_names():
        if name[0].isupper() or name in ("jobs", "feed"):
            await one.database[name].delete_many({})
    for each in one.keeper.catalog.entries:
        await one.store.documents(CHANGES).put({"_id": each.id, "id": each.id})
    together = Stepped(pair[0], Stepped(pair[1]))
    while together.keeper.catalog.entries:
        await together.refresh()


@pytest.fixture
def other(pair: tuple[Server, Server], stepped: Stepped) -> Stepped:
    """The other server, when it goes its own way."""
    [peer] = stepped.peers
    stepped.peers = ()
    return peer
