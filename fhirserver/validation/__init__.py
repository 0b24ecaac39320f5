"""Validation: a resource and the definitions give a list of issues.

`Validator(definitions).validate(resource)` is the one door, `error_for(issues)` the refusal that they make. Two readers
stand behind it: a fast one that only says yes, and an exact one that names every place. This room must not know of
requests, stores or principals.
"""

from fhirserver.validation.validate import Check, Validator, error_for

__all__ = ["Check", "Validator", "error_for"]
