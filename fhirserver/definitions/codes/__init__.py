"""Codes: value sets and code systems as R4 has them, those that a grammar or a standard's list knows, and identifier systems.

https://hl7.org/fhir/R4/terminologies.html
"""
