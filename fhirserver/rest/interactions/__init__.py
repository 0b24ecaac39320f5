"""The interactions over HTTP: one file each, from a Request to an Answer. See https://hl7.org/fhir/R4/http.html."""
