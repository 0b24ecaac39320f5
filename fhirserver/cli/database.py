"""The one place that turns `--mongo-url`, `--data` and the environment into a database."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fhirserver.cli.failure import Failure
from fhirserver.model.outcome import Unavailable
from fhirserver.settings import Settings, secret
from fhirserver.store import LayoutError
from fhirserver.store.connection.client import DatabaseRefusal, Mongo
from fhirserver.store.connection.coalesce import Coalescer
from fhirserver.store.documents import Documents
from fhirserver.store.embedded import Embedded, EmbeddedError, connect

FOLDER = "data"
_UNREACHABLE = (
    "MongoDB does not answer, or has no primary: does it run, does its address name it and its replica set, "
    "and is the replica set begun (rs.initiate())?"
)


def arguments(parser: ArgumentParser) -> None:
    """The options of every command that touches data."""
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--mongo-url", metavar="URL", help="a MongoDB replica set (or FHIRSERVER_MONGO_URL)")
    place.add_argument(
        "--data", metavar="DIR", type=Path, help=f"the folder of the embedded MongoDB (or FHIRSERVER_DATA; ./{FOLDER})"
    )


def mongo_url(given: Namespace) -> str | None:
    """The URL of a database that is not ours to start; None for the embedded one."""
    if given.mongo_url or given.data:
        return str(given.mongo_url) if given.mongo_url else None
    return secret(os.environ, "mongo_url")


def folder(given: Namespace) -> Path:
    """The folder of the embedded database."""
    return Path(given.data or os.environ.get("FHIRSERVER_DATA") or FOLDER)


def mongod() -> str | None:
    """The mongod that the operator named."""
    return os.environ.get("FHIRSERVER_MONGOD") or None


def embedded(given: Namespace) -> Embedded:
    """The embedded database that a server starts."""
    return Embedded(folder(given), mongod=mongod())


def settings(url: str, given: Namespace) -> Settings:
    """The settings of the environment, with what the command line says before them."""
    return Settings.from_environment(os.environ, **(vars(given) | {"mongo_url": url}))


@asynccontextmanager
async def database(given: Namespace) -> AsyncIterator[Settings]:
    """For one command: the settings of the database that the options name. With a folder, a running server's is reached."""
    with said():
        if url := mongo_url(given):
            yield settings(url, given)
            return
        if not given.data and not folder(given).is_dir():
            raise Failure(
                f"There is no folder ./{folder(given)}: name one with --data, or a database with --mongo-url."
            )
        async with connect(folder(given), mongod=mongod()) as url:
            yield settings(url, given)


@asynccontextmanager
async def rows(settings: Settings, name: str) -> AsyncIterator[Documents]:
    """The server's own rows of this name, for a command that needs no resources."""
    mongo = Mongo(settings.mongo_url, settings.database)
    try:
        yield Documents(mongo, Coalescer(mongo), name)
    finally:
        await mongo.close()


@contextmanager
def said() -> Iterator[None]:
    """Turn what goes wrong with the database into a Failure with its sentence."""
    try:
        yield
    except (EmbeddedError, LayoutError, DatabaseRefusal) as error:
        raise Failure(str(error)) from error
    except Unavailable as error:
        raise Failure(_UNREACHABLE) from error
