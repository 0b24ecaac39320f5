"""A query string read: its pairs, its criteria, its result parameters, into a `request.SearchRequest`.

`pairs` are what the client sent, `parse` and `across` read them for one type and for several, `criteria` and `filtering` make
Expressions of values, `result` and `includes` read what shapes the answer. See https://hl7.org/fhir/R4/search.html.
"""
