"""`fhirserver validate FILE...`: every issue of the resources in files, a line each, as `$validate` gives them.

Exit code 1 if one of them is an error.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from fhirserver.cli.failure import Failure
from fhirserver.definitions import Definitions, load, load_terminology
from fhirserver.model.json import BODY_LIMIT, parse
from fhirserver.model.outcome import FhirError, Issue
from fhirserver.rest.representation import xml
from fhirserver.terminology import Catalogue
from fhirserver.terminology.knowledge import Known
from fhirserver.validation import Validator, complete


def arguments(parser: ArgumentParser) -> None:
    """The files."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a resource as JSON, or XML in a file named .xml; or .ndjson, with a resource in each line",
    )


def run(given: Namespace) -> int:
    """Print the issues of each file; 1 if there is an error among them."""
    definitions = load()
    validator = Validator(definitions)
    errors = False
    for file in given.files:
        for place, text in _texts(file):
            for issue in _issues(definitions, validator, text, is_xml=file.suffix == ".xml"):
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


def _issues(definitions: Definitions, validator: Validator, text: bytes, *, is_xml: bool) -> list[Issue]:
    try:
        resource = xml.read(definitions, text, limit=BODY_LIMIT) if is_xml else parse(text, limit=BODY_LIMIT)
    except FhirError as error:
        return list(error.issues)
    issues = validator.validate(resource)
    knowledge = Known(Catalogue(load_terminology(), alone=True))
    return complete([*issues, *validator.conformance(resource, issues, knowledge)])
