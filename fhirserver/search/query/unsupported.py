"""What a query asks that this server does not do.

https://hl7.org/fhir/R4/search.html#errors
"""

from __future__ import annotations

from fhirserver.model.outcome import BadRequest


class Unsupported(Exception):
    """Refused, or with lenient handling ignored. Its text is for the client."""


class UnsupportedAlways(Unsupported):
    """Refused with lenient handling too, as R4 has it of modifiers and named queries: what is left of the query means something else."""


class Refused(BadRequest):
    """The refusal of what is never ignored."""
