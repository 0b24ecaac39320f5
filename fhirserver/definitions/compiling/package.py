"""Reading a FHIR package, an npm-style tarball of JSON resources.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Definition = dict[str, Any]

TYPES = frozenset(
    {
        "CodeSystem",
        "CompartmentDefinition",
        "ConceptMap",
        "OperationDefinition",
        "SearchParameter",
        "StructureDefinition",
        "ValueSet",
    }
)


@dataclass(frozen=True, slots=True)
class Package:
    """A package's definitions by resource type, each sorted by URL, without those that are only examples."""

    name: str
    version: str
    definitions: dict[str, list[Definition]]

    def of(self, resource_type: str) -> list[Definition]:
        """The definitions of one type."""
        return self.definitions[resource_type]


def read_package(path: Path) -> Package:
    """The package in the tarball at `path`."""
    definitions: dict[str, list[Definition]] = {resource_type: [] for resource_type in TYPES}
    manifest: Definition = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            if folder != "package" or not name.endswith(".json"):
                continue
            if name != "package.json" and name.partition("-")[0] not in TYPES:
                continue
            source = archive.extractfile(member)
            if source is None:
                continue
            content: Definition = json.load(source)
            if name == "package.json":
                manifest = content
            elif not _is_example(content):
                definitions[content["resourceType"]].append(content)
    for each in definitions.values():
        each.sort(key=lambda definition: (definition["url"], definition["id"]))
    return Package(manifest["name"], manifest["version"], definitions)


# The specification's examples of a SearchParameter, an OperationDefinition and the like travel in the package, under
# ids of this form; they redefine codes of the real ones.
def _is_example(definition: Definition) -> bool:
    id: str = definition["id"]
    return id == "example" or id.startswith("example-")
