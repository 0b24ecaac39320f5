"""What a database is like, for whoever looks after it: version, replica set, layout, indexes. It changes nothing.

https://www.mongodb.com/docs/manual/reference/command/hello/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fhirserver.store.connection.client import Mongo, Query, translated
from fhirserver.store.embedded.mongod import OLDEST
from fhirserver.store.layout import indexes
from fhirserver.store.layout.collections import LAYOUT, LAYOUT_ROWS


@dataclass(frozen=True, slots=True)
class Examined:
    """One look at a database."""

    version: tuple[int, ...]
    replica_set: str | None
    primary: bool
    layout: int | None
    layout_known: int
    types: int
    missing_indexes: tuple[str, ...]

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))

    def unsuitable(self) -> Iterator[str]:
        """Why a server cannot run on it, whatever is stored in it."""
        if self.version < OLDEST:
            yield f"MongoDB {self.version_text}: {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        if self.replica_set is None:
            yield "no replica set: transactions need one; start mongod with --replSet and run rs.initiate()"
        elif not self.primary:
            yield f"replica set {self.replica_set}: it has no primary, or the address is that of another member"


async def examine(url: str, database: str) -> Examined:
    """Look at the database. Raises Unavailable when it does not answer."""
    mongo = Mongo(url, database)
    try:
        with translated():
            build = await mongo.client.admin.command("buildInfo")
            hello = await mongo.client.admin.command("hello")
            collections = await mongo.database.list_collection_names()
        rows = await mongo.find(LAYOUT_ROWS, Query({"_id": "layout"}, limit=1))
        types = sorted(name for name in collections if name[:1].isupper() and "." not in name)
        return Examined(
            version=tuple(build["versionArray"][:3]),
            replica_set=hello.get("setName") or ("of a sharded cluster" if hello.get("msg") == "isdbgrid" else None),
            primary=bool(hello.get("isWritablePrimary")),
            layout=rows[0]["version"] if rows else None,
            layout_known=LAYOUT,
            types=len(types),
            missing_indexes=tuple([missing for name in types for missing in await _missing(mongo, name)]),
        )
    finally:
        await mongo.close()


async def _missing(mongo: Mongo, resource_type: str) -> list[str]:
    """The indexes that this program wants on a type's collection and that are not there, or not as it wants them."""
    with translated():
        present = await mongo.database[resource_type].index_information()
    return [
        f"{resource_type}.{index.name}"
        for index in indexes.of(resource_type)
        if index.name not in present or list(present[index.name]["key"]) != list(index.keys)
    ]
