"""Values: what FHIRPath's own types can do, apart from any expression.

Nodes and their kinds, equality, ordering, arithmetic, conversion, dates, quantities and their units. Nothing here knows of
trees, compilers or definitions.
"""
