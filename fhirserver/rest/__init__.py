"""FHIR over HTTP.

Public: `Facade`, the ASGI application of `/fhir`, and `operate`, the rooms for running it (health, metrics, logs). One parser
reads addresses, one table maps (kind of address, method) to an interaction, and everything that is served comes from the
interactions: this room never touches the store. It must not know MongoDB, consents or search values.

https://hl7.org/fhir/R4/http.html
"""
