"""FHIR's XML: resources in and out, driven by the definitions.

Public: `read`, XML text to a resource as JSON has it; `write`, the way back; `root_of`, what a text is without reading it. Nothing
is lost on either way but what XML itself has no form for. This room must not know HTTP, and the rest of the server must not know
XML: resources are JSON everywhere else.

https://hl7.org/fhir/R4/xml.html
"""

from fhirserver.rest.representation.xml.reader import read, root_of
from fhirserver.rest.representation.xml.writer import write

__all__ = ["read", "root_of", "write"]
