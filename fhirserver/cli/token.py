"""`fhirserver token issue`: an access token on standard output, and nothing else. `fhirserver token revoke` takes one back.

A token to revoke comes on standard input: a command line can be read by others.
"""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from fhirserver.access.bearer import COLLECTION, MAY, Grant, issue_token, revoke_token
from fhirserver.cli import database
from fhirserver.cli.failure import Failure

DEFAULT_MINUTES = 60


def arguments(parser: ArgumentParser) -> None:
    """`issue`, and whom the token is for; `revoke`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    issue = actions.add_parser(
        "issue", help="print an access token", description="Print an access token, and nothing else."
    )
    issue.add_argument("--user", required=True, metavar="TYPE/ID", help="the principal; it need not exist yet")
    issue.add_argument("--scope", required=True, help="SMART scopes, as in 'user/*.rs'")
    issue.add_argument("--role", metavar="PractitionerRole/ID", help="the role that a practitioner acts in")
    issue.add_argument("--client", metavar="ID", default="command-line", help="the client it is issued to")
    issue.add_argument("--purpose", metavar="CODE", default="TREAT", help="the purpose of use (TREAT)")
    issue.add_argument("--patient", metavar="ID", help="the patient in context; patient/ scopes need one")
    issue.add_argument("--minutes", type=int, default=DEFAULT_MINUTES, help=f"how long it counts ({DEFAULT_MINUTES})")
    issue.add_argument("--may", action="append", choices=sorted(MAY), default=[], help="what it may do besides")
    revoke = actions.add_parser(
        "revoke",
        help="take back the access token that standard input holds",
        description="Take back the access token that standard input holds. It does not count from the next request on.",
    )
    for each in (issue, revoke):
        database.arguments(each)


def run(given: Namespace) -> int:
    """Issue a token and print it, or take one back."""
    if given.action == "revoke":
        asyncio.run(_revoke(given, sys.stdin.read().strip()))
    elif not given.scope.strip():
        raise Failure("--scope allows nothing. Write patient/Observation.rs, user/*.cruds, system/Slot.read.")
    else:
        print(asyncio.run(_issue(given)))
    return 0


async def _issue(given: Namespace) -> str:
    async with database.database(given) as settings, database.rows(settings, COLLECTION) as tokens:
        try:
            grant = Grant(
                given.user,
                given.scope,
                client=given.client,
                role=given.role,
                patient=given.patient,
                purpose=given.purpose,
                may=frozenset(given.may),
            )
            return await issue_token(tokens, grant, minutes=given.minutes, now=datetime.now(UTC))
        except ValueError as error:
            raise Failure(str(error)) from error


async def _revoke(given: Namespace, token: str) -> None:
    async with database.database(given) as settings, database.rows(settings, COLLECTION) as tokens:
        if not await revoke_token(tokens, token):
            raise Failure("There is no such token.")
