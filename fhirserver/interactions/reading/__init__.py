"""Reading: the interactions that change nothing. read, vread, the histories, and the searches.

https://hl7.org/fhir/R4/http.html
"""
