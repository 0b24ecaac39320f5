"""What can be told of an expression before it is compiled for any type: that its functions, types and dates exist.

https://hl7.org/fhirpath/N1/#functions
"""

from __future__ import annotations

from fhirserver.fhirpath.compiling.elements import TypeSystem
from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.functions import arity
from fhirserver.fhirpath.functions.calls import type_argument
from fhirserver.fhirpath.language.syntax import (
    Call,
    Expression,
    Indexer,
    Literal,
    Member,
    Operation,
    Polarity,
    Syntax,
    TypeName,
    TypeOperation,
    Union,
)
from fhirserver.fhirpath.values.dates import clock, span

TAKE_A_TYPE = frozenset({"as", "is", "ofType"})


class Check:
    """Checks one expression."""

    def __init__(self, expression: str, types: TypeSystem) -> None:
        self.expression = expression
        self.types = types

    def error(self, message: str, at: Syntax) -> FhirPathError:
        """What is wrong, and where in the expression."""
        return FhirPathError(message, at.position, self.expression)

    def check(self, tree: Expression) -> None:
        """Raises FhirPathError at what is no function, type or day at all."""
        match tree:
            case Literal(type="date" | "dateTime" | "time" as type, value=str() as text):
                if (clock(text) if type == "time" else span(text)) is None:
                    raise self.error(f"@{text} is not in the calendar or on the clock.", tree)
            case Member():
                self.member(tree)
            case Call():
                self.call(tree)
            case Indexer(target=left, index=right) | Operation(left=left, right=right):
                self.check(left)
                self.check(right)
            case Union():
                for operand in tree.operands:
                    self.check(operand)
            case TypeOperation():
                self.type_name(tree.type)
                self.check(tree.operand)
            case Polarity():
                self.check(tree.operand)

    def member(self, tree: Member) -> None:
        """An element, whose name alone says nothing; a type at the root is one that there is."""
        if tree.target is not None:
            self.check(tree.target)
        elif tree.name[:1].isupper() and tree.name not in self.types.definitions.structures:
            raise self.error(f"'{tree.name}' is not a type.", tree)

    def call(self, tree: Call) -> None:
        """A function that there is, with as many arguments as it takes."""
        taken = arity(tree)
        if taken is None:
            raise self.error(f"There is no function {tree.name}().", tree)
        if len(tree.arguments) not in taken:
            raise self.error(f"The function {tree.name}() does not take {len(tree.arguments)} arguments.", tree)
        if tree.target is not None:
            self.check(tree.target)
        if tree.name in TAKE_A_TYPE:
            name = type_argument(tree.arguments[0])
            if name is None:
                raise self.error("A type is expected here.", tree.arguments[0])
            self.type_name(name)
            return
        for part in tree.arguments:
            self.check(part)

    def type_name(self, name: TypeName) -> None:
        """A type that there is."""
        if self.types.test(name, is_loose=False) is None:
            raise self.error(f"'{name.name}' is not a type.", name)
