"""FHIRPath: expressions to functions of JSON values.

`parse` reads the whole language. `compile_path` makes a function of one expression and `Plan` one of many; they know
what R4's search parameters use and refuse the rest with FhirPathError and its position. Results are nodes: the name of
the FHIR type, and the JSON value. This room must not know of search, of stores, or of any resource but the one it is given.
"""

from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.parser import parse
from fhirserver.fhirpath.path import Plan, compile_path
from fhirserver.fhirpath.runtime import Node

__all__ = ["FhirPathError", "Node", "Plan", "compile_path", "parse"]
