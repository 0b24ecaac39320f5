"""Validation: a resource and the definitions give a list of issues.

`Validator(definitions)` is the one door: `validate(resource)` gives the issues, `check` refuses who has errors among them. `error_for(issues)`
is the refusal that they make, `complete(issues)` the answer to who asks for them. Two readers stand behind it: a fast one that only says yes, and an exact one that names every place.
This room must not know of requests, stores or principals.

https://hl7.org/fhir/R4/validation.html
"""

from fhirserver.validation.conformance import Allowance
from fhirserver.validation.validate import Validator, complete, error_for

__all__ = ["Allowance", "Validator", "complete", "error_for"]
