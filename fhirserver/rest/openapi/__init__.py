"""The description of the FHIR interface for people who come from REST: OpenAPI, and a page to read and try it.

Public: `description`, `pages`. It is made from the definitions and the table of routes, and holds no interaction of its own.

https://spec.openapis.org/oas/v3.0.3.html
"""
