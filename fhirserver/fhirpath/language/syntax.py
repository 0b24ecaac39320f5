"""The tree of an expression. Positions do not count in comparisons: two trees that mean the same are equal.

https://hl7.org/fhirpath/N1/grammar.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal as Choice


@dataclass(frozen=True, slots=True)
class Syntax:
    """Any part of an expression, and where it starts."""

    position: int = field(compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Literal(Syntax):
    """A constant; `type` is the FHIR name of its type."""

    type: Choice["boolean", "string", "integer", "decimal", "date", "dateTime", "time"]
    value: bool | int | str | Decimal


@dataclass(frozen=True, slots=True)
class QuantityLiteral(Syntax):
    """`4 days` or `4 'mg'`; a calendar unit is kept as its word, without plural."""

    value: Decimal
    unit: str
    calendar: bool


@dataclass(frozen=True, slots=True)
class Empty(Syntax):
    """`{}`"""


@dataclass(frozen=True, slots=True)
class Variable(Syntax):
    """`$this`, `$index` or `$total`."""

    name: str


@dataclass(frozen=True, slots=True)
class External(Syntax):
    """`%resource`, `%context`, ..."""

    name: str


@dataclass(frozen=True, slots=True)
class Member(Syntax):
    """`target.name`; without a target, a name that is looked up in the focus."""

    target: Expression | None
    name: str


@dataclass(frozen=True, slots=True)
class Call(Syntax):
    """`target.name(arguments)`; without a target the function is applied to the focus."""

    target: Expression | None
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Indexer(Syntax):
    """`target[index]`"""

    target: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Polarity(Syntax):
    """`-x` or `+x`"""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Operation(Syntax):
    """An infix operator, types and unions apart."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Union(Syntax):
    """`a | b | c`, flat, for R4 has unions of thirty."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class TypeName(Syntax):
    """`Quantity`, `FHIR.Quantity`, `System.String`"""

    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class TypeOperation(Syntax):
    """`operand is Type`, `operand as Type`"""

    operator: Choice["is", "as"]
    operand: Expression
    type: TypeName


Expression = (
    Literal
    | QuantityLiteral
    | Empty
    | Variable
    | External
    | Member
    | Call
    | Indexer
    | Polarity
    | Operation
    | Union
    | TypeOperation
)
