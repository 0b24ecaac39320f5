"""`fhirserver fhirpath EXPRESSION FILE...`: what an expression selects of resources in JSON files, a result a line.

https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fhirserver.cli.failure import Failure
from fhirserver.definitions import load
from fhirserver.fhirpath import Engine, FhirPathError
from fhirserver.fhirpath.values.nodes import Primitive
from fhirserver.model.json import BODY_LIMIT, dump, parse
from fhirserver.model.outcome import FhirError
from fhirserver.terminology.lending import host


def arguments(parser: ArgumentParser) -> None:
    """The expression and the files."""
    parser.add_argument("expression", metavar="EXPRESSION", help="such as: name.where(use = 'official').family")
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="resources in JSON; none, for an expression of its own"
    )


def run(given: Namespace) -> int:
    """Print the results of each file; the file's name before each if there are several."""
    engine, now = Engine(load(), host()), datetime.now(UTC)
    for file in given.files or [None]:
        resource = None if file is None else _resource(file)
        try:
            found = engine.evaluate(given.expression, resource, now=now)
        except FhirPathError as error:
            raise Failure(f"{error.message} At character {error.position + 1}: {given.expression}") from error
        for _, value in found:
            print(f"{file}: {_shown(value)}" if len(given.files) > 1 else _shown(value))
    return 0


def _resource(file: Path) -> Any:
    try:
        return parse(file.read_bytes(), limit=BODY_LIMIT)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.") from error
    except FhirError as error:
        raise Failure(f"{file} cannot be read: {error.issues[0].diagnostics}") from error


def _shown(value: Any) -> str:
    if isinstance(value, Primitive):
        value = value.element if value.value is None else value.value
    if isinstance(value, str):
        return value
    return dump(value).decode() if isinstance(value, dict | bool) else str(value)
