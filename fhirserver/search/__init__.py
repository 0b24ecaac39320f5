"""Search: a query string to an Expression, and an Expression to a MongoDB filter or to an answer in memory.

`query.parse.parse_search` reads a query into a `request.SearchRequest`; `compartment.in_compartment` puts it within a compartment.
`index.extract.Extractor` says what is stored of a resource. `expression` has the nodes, `compile.compile` and `match.match` are their two
interpreters, `permit.Permit` is what the gate makes of them. `registry.registry` and `parameters.TYPES` are what is promised.

This room must not know of stores, of requests over HTTP, or of who asks.

https://hl7.org/fhir/R4/search.html
"""
