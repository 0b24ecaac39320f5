"""The operation `$closure`: a table, kept for a client, of which of its codes is a kind of which.

A table belongs to who made it. A row of the server's own holds all of one user's, so that they have a bound together; it is replaced
only where it is still the one that was read.

https://hl7.org/fhir/R4/conceptmap-operation-closure.html
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from fhirserver.access.gate.request import Request
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.operations.terminology.subject import coded
from fhirserver.interactions.terminology import worked
from fhirserver.model.dates import instant
from fhirserver.model.outcome import BadRequest, Conflict, TooCostly, Unresolved
from fhirserver.model.resource import Resource
from fhirserver.terminology import Catalogue
from fhirserver.terminology.closure import Entry, entries, spelt

ROWS: Final = "closures"
MAX_TABLES: Final = 20
"""Tables of one user."""
MAX_CODES: Final = 2_000
"""Codes of one user's tables together."""
MAX_NAME: Final = 200
"""Characters of a table's name."""
_TRIES: Final = 5

Table = dict[str, Any]
"""`name`, `version`, and `codes`: system, code and the version that it came with."""


async def closure(context: Context, invocation: Invocation) -> Resource:
    """Begin a table, add codes to it, or say again what was added."""
    await context.decide(Request("search-type", "CodeSystem", patients=frozenset()))
    name, version = str(invocation.one("name")), invocation.one("version")
    concepts = invocation.parameters.get("concept", [])
    if len(name) > MAX_NAME:
        raise TooCostly(f"The name of a closure table has at most {MAX_NAME} characters.")
    if concepts and version is not None:
        raise BadRequest("Either concepts are added, or a version is named to begin again from.")
    if version is not None:
        return await _again(context, name, version)
    if not concepts:
        await _changed(context, lambda tables: _begun(tables, name))
        return _map(name, 0, [], context.now())
    found = [coded(each) for each in concepts]
    if any(each.system is None for each in found):
        raise BadRequest("A concept has a system and a code.", code="required")
    asked = [(str(each.system), each.code) for each in found]
    codes = await worked(context, lambda catalogue: spelt(catalogue, asked))
    before, table = await _changed(context, lambda tables: _added(tables, name, codes))
    return _map(name, table["version"], await _entries(context, table, before), context.now())


async def _again(context: Context, name: str, version: str) -> Resource:
    if not version.isdecimal() or len(version) > 9:
        raise BadRequest("'version' is one that this table had before.", code="value")
    row = await context.services.store.documents(ROWS).get(_key(context))
    table = _table([] if row is None else row["tables"], name)
    return _map(name, table["version"], await _entries(context, table, int(version)), context.now())


async def _entries(context: Context, table: Table, since: int) -> list[Entry]:
    codes: dict[str, dict[str, int]] = {}
    for system, code, version in table["codes"]:
        codes.setdefault(system, {})[code] = version

    def work(catalogue: Catalogue) -> list[Entry]:
        return entries(catalogue, codes, since)

    return await worked(context, work)


def _key(context: Context) -> str:
    principal = context.principal
    return sha256(f"{principal.user}\n{principal.client}".encode()).hexdigest()


async def _changed(context: Context, change: Any) -> tuple[int, Table]:
    """The version before, and the table after a change of the user's tables."""
    rows, key = context.services.store.documents(ROWS), _key(context)
    for _ in range(_TRIES):
        row = await rows.get(key)
        tables = [] if row is None else [dict(each) for each in row["tables"]]
        before, table = change(tables)
        _check(tables)
        revision = 0 if row is None else row["revision"]
        changed = {"_id": key, "revision": revision + 1, "tables": tables}
        try:
            if row is None:
                await rows.insert(changed)
                return before, table
            if await rows.replace(changed, {"revision": revision}):
                return before, table
        except Conflict:
            continue
    raise Conflict("The closure table is being changed by another request; try again.")


def _begun(tables: list[Table], name: str) -> tuple[int, Table]:
    tables[:] = [each for each in tables if each["name"] != name]
    tables.append({"name": name, "version": 0, "codes": []})
    return 0, tables[-1]


def _added(tables: list[Table], name: str, codes: list[tuple[str, str]]) -> tuple[int, Table]:
    table = _table(tables, name)
    before, known = table["version"], {(system, code) for system, code, _ in table["codes"]}
    table["version"] = before + 1
    new = [(system, code, before + 1) for system, code in dict.fromkeys(codes) if (system, code) not in known]
    table["codes"] = [*table["codes"], *new]
    return before, table


def _table(tables: list[Table], name: str) -> Table:
    for each in tables:
        if each["name"] == name:
            return each
    raise Unresolved(f"There is no closure table '{name[:MAX_NAME]}' of yours: begin it, without concepts.")


def _check(tables: list[Table]) -> None:
    if len(tables) > MAX_TABLES or sum(len(each["codes"]) for each in tables) > MAX_CODES:
        raise TooCostly(
            f"A client has at most {MAX_TABLES} closure tables with {MAX_CODES} codes together: begin one of them anew."
        )


def _map(name: str, version: int, found: list[Entry], now: datetime) -> Resource:
    """The entries as a ConceptMap: the target subsumes the source."""
    groups: dict[str, dict[str, list[dict[str, str]]]] = {}
    for each in found:
        targets = groups.setdefault(each.system, {}).setdefault(each.source, [])
        targets.append({"code": each.target, "equivalence": "subsumes"})
    made: Resource = {
        "resourceType": "ConceptMap",
        "version": str(version),
        "name": "Closure",
        "title": name,
        "status": "active",
        "experimental": True,
        "date": instant(now),
    }
    if groups:
        made["group"] = [
            {
                "source": system,
                "target": system,
                "element": [{"code": code, "target": targets} for code, targets in elements.items()],
            }
            for system, elements in groups.items()
        ]
    return made


CLOSURE: Final = Operation(
    "closure",
    "http://hl7.org/fhir/OperationDefinition/ConceptMap-closure",
    frozenset((Level.SYSTEM,)),
    closure,
    parameters=frozenset(("name", "concept", "version")),
    affects_state=True,
)
