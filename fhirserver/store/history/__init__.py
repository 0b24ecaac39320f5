"""The history of resources: their versions, the feed that gives the order, and the change stream of what follows.

https://hl7.org/fhir/R4/http.html#history
"""
