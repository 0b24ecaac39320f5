"""HL7's official examples of R4, read from their package (npm `hl7.fhir.r4.examples`), which the repository does not hold.

https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
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


def example_texts(*, bulk: bool = False) -> Iterable[tuple[str, bytes]]:
    """The file name and text of each example, in the package's order; `bulk` includes those that define FHIR.

    Skips the test if the package is not there.
    """
    return _texts() if bulk else _texts_without_bulk()


def example_resources(*, bulk: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file name and the parsed resource of each example; otherwise as `example_texts`."""
    for name, text in example_texts(bulk=bulk):
        yield name, parse(text, limit=LIMIT)


def sample(most: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """So many examples of each type at most, without those that define FHIR."""
    taken = Counter[str]()
    for name, resource in example_resources():
        taken[resource["resourceType"]] += 1
        if taken[resource["resourceType"]] <= most:
            yield name, resource


def _texts() -> Iterator[tuple[str, bytes]]:
    archive = os.environ.get(VARIABLE, "")
    if not Path(archive).is_file():
        pytest.skip(f"{VARIABLE} does not name the file of HL7's package hl7.fhir.r4.examples")
    with tarfile.open(archive, "r|gz") as package:
        for member in package:
            name = Path(member.name).name
            if name == "package.json" or not name.endswith(".json"):
                continue
            file = package.extractfile(member)
            assert file is not None
            yield name, file.read()


@cache
def _texts_without_bulk() -> list[tuple[str, bytes]]:
    """Kept, because they are a thirteenth of the package, and reading past the rest takes seconds."""
    named = ((name, text) for name, text in _texts() if name.partition("-")[0] not in BULK)
    return [(name, text) for name, text in named if not _is_bulk(parse(text, limit=LIMIT))]


def _is_bulk(resource: dict[str, Any]) -> bool:
    """Whether it defines FHIR, or is a Bundle of what does."""
    if resource["resourceType"] != "Bundle":
        return resource["resourceType"] in BULK
    types = {entry.get("resource", {}).get("resourceType") for entry in resource.get("entry", [])}
    return bool(types) and types <= BULKY_ENTRIES
