"""Making one mongod the only and primary member of its replica set, with one user.

https://www.mongodb.com/docs/manual/reference/command/replSetInitiate/
https://www.mongodb.com/docs/manual/core/localhost-exception/
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

REPLICA_SET = "fhirserver"
USER = "fhirserver"
POLL_SECONDS = 0.03

_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_ALREADY_INITIALISED = 23
_NOT_YET_INITIALISED = 94

Client = AsyncMongoClient[dict[str, Any]]


class WrongPassword(Exception):
    """The database has a user already, and this is not its password."""


def url(port: int, password: str) -> str:
    """Where the set answers its user. It holds the password: it is never printed."""
    return f"mongodb://{USER}:{quote(password, safe='')}@127.0.0.1:{port}/?directConnection=true&authSource=admin"


async def form(port: int, password: str) -> None:
    """Make sure that the set and its user exist, that this address is its member, and wait until it is primary.

    Each step may have been done by an earlier start that was killed after it.
    """
    if not await _can_log_in(port, password):
        async with _client(f"mongodb://127.0.0.1:{port}/?directConnection=true") as nobody:
            await _initiate(nobody, port)
            await _primary(nobody)
            await _create_user(nobody, password)
    async with _client(url(port, password)) as user:
        await _move(user, port)
        await _primary(user)


async def end_transactions(port: int, password: str) -> int:
    """End the transactions that a dead server left open, and say how many: each holds its records for a minute otherwise.

    https://www.mongodb.com/docs/manual/reference/command/killAllSessionsByPattern/
    """
    async with _client(url(port, password)) as user:
        pipeline: list[dict[str, Any]] = [
            {"$currentOp": {"allUsers": True, "idleSessions": True}},
            {"$match": {"transaction": {"$exists": True}, "lsid": {"$exists": True}}},
            {"$project": {"lsid": 1}},
        ]
        rows = await (await user.admin.aggregate(pipeline)).to_list()
        if rows:
            patterns = [{"lsid": {"id": row["lsid"]["id"], "uid": row["lsid"]["uid"]}} for row in rows]
            await user.admin.command("killAllSessionsByPattern", patterns)
        return len(rows)


async def _can_log_in(port: int, password: str) -> bool:
    async with _client(url(port, password)) as client:
        try:
            await client.admin.command("connectionStatus")
        except OperationFailure as error:
            if error.code != _AUTHENTICATION_FAILED:
                raise
            return False
    return True


async def _initiate(client: Client, port: int) -> None:
    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
    try:
        await client.admin.command("replSetInitiate", config)
    except OperationFailure as error:
        # Unauthorized: a user exists, and the password is what is wrong; making the user will say so.
        if error.code not in (_ALREADY_INITIALISED, _UNAUTHORIZED):
            raise


async def _create_user(client: Client, password: str) -> None:
    """The first user, by the localhost exception: it works only while there is none."""
    durable = {"w": "majority", "j": True}
    try:
        await client.admin.command("createUser", USER, pwd=password, roles=["root"], writeConcern=durable)
    except OperationFailure as error:
        raise WrongPassword from error


async def _move(client: Client, port: int) -> None:
    """Give the set's only member this address, when mongod was started on another port than before."""
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALISED:
            raise
        await _initiate(client, port)
        return
    member = config["members"][0]
    if member["host"] == f"127.0.0.1:{port}":
        return
    member["host"] = f"127.0.0.1:{port}"
    config["version"] += 1
    await client.admin.command("replSetReconfig", config, force=True)


async def _primary(client: Client) -> None:
    while True:
        with suppress(PyMongoError):
            if (await client.admin.command("hello")).get("isWritablePrimary"):
                return
        await asyncio.sleep(POLL_SECONDS)


def _client(address: str) -> Client:
    # On another port than before, mongod first asks whoever is on the old one whether that is itself, for up to 30 s.
    return AsyncMongoClient(address, serverSelectionTimeoutMS=90_000, connectTimeoutMS=60_000, maxPoolSize=2)
