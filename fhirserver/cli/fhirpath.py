"""`fhirserver fhirpath EXPRESSION FILE...`: what an expression selects of resources in JSON files, a result a line.

https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fhirserver.cli.failure import Failure
from fhirserver.definitions import load, load_terminology
from fhirserver.fhirpath import Engine, FhirPathError, Node
from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.values.nodes import Primitive
from fhirserver.model.json import BODY_LIMIT, dump, parse
from fhirserver.model.outcome import FhirError
from fhirserver.terminology import Catalogue, Parsed
from fhirserver.terminology.knowledge import Known
from fhirserver.terminology.lending import host
from fhirserver.validation import Validator


def arguments(parser: ArgumentParser) -> None:
    """The expression and the files."""
    parser.add_argument("expression", metavar="EXPRESSION", help="such as: name.where(use = 'official').family")
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        default=[],
        metavar="FILE",
        help="resources in JSON; none, for an expression of its own",
    )


def run(given: Namespace) -> int:
    """Print the results of each file; the file's name before each if there are several."""
    now = datetime.now(UTC)
    engine = Engine(load(), replace(host(), conforms_to=partial(_conforms, Validator(load()), now)))
    for file in given.files or [None]:
        resource = None if file is None else _resource(file)
        try:
            found = engine.evaluate(given.expression, resource, now=now)
        except FhirPathError as error:
            raise Failure(f"{error.message} At character {error.position + 1}: {given.expression}") from error
        for _, value in found:
            print(f"{file}: {_shown(value)}" if len(given.files) > 1 else _shown(value))
    return 0


def _conforms(validator: Validator, now: datetime, node: Node, profile: str) -> bool:
    """Whether a resource has no error by R4 and by a profile of R4's own."""
    resource, known = node[1], Known(Catalogue(load_terminology(), Parsed(), alone=True))
    if not isinstance(resource, dict) or "resourceType" not in resource:
        raise Misuse("conformsTo() is decided of resources only.")
    issues = validator.validate(resource)
    issues += validator.conformance(resource, issues, known, [profile], now)
    if any(each.severity == "error" and each.code == "not-supported" for each in issues):
        raise Misuse(f"The profile {profile} is not one of R4's own.")
    return not any(each.severity == "error" for each in issues)


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
