"""HL7's official examples of R4, read from their package (npm `hl7.fhir.r4.examples`), which the repository does not hold.

https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhirserver.model.json import parse

VARIABLE = "FHIRSERVER_EXAMPLES"
"""The environment variable with the path of the package's .tgz file."""

BULK = frozenset({"CodeSystem", "SearchParameter", "StructureDefinition", "ValueSet"})
"""The types that define FHIR itself: four fifths of the examples."""
BULKY_ENTRIES = BULK | {"CapabilityStatement", "ConceptMap", "CompartmentDefinition", "OperationDefinition"}
LIMIT = 64 * 1024 * 1024


def example_texts(*, bulk: bool = False) -> Iterator[tuple[str, bytes]]:
    """The file name and text of each example, in the package's order; `bulk` includes those that define FHIR.

    Skips the test if the package is not there.
    """
    for name, text, _ in _examples(bulk):
        yield name, text


def example_resources(*, bulk: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file name and the parsed resource of each example; otherwise as `example_texts`."""
    for name, _, resource in _examples(bulk):
        yield name, resource


def _examples(bulk: bool) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    archive = os.environ.get(VARIABLE, "")
    if not Path(archive).is_file():
        pytest.skip(f"{VARIABLE} does not name the file of HL7's package hl7.fhir.r4.examples")
    with tarfile.open(archive, "r|gz") as package:
        for member in package:
            name = Path(member.name).name
            if name == "package.json" or not name.endswith(".json") or (not bulk and name.partition("-")[0] in BULK):
                continue
            file = package.extractfile(member)
            assert file is not None
            text = file.read()
            resource = parse(text, limit=LIMIT)
            if bulk or not _is_bulk(resource):
                yield name, text, resource


def _is_bulk(resource: dict[str, Any]) -> bool:
    """Whether it defines FHIR, or is a Bundle of what does."""
    if resource["resourceType"] != "Bundle":
        return resource["resourceType"] in BULK
    types = {entry.get("resource", {}).get("resourceType") for entry in resource.get("entry", [])}
    return bool(types) and types <= BULKY_ENTRIES
