"""The database inside a transaction: whose time is up, the query's or the transaction's, is told apart.

https://www.mongodb.com/docs/manual/core/transactions-operations/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import ExecutionTimeout

from fhirserver.model.outcome import TooCostly, Unavailable
from fhirserver.store.connection.bound import Bound
from fhirserver.store.connection.client import Mongo, Query

QUERY_MS = 5_000

WAYS: dict[str, Callable[[Bound], Awaitable[Any]]] = {
    "find": lambda mongo: mongo.find("Patient", Query({}, limit=1)),
    "aggregate": lambda mongo: mongo.aggregate("Patient", [], None),
    "count": lambda mongo: mongo.count("Patient", {}),
    "command": lambda mongo: mongo.command({"ping": 1}),
}


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: Any, **__: Any) -> Any:
        raise ExecutionTimeout("operation exceeded time limit", 50)

    for name in ("find_plainly", "_aggregate", "_count", "command"):
        monkeypatch.setattr(Mongo, name, slow)


def bound(seconds: float) -> Bound:
    """A transaction with so much time left."""
    mongo: Any = SimpleNamespace(client=None, database=None, query_ms=QUERY_MS)
    session: Any = None
    return Bound(mongo, session, asyncio.get_running_loop().time() + seconds)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("seconds", "error"), [(60, TooCostly), (1, Unavailable), (0, Unavailable)])
async def test_a_query_is_too_costly_only_where_it_had_all_its_time(
    way: Callable[[Bound], Awaitable[Any]], seconds: float, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await way(bound(seconds))
