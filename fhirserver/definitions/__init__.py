"""Definitions: what R4 says, as tables.

`load()` gives the registry of structures, search parameters, value sets, compartments and operations; `shipped()`
finds the data that travels with the server; `load_terminology()` gives R4's own code systems, value sets and concept maps,
`load_profiles()` its profiles and extensions; beside them stand this server's own, those of `profiles/`.
The tables are compiled from HL7's package by `definitions.build`, which
only the command line calls. This room must not know of requests or stores.
"""

from fhirserver.definitions.codes.terminology import Terminology, load_terminology
from fhirserver.definitions.codes.values import ValueSet
from fhirserver.definitions.operations import Compartment, Operation, OperationParameter
from fhirserver.definitions.own import own_profiles
from fhirserver.definitions.parameters import Component, SearchParameter
from fhirserver.definitions.profiles import load_profiles
from fhirserver.definitions.registry import Definitions, load
from fhirserver.definitions.shipping import shipped
from fhirserver.definitions.structures import Binding, Constraint, Element, ElementType, Structure

__all__ = [
    "Binding",
    "Compartment",
    "Component",
    "Constraint",
    "Definitions",
    "Element",
    "ElementType",
    "Operation",
    "OperationParameter",
    "SearchParameter",
    "Structure",
    "Terminology",
    "ValueSet",
    "load",
    "load_profiles",
    "load_terminology",
    "own_profiles",
    "shipped",
]
