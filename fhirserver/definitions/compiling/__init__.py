"""Compiling: from HL7's package to the tables of the compiled file.

Structure, codes and expressions are taken; descriptive text is left where it is. Nothing here is needed to serve.
"""
