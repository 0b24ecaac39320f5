"""Failures injected between a store and MongoDB, for whatever runs in a session: the nth command's answer is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import AutoReconnect

from fhirserver.store.connection.client import Mongo


class Failures:
    """Lets the nth command of a transaction fail, before it is sent or after it was done."""

    def __init__(self, at: int, after: bool) -> None:
        self.at, self.after, self.seen, self.failed = at, after, 0, 0

    @contextmanager
    def around(self, label: str) -> Iterator[None]:
        """Around one command, which fails with that label."""
        self.seen += 1
        is_mine = self.seen == self.at
        error = AutoReconnect("injected")
        error._add_error_label(label)
        if is_mine and not self.after:
            self.failed += 1
            raise error
        yield
        if is_mine:
            self.failed += 1
            raise error


def inject(monkeypatch: pytest.MonkeyPatch, failures: Failures) -> None:
    """Put the failures between the store and MongoDB, for whatever runs in a session."""
    command, find, commit = Mongo.command, Mongo.find_plainly, AsyncClientSession.commit_transaction

    async def failing_command(self: Mongo, each: Any, session: Any = None) -> Any:
        if session is None:
            return await command(self, each)
        with failures.around("TransientTransactionError"):
            return await command(self, each, session)

    async def failing_find(self: Mongo, collection: str, query: Any, session: Any = None) -> Any:
        if session is None:
            return await find(self, collection, query)
        with failures.around("TransientTransactionError"):
            return await find(self, collection, query, session)

    async def failing_commit(self: AsyncClientSession) -> None:
        with failures.around("UnknownTransactionCommitResult"):
            await commit(self)

    monkeypatch.setattr(Mongo, "command", failing_command)
    monkeypatch.setattr(Mongo, "find_plainly", failing_find)
    monkeypatch.setattr(AsyncClientSession, "commit_transaction", failing_commit)
