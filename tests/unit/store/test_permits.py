"""No permit, no read: every public function of the room is looked at."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fhirserver.store
from fhirserver.store import Store

# What does not read a record on somebody's behalf, each with the reason.
UNCONFINED = {
    "open": "opens the database",
    "start": "opens the database",
    "close": "closes it",
    "ready": "tells whether it answers",
    "ensure": "makes collections",
    "commit": "the Write carries its permit",
    "documents": "the server's own rows, which are not resources",
    "reindex": "the operator's work; nothing is handed out",
}

# Outside the Store itself: functions whose names say that they read, and why they take no permit.
INNER = {
    "fhirserver.store.client.Mongo.find": "the connection: whoever calls it has compiled a permit into the query",
    "fhirserver.store.client.Mongo.find_plainly": "the same",
    "fhirserver.store.coalesce.Coalescer.read": "takes the permit's expression for the type, without a default",
    "fhirserver.store.documents.Documents.get": "own rows",
    "fhirserver.store.documents.Documents.find": "own rows",
    "fhirserver.store.mongod.find": "looks for a program",
}

READING = (
    "find_plainly",
    "read",
    "vread",
    "history",
    "find",
    "facts",
    "get",
    "where",
    "of_ids",
    "changes",
    "rows_since",
    "included",
    "search",
)


def _public(owner: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, member in inspect.getmembers(owner, callable):
        if not name.startswith("_") and inspect.isroutine(member):
            yield name, member


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module_info in pkgutil.walk_packages(fhirserver.store.__path__, "fhirserver.store."):
        module = importlib.import_module(module_info.name)
        for name, member in inspect.getmembers(module):
            if getattr(member, "__module__", None) != module_info.name or name.startswith("_"):
                continue
            if inspect.isfunction(member):
                yield f"{module_info.name}.{name}", member
            elif inspect.isclass(member):
                for each, method in _public(member):
                    yield f"{module_info.name}.{name}.{each}", method


def _takes_a_permit(function: Callable[..., Any]) -> bool:
    parameter = inspect.signature(function).parameters.get("permit")
    return (
        parameter is not None
        and parameter.annotation == "Permit"
        and parameter.default is inspect.Parameter.empty
        and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    )


@pytest.mark.parametrize(("name", "function"), list(_public(Store)), ids=[name for name, _ in _public(Store)])
def test_every_public_function_of_the_store_takes_a_permit_or_is_classified(
    name: str, function: Callable[..., Any]
) -> None:
    assert _takes_a_permit(function) != (name in UNCONFINED)


def test_every_other_function_of_the_room_that_reads_takes_a_permit_or_is_classified() -> None:
    reading = {name: function for name, function in _functions() if name.rpartition(".")[2] in READING}
    assert {name for name, function in reading.items() if not _takes_a_permit(function)} == set(INNER)


def test_every_read_is_classified_once() -> None:
    names = {name for name, _ in _public(Store)}
    assert set(UNCONFINED) <= names
