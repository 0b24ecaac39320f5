"""The security facts of a resource, taken from it when it is written: whose it is, its class, its labels, what a Consent says.

Reviewed tables and functions of the resource alone: nothing is read here.
"""
