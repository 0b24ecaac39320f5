"""What can be wrong with an expression, and where.

https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations


class FhirPathError(ValueError):
    """An expression that cannot be read or compiled; `position` counts characters from its start."""

    def __init__(self, message: str, position: int, expression: str) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.message = message
        self.position = position
        self.expression = expression


class Misuse(Exception):
    """What a function or an operator cannot do with its operands; where it stands is added by who called it."""
