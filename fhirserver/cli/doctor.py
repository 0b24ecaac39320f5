"""`fhirserver doctor`: what this machine and the database have, what they lack, and what to do about it."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from fhirserver.cli import database
from fhirserver.cli.failure import Failure, explained
from fhirserver.definitions import load
from fhirserver.store.embedded import OPEN_FILES, NoMongod, find, raise_file_limit
from fhirserver.store.layout.examine import Examined, examine


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    well: bool
    text: str


def arguments(parser: ArgumentParser) -> None:
    """Which database to look at."""
    database.arguments(parser)


def run(given: Namespace) -> int:
    """Print every finding; 1 if one of them is bad."""
    findings = asyncio.run(_all(given))
    return 0 if all(finding.well for finding in findings) else 1


async def _all(given: Namespace) -> list[Finding]:
    findings = []
    async for finding in _findings(given):
        print(f"{'ok     ' if finding.well else 'PROBLEM'} {finding.text}", flush=True)
        findings.append(finding)
    return findings


async def _findings(given: Namespace) -> AsyncIterator[Finding]:
    definitions = load()
    yield Finding(True, f"definitions: {len(definitions.resource_types)} resource types")
    usable = True
    if database.mongo_url(given) is None:
        for finding in _machine(given):
            usable = usable and finding.well
            yield finding
        if not database.folder(given).is_dir():
            yield Finding(True, f"data folder {database.folder(given)}: not there yet; `fhirserver serve` makes it")
            return
    if not usable:
        return
    try:
        with explained():
            async with database.database(given) as settings:
                for finding in judged(await examine(settings.mongo_url, settings.database)):
                    yield finding
    except Failure as failure:
        yield Finding(False, f"database: {failure}")


def _machine(given: Namespace) -> Iterator[Finding]:
    """What the embedded database needs of this machine."""
    try:
        found = find(database.mongod(), database.folder(given) / "bin")
    except NoMongod as error:
        yield Finding(False, f"mongod: {error}")
    else:
        yield Finding(True, f"mongod: {found.version_text}, {found.binary}")
    limit = raise_file_limit()
    said = f"open files: at most {limit:,}"
    yield Finding(
        limit >= OPEN_FILES // 16, said if limit >= OPEN_FILES else f"{said}; {OPEN_FILES:,} is advised (ulimit -n)"
    )


def judged(seen: Examined) -> Iterator[Finding]:
    """What a look at the database means."""
    reasons = list(seen.unsuitable())
    for reason in reasons:
        yield Finding(False, reason)
    if not reasons:
        yield Finding(True, f"MongoDB {seen.version_text}, replica set {seen.replica_set}")
    if seen.layout is None:
        yield Finding(True, "layout: none yet; the first start writes it")
    elif seen.layout > seen.layout_known:
        yield Finding(False, f"layout {seen.layout}: made by a newer program; this one knows {seen.layout_known}")
    elif seen.layout < seen.layout_known:
        yield Finding(False, f"layout {seen.layout}: run `fhirserver reindex` for layout {seen.layout_known}")
    else:
        yield Finding(True, f"layout {seen.layout}")
    if seen.missing_indexes:
        yield Finding(False, f"indexes: {', '.join(seen.missing_indexes)} missing; a started server builds them")
    else:
        yield Finding(True, f"indexes: all there, of {seen.types} resource types")
