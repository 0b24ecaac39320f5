"""Which part of FHIRPath is compiled: the tree is checked as a whole, whatever type it is compiled for.

https://hl7.org/fhirpath/N1/#functions
"""

from __future__ import annotations

from collections.abc import Container

from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.functions import JUDGING, SELECTING, type_argument
from fhirserver.fhirpath.logic import INFIX
from fhirserver.fhirpath.syntax import (
    Call,
    Expression,
    External,
    Indexer,
    Literal,
    Member,
    Operation,
    Syntax,
    TypeName,
    TypeOperation,
    Union,
    Variable,
)

OPERATORS = frozenset({"=", "!=", *INFIX})
NAMESPACES = (None, "FHIR", "System")
TAKE_A_TYPE = frozenset({"as", "is", "ofType"})


class Support:
    """Checks one expression."""

    def __init__(self, expression: str, type_names: Container[str], structures: Container[str]) -> None:
        self.expression = expression
        self.type_names = type_names
        self.structures = structures

    def error(self, message: str, at: Syntax) -> FhirPathError:
        return FhirPathError(message, at.position, self.expression)

    def check(self, tree: Expression) -> None:
        """Raises FhirPathError at what is not supported, or is no function or type at all."""
        match tree:
            case Literal() | Variable(name="this") | External(name="resource"):
                pass
            case Member():
                self.member(tree)
            case Call():
                self.call(tree)
            case Indexer(index=Literal(type="integer")):
                self.check(tree.target)
            case Union():
                for operand in tree.operands:
                    self.check(operand)
            case TypeOperation():
                self.type_name(tree.type)
                self.operand_of_type(tree.operand, tree.operator)
            case Operation() if tree.operator in OPERATORS:
                self.check(tree.left)
                self.check(tree.right)
            case Operation():
                raise self.error(f"The operator '{tree.operator}' is not supported here.", tree)
            case _:
                raise self.error(f"This part of FHIRPath is not supported here: {type(tree).__name__}.", tree)

    def member(self, tree: Member) -> None:
        if tree.target is not None:
            self.check(tree.target)
        elif tree.name[:1].isupper() and tree.name not in self.structures:
            raise self.error(f"'{tree.name}' is not a type.", tree)

    def call(self, tree: Call) -> None:
        function = SELECTING.get(tree.name) or JUDGING.get(tree.name)
        if tree.name == "resolve":
            raise self.error("resolve() is only supported to ask for a type: resolve() is Patient.", tree)
        if function is None:
            raise self.error(f"The function {tree.name}() is not supported here.", tree)
        if len(tree.arguments) not in function.arguments:
            raise self.error(f"The function {tree.name}() does not take {len(tree.arguments)} arguments.", tree)
        if tree.name in TAKE_A_TYPE:
            name = type_argument(tree.arguments[0])
            if name is None:
                raise self.error("A type is expected here.", tree.arguments[0])
            self.type_name(name)
            if tree.target is not None:
                self.operand_of_type(tree.target, tree.name)
            return
        for part in (tree.target, *tree.arguments):
            if part is not None:
                self.check(part)

    def operand_of_type(self, tree: Expression, operator: str) -> None:
        if operator == "is" and isinstance(tree, Call) and tree.name == "resolve" and not tree.arguments:
            if tree.target is not None:
                self.check(tree.target)
        else:
            self.check(tree)

    def type_name(self, name: TypeName) -> None:
        if name.name not in self.type_names or name.namespace not in NAMESPACES:
            raise self.error(f"'{name.name}' is not a type.", name)
