"""What is stored of a resource so that it can be searched for: the derived fields `index` and `sort`.

https://hl7.org/fhir/R4/searchparameter.html
"""
