"""Writing: create, update, patch and delete, also by criteria, and what each version passes through before it is stored.

https://hl7.org/fhir/R4/http.html
"""
