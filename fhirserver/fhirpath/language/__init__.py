"""The language: text to tokens to a tree. It knows nothing of types, functions or values.

https://hl7.org/fhirpath/N1/grammar.html
"""
