"""The functions, as tables: those that select, and those that judge.

https://hl7.org/fhirpath/N1/#functions and https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fhirserver.fhirpath import runtime
from fhirserver.fhirpath.elements import Static
from fhirserver.fhirpath.logic import negated
from fhirserver.fhirpath.runtime import Environment, Node, Step, Truth
from fhirserver.fhirpath.syntax import Call, Expression, Member, Operation, TypeName, TypeOperation, Variable

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiler import Compiler, Then


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


def subject(call: Call) -> Expression:
    """What the function is applied to."""
    return Variable("this", position=call.position) if call.target is None else call.target


def where(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`where(criteria)`"""

    def filtered(type: Static) -> Step | None:
        step = then(type)
        if step is None:
            return None
        with compiler.apart():
            return runtime.where(compiler.truth(call.arguments[0], type.inner()), step)

    return compiler.into(subject(call), focus, filtered)


def of_type(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`ofType(T)`, and `as(T)`, which R4 applies to collections as well."""
    return compiler.into(type_operation(call, "as"), focus, then)


def first(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`first()`"""
    return compiler.subset(subject(call), focus, then, lambda nodes: nodes[:1])


def last(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`last()`"""
    return compiler.subset(subject(call), focus, then, lambda nodes: nodes[-1:])


def extension(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`extension(url)`"""
    return compiler.into(extensions(call), focus, then)


def exists(compiler: Compiler, call: Call, focus: Static) -> Truth:
    """`exists()`, `exists(criteria)`"""
    tree = Call(call.target, "where", call.arguments, position=call.position) if call.arguments else subject(call)
    return any_of(compiler, tree, focus)


def has_extension(compiler: Compiler, call: Call, focus: Static) -> Truth:
    """`hasExtension(url)`, which R4 uses without defining it"""
    return any_of(compiler, extensions(call), focus)


def empty(compiler: Compiler, call: Call, focus: Static) -> Truth:
    """`empty()`"""
    return negated(any_of(compiler, subject(call), focus))


def negation(compiler: Compiler, call: Call, focus: Static) -> Truth:
    """`not()`"""
    return negated(compiler.truth(subject(call), focus))


def type_test(compiler: Compiler, call: Call, focus: Static) -> Truth:
    """`is(T)`"""
    return compiler.truth(type_operation(call, "is"), focus)


def any_of(compiler: Compiler, tree: Expression, focus: Static) -> Truth:
    """Whether the expression has a result."""
    collect, _ = compiler.collection(tree, focus)

    def truth(value: object, environment: Environment) -> bool | None:
        found: list[Node] = collect(value, environment)
        return bool(found)

    return truth


def extensions(call: Call) -> Call:
    """`extension.where(url = ...)`"""
    at = call.position
    every = Member(call.target, "extension", position=at)
    criteria = Operation("=", Member(None, "url", position=at), call.arguments[0], position=at)
    return Call(every, "where", (criteria,), position=at)


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


SELECTING: Mapping[str, Selecting] = {
    "where": Selecting(range(1, 2), where),
    "ofType": Selecting(range(1, 2), of_type),
    "as": Selecting(range(1, 2), of_type),
    "first": Selecting(range(1), first),
    "last": Selecting(range(1), last),
    "extension": Selecting(range(1, 2), extension),
}
JUDGING: Mapping[str, Judging] = {
    "exists": Judging(range(2), exists),
    "empty": Judging(range(1), empty),
    "not": Judging(range(1), negation),
    "is": Judging(range(1, 2), type_test),
    "hasExtension": Judging(range(1, 2), has_extension),
}
