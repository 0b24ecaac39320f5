"""R4's own code systems, value sets and concept maps, and this server's, in FHIR's own form, each decoded when it is first asked for.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fhirserver.definitions.own import Resources, beside, load_own
from fhirserver.definitions.profiles import load_profiles
from fhirserver.definitions.wire import unpack_terminology

TERMINOLOGY_FILE = "r4/terminology.bin"


class Terminology:
    """What R4's package holds of terminology, as compiled: no texts, no definitions. Beside it, what is this server's own."""

    def __init__(self, data: bytes) -> None:
        file = unpack_terminology(data)
        self.code_systems = beside(load_own("CodeSystem"), file.code_systems)
        self.value_sets = beside(load_own("ValueSet"), file.value_sets)
        self.concept_maps = beside(load_own("ConceptMap"), file.concept_maps)

    def of(self, resource_type: str) -> Resources:
        """Those of one resource type; the profiles too, which name one another as terminology does."""
        if resource_type == "StructureDefinition":
            return load_profiles()
        return {"CodeSystem": self.code_systems, "ValueSet": self.value_sets, "ConceptMap": self.concept_maps}[
            resource_type
        ]


@cache
def load_terminology() -> Terminology:
    """The terminology that is shipped; read from its file when somebody first needs it."""
    return Terminology(files("fhirserver.definitions").joinpath(TERMINOLOGY_FILE).read_bytes())
