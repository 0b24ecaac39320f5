"""What a query asks that this server does not do.

https://hl7.org/fhir/R4/search.html#errors
"""

from __future__ import annotations


class Unsupported(Exception):
    """Refused, or with lenient handling ignored. Its text is for the client."""
