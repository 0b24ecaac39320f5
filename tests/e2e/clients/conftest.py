"""Two servers for clients that nobody here wrote: one that asks for nothing, and one that asks for a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.clients.place import Place
from tests.e2e.server import serving

SYSTEM = ("--user", "Device/clients", "--scope", "system/*.cruds", "--may", "assign-ids")


@pytest.fixture(scope="session", params=["open mode", "with a token"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A running server, and a way in."""
    is_open = request.param == "open mode"
    with serving(tmp_path_factory.mktemp("clients"), *(("--auth", "none") if is_open else ())) as server:
        yield Place(server.base, None if is_open else server.token(*SYSTEM))
