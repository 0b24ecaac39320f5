"""`fhirserver token issue`: an access token on standard output, and nothing else."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from fhirserver.access.bearer import COLLECTION, MAY, issue_token
from fhirserver.cli import database
from fhirserver.cli.failure import Failure

DEFAULT_MINUTES = 60


def arguments(parser: ArgumentParser) -> None:
    """`issue`, and whom the token is for."""
    issue = parser.add_subparsers(dest="action", metavar="ACTION", required=True).add_parser(
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
    database.arguments(issue)


def run(given: Namespace) -> int:
    """Issue the token and print it."""
    print(asyncio.run(_issue(given)))
    return 0


async def _issue(given: Namespace) -> str:
    async with database.database(given) as settings, database.rows(settings, COLLECTION) as tokens:
        try:
            return await issue_token(
                tokens,
                user=given.user,
                scope=given.scope,
                role=given.role,
                client=given.client,
                purpose=given.purpose,
                patient=given.patient,
                minutes=given.minutes,
                may=frozenset(given.may),
                now=datetime.now(UTC),
            )
        except ValueError as error:
            raise Failure(str(error)) from error
