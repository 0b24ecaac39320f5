"""`fhirserver validate FILE...`: every issue of the resources in files, a line each, as `$validate` gives them.

Exit code 1 if one of them is an error.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fhirserver.cli.failure import Failure
from fhirserver.definitions import Definitions, load, load_terminology
from fhirserver.model.json import BODY_LIMIT, parse
from fhirserver.model.outcome import FhirError, Issue
from fhirserver.rest.representation import xml
from fhirserver.terminology import Asked, Catalogue, Held
from fhirserver.terminology.knowledge import Known
from fhirserver.validation import Validator, complete

Find = Callable[[Asked], Held | None]


def arguments(parser: ArgumentParser) -> None:
    """The files."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a resource as JSON, or XML in a file named .xml; or .ndjson, with a resource in each line",
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="URL",
        help="a profile that each of them is held against, beside those that it claims",
    )
    parser.add_argument(
        "--known",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="profiles, extensions, value sets and code systems beside R4's and this server's own, in the same forms",
    )


def run(given: Namespace) -> int:
    """Print the issues of each file; 1 if there is an error among them."""
    definitions = load()
    validator = Validator(definitions)
    find = _shelf(definitions, given.known)
    errors = False
    for file in given.files:
        for place, text in _texts(file):
            for issue in _issues(definitions, validator, text, find, given.profile, is_xml=file.suffix == ".xml"):
                errors |= issue.severity in ("fatal", "error")
                at = f" {issue.expression}:" if issue.expression is not None else ""
                print(f"{place}: {issue.severity}:{at} {issue.diagnostics}")
    return int(errors)


def _texts(file: Path) -> Iterator[tuple[str, bytes]]:
    """The texts of resources in a file, each with how it is named."""
    try:
        if file.suffix != ".ndjson":
            yield str(file), file.read_bytes()
            return
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{file}:{number}", line
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.") from error


def _shelf(definitions: Definitions, files: Sequence[Path]) -> Find:
    """What there is of a canonical in these files; the last one of a URL counts."""
    shelf: dict[tuple[str, str], dict[str, Any]] = {}
    for file in files:
        for place, text in _texts(file):
            try:
                resource = _read(definitions, text, is_xml=file.suffix == ".xml")
            except FhirError as error:
                raise Failure(f"{place} cannot be read: {error.issues[0].diagnostics}") from error
            if isinstance(resource, dict) and isinstance(resource.get("url"), str):
                shelf[str(resource.get("resourceType")), resource["url"]] = resource

    def find(asked: Asked) -> Held | None:
        found = shelf.get((asked.resource_type, asked.url))
        is_it = found is not None and asked.version in (None, found.get("version"))
        return Held((asked.resource_type, asked.url), found) if found is not None and is_it else None

    return find


def _read(definitions: Definitions, text: bytes, *, is_xml: bool) -> Any:
    return xml.read(definitions, text, limit=BODY_LIMIT) if is_xml else parse(text, limit=BODY_LIMIT)


def _issues(
    definitions: Definitions, validator: Validator, text: bytes, find: Find, profiles: Sequence[str], *, is_xml: bool
) -> list[Issue]:
    try:
        resource = _read(definitions, text, is_xml=is_xml)
    except FhirError as error:
        return list(error.issues)
    issues = validator.validate(resource)
    knowledge = Known(Catalogue(load_terminology(), find=find))
    return complete([*issues, *validator.conformance(resource, issues, knowledge, profiles, datetime.now(UTC))])
