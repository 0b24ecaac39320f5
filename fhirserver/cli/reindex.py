"""`fhirserver reindex [TYPE]`: what is derived from the stored resources, made anew from their text.

It also runs on a database of an older layout, which a server refuses; a whole run brings it to the present one.
"""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace

from fhirserver.app import derivation
from fhirserver.cli import database
from fhirserver.cli.failure import Failure
from fhirserver.definitions import load
from fhirserver.interactions.parameters import Means, inform
from fhirserver.store import Store
from fhirserver.store.connection.client import Mongo


def arguments(parser: ArgumentParser) -> None:
    """Which type; all, when none is named."""
    parser.add_argument("type", nargs="?", metavar="TYPE", help="a resource type; all of them when none is given")
    database.arguments(parser)


def run(given: Namespace) -> int:
    """Rebuild, while a server may be serving, and say how many there were."""
    if given.type is not None and given.type not in load().resource_types:
        raise Failure(f"{given.type} is not a resource type.")
    asyncio.run(_reindex(given))
    return 0


async def _reindex(given: Namespace) -> None:
    async with database.database(given) as settings:
        derive = derivation(settings)
        store = Store(Mongo(settings.mongo_url, settings.database), derive, native_copy=settings.native_copy)
        try:
            await inform(Means(load(), store, derive, name="reindex"))
            rows = await store.reindex(given.type, report=_progress)
        finally:
            await store.close()
    print(f"{rows:,} versions")


def _progress(collection: str, seen: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{collection}: {seen:,}", end="", file=sys.stderr, flush=True)
