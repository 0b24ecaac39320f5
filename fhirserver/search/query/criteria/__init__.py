"""One criterion of a search, by its name and value: a parameter of the type itself, a chain, a reverse chain, or a list.

https://hl7.org/fhir/R4/search.html
"""

from fhirserver.search.query.criteria.reader import Reader

__all__ = ["Reader"]
