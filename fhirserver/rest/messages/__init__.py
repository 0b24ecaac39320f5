"""The messages of HTTP: requests with their parameters and preconditions, and responses, refusals among them.

https://hl7.org/fhir/R4/http.html#summary
"""
