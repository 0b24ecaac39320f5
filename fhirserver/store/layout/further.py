"""The indexes of search parameters that are not R4's: one each, of those documents only that have a value.

References need none: they are among those that one index has together. Quantities and composites get none, as R4's have none.

https://www.mongodb.com/docs/manual/core/index-partial/ and https://www.mongodb.com/docs/manual/core/index-sparse/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fhirserver.model.outcome import Conflict
from fhirserver.search.registry import Searchable
from fhirserver.store.connection.client import Document, Mongo, translated

PREFIX: Final = "further "
"""What the names of these indexes begin with."""
MOST: Final = 24
"""How many one collection has at most: MongoDB allows 64 with all the others, and each costs every write of a value."""


def lead(searchable: Searchable) -> str | None:
    """The path that an index of the parameter leads with, if it gets one."""
    match searchable.type:
        case "token" | "uri":
            return searchable.path
        case "string":
            return f"{searchable.path}.f"
        case "date" | "number":
            return searchable.low if searchable.is_single else f"{searchable.path}.lo"
    return None


def wanted(searchables: Iterable[Searchable]) -> dict[str, Document]:
    """The indexes of these parameters of a type, by name. Raises Conflict where they are more than one collection has."""
    found: dict[str, Document] = {}
    for each in searchables:
        path = lead(each)
        if path is None:
            continue
        name = f"{PREFIX}{path}"
        if each.type in ("date", "number"):
            # Where values are objects in an array MongoDB does not see that the condition of a partial index is met.
            found[name] = {"name": name, "key": {path: 1}, "sparse": True}
        else:
            found[name] = {
                "name": name,
                "key": {path: 1, "_id": 1},
                "partialFilterExpression": {path: {"$exists": True}},
            }
    if len(found) > MOST:
        raise Conflict(f"One resource type has at most {MOST} further search parameters with an index.")
    return found


async def adapt(mongo: Mongo, resource_type: str, searchables: Iterable[Searchable]) -> None:
    """Make the indexes of these parameters of a type, and drop those of others. The collection is there."""
    definitions = wanted(searchables)
    with translated():
        reply = await mongo.command({"listIndexes": resource_type, "cursor": {"batchSize": 100}})
        present = {each["name"] for each in reply["cursor"]["firstBatch"]}
        for name in sorted(present - set(definitions)):
            if name.startswith(PREFIX):
                await mongo.command({"dropIndexes": resource_type, "index": name})
        missing = [each for name, each in definitions.items() if name not in present]
        if missing:
            await mongo.command({"createIndexes": resource_type, "indexes": missing})
