"""Batches and transactions: Bundles of requests, read into entries and answered entry by entry.

Public: `door`, what handles `POST [base]`, made from the routes that entries may take. The order of a transaction, its links and that it
is all or nothing belong to the interactions; here is what an entry has of HTTP.

https://hl7.org/fhir/R4/http.html#transaction
"""

from fhirserver.rest.interactions.bundles.door import door

__all__ = ["door"]
