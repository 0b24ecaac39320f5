"""What a function is to the compiler, and the calls that are written for others.

https://hl7.org/fhirpath/N1/#functions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.language.syntax import (
    Call,
    Expression,
    Indexer,
    Member,
    Operation,
    Polarity,
    TypeName,
    TypeOperation,
    Union,
    Variable,
)
from fhirserver.fhirpath.runtime import Step, Truth
from fhirserver.fhirpath.values.nodes import Node, Nodes

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler
    from fhirserver.fhirpath.compiling.elements import Static
    from fhirserver.fhirpath.compiling.then import Then

Run = Callable[[Nodes, Sequence[Nodes], Environment], list[Node]]


@dataclass(frozen=True, slots=True)
class Selecting:
    """A function whose results go on: how many arguments it takes, and what makes its step."""

    arguments: range
    make: Callable[[Compiler, Call, Static, Then], Step | None]


@dataclass(frozen=True, slots=True)
class Judging:
    """A function that is true, false or neither."""

    arguments: range
    make: Callable[[Compiler, Call, Static], Truth]


@dataclass(frozen=True, slots=True)
class General:
    """A function of whole collections. `result` is the type of what it gives: empty if only values tell, None if it is
    that of what it is applied to."""

    arguments: range
    run: Run
    result: str | None = None


def subject(call: Call) -> Expression:
    """What the function is applied to."""
    return Variable("this", position=call.position) if call.target is None else call.target


def type_argument(argument: Expression) -> TypeName | None:
    """The type that an argument names; None if it is no name."""
    match argument:
        case Member(target=None, name=name):
            return TypeName(None, name, position=argument.position)
        case Member(target=Member(target=None, name=namespace), name=name):
            return TypeName(namespace, name, position=argument.position)
        case _:
            return None


def type_operation(call: Call, operator: Literal["is", "as"]) -> TypeOperation:
    """`x.is(T)` as `x is T`."""
    name = type_argument(call.arguments[0])
    assert name is not None  # noqa: S101 - the tree was checked
    return TypeOperation(operator, subject(call), name, position=call.position)


def extensions(call: Call) -> Call:
    """`extension.where(url = ...)`"""
    at = call.position
    every = Member(call.target, "extension", position=at)
    criteria = Operation("=", Member(None, "url", position=at), call.arguments[0], position=at)
    return Call(every, "where", (criteria,), position=at)


def mentions(tree: Expression, variable: str) -> bool:
    """Whether `$index` or `$total` stands somewhere in the expression."""
    match tree:
        case Variable(name=name):
            return name == variable
        case Member(target=target):
            return target is not None and mentions(target, variable)
        case Call(target=target, arguments=arguments):
            return any(mentions(part, variable) for part in (target, *arguments) if part is not None)
        case Indexer(target=target, index=index):
            return mentions(target, variable) or mentions(index, variable)
        case Operation(left=left, right=right):
            return mentions(left, variable) or mentions(right, variable)
        case Union(operands=operands):
            return any(mentions(part, variable) for part in operands)
        case Polarity(operand=operand) | TypeOperation(operand=operand):
            return mentions(operand, variable)
        case _:
            return False
