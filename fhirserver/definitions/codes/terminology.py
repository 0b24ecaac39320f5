"""R4's own code systems, value sets and concept maps, in FHIR's own form, each decoded when it is first asked for.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from fhirserver.definitions.profiles import load_profiles
from fhirserver.definitions.registry import Lazy
from fhirserver.definitions.wire import decode, unpack_terminology

TERMINOLOGY_FILE = "r4/terminology.bin"

Canonicals = Mapping[str, dict[str, Any]]
"""Resources by their canonical URL without version; they are not to be changed."""


class Terminology:
    """What R4's package holds of terminology, as compiled: no texts, no definitions."""

    def __init__(self, data: bytes) -> None:
        file = unpack_terminology(data)
        self.code_systems = _lazy(file.code_systems)
        self.value_sets = _lazy(file.value_sets)
        self.concept_maps = _lazy(file.concept_maps)

    def of(self, resource_type: str) -> Canonicals:
        """Those of one resource type; the profiles too, which name one another as terminology does."""
        if resource_type == "StructureDefinition":
            return load_profiles()
        return {"CodeSystem": self.code_systems, "ValueSet": self.value_sets, "ConceptMap": self.concept_maps}[
            resource_type
        ]


def _lazy(sections: Mapping[str, msgspec.Raw]) -> Canonicals:
    def made(url: str) -> dict[str, Any]:
        return decode(sections[url], dict[str, Any])

    return Lazy(sections, made)


@cache
def load_terminology() -> Terminology:
    """The terminology that is shipped; read from its file when somebody first needs it."""
    return Terminology(files("fhirserver.definitions").joinpath(TERMINOLOGY_FILE).read_bytes())
