"""Conformance: terminology and profiles, of which a write is not refused; asked by `$validate` and the command line.

`Conformance(shapes).issues(resource, knowledge)` is the door. `Knowledge` is what the caller lends: this room reads neither
terminology nor stored profiles.
"""

from fhirserver.validation.conformance.conform import Conformance
from fhirserver.validation.conformance.knowledge import Code, Knowledge, Nothing
from fhirserver.validation.conformance.session import Allowance

__all__ = ["Allowance", "Code", "Conformance", "Knowledge", "Nothing"]
