"""How answers and bodies are represented: what was asked for, JSON and XML, searchsets and histories as Bundles, subsets.

See https://hl7.org/fhir/R4/http.html#mime-type.
"""
