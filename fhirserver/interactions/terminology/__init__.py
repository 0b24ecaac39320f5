"""Terminology as interactions have it: out of the store, under the caller's permit.

Public: `worked` (work with what it asks for at hand), `judged` (issues, by what is at hand), `answered` and `answered_expression` (searches by value sets and hierarchies),
`maps_of`, `check_unchanged`. The statement of what of terminology is here is `capabilities.terminology_capabilities`.

https://hl7.org/fhir/R4/terminology-service.html
"""

from fhirserver.interactions.terminology.stored import (
    answered,
    answered_expression,
    check_unchanged,
    judged,
    maps_of,
    worked,
)

__all__ = ["answered", "answered_expression", "check_unchanged", "judged", "maps_of", "worked"]
