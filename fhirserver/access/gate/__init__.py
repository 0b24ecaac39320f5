"""The gate: from a principal and an interaction to the Permit under which the store is asked.

`decide` has it. What it decides on it reads through `facts`; `reach` makes Expressions of what was decided.
"""
