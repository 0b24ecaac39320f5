"""A FHIR R4 server on MongoDB in which the patient's Consent is part of every database query."""

__version__ = "0.1.0"
