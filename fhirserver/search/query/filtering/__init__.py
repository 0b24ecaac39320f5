"""`_filter`: a condition in the language of its own that R4 has for it, read into the same Expression as any other search.

https://hl7.org/fhir/R4/search_filter.html
"""

from fhirserver.search.query.filtering.compiling import filtered

__all__ = ["filtered"]
