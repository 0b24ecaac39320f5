"""Terminology: the algebra of code systems, value sets and concept maps.

`catalogue.Catalogue` is what is at hand: R4's own, and what its holder adds from a store; `value_set.ValueSet` answers which codes are
in a value set, `coded` whether a coded value is right, `expansion` what a client is sent, `translation` what a code becomes in another
system. All of it is plain code over FHIR's own JSON: this room must not know of stores, of callers, or of searches.

https://hl7.org/fhir/R4/terminology-module.html
"""

from fhirserver.terminology.catalogue import Asked, Catalogue, Held, Parsed, Wanted, needed, whole
from fhirserver.terminology.code_system import CodeSystem, Concept
from fhirserver.terminology.value_set import Member, ValueSet, asked_for, value_set

__all__ = [
    "Asked",
    "Catalogue",
    "CodeSystem",
    "Concept",
    "Held",
    "Member",
    "Parsed",
    "ValueSet",
    "Wanted",
    "asked_for",
    "needed",
    "value_set",
    "whole",
]
