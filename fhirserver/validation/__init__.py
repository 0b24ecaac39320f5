"""Validation: a resource and the definitions give a list of issues.

`Validator(definitions).validate(resource)` is the one door, `error_for(issues)` the refusal that they make; `complete(issues)` is the
answer to who asks for them. Two readers stand behind it: a fast one that only says yes, and an exact one that names every place.
This room must not know of requests, stores or principals.

https://hl7.org/fhir/R4/validation.html
"""

from fhirserver.validation.conformance import Allowance
from fhirserver.validation.validate import Check, Validator, complete, error_for

__all__ = ["Allowance", "Check", "Validator", "complete", "error_for"]
