"""Functions that judge: existence, and what is true of all.

https://hl7.org/fhirpath/N1/#existence
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhirserver.fhirpath.compiling import operators
from fhirserver.fhirpath.compiling.elements import ANY, Static
from fhirserver.fhirpath.compiling.logic import negated
from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.functions.calls import Judging, extensions, mentions, subject, type_argument
from fhirserver.fhirpath.functions.each import each
from fhirserver.fhirpath.language.syntax import Call, Expression, Member
from fhirserver.fhirpath.runtime import Truth
from fhirserver.fhirpath.values.nodes import Node

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler


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
    name = type_argument(call.arguments[0])
    assert name is not None  # noqa: S101 - the tree was checked
    return operators.type_test(compiler, subject(call), name, focus)


def every(compiler: Compiler, call: Call, focus: Static) -> Truth:
    """`all(criteria)`"""
    collect, emit = compiler.collection(subject(call), focus)
    criteria_of = each(compiler, emit.types)
    criteria = compiler.truth(call.arguments[0], criteria_of.focus)
    counts = mentions(call.arguments[0], "index")

    def truth(value: object, environment: Environment) -> bool | None:
        nodes = collect(value, environment)
        environment.spend(len(nodes))
        before = environment.index
        for index, node in enumerate(nodes):
            if counts:
                environment.index = index
            if not criteria(criteria_of.value(node), environment):
                environment.index = before
                return False
        environment.index = before
        return True

    return operators.placed(compiler, call, truth)


def any_of(compiler: Compiler, tree: Expression, focus: Static) -> Truth:
    """Whether the expression has a result."""
    if compiler.reading.is_whole and isinstance(tree, Member) and tree.target is None:
        there = presence(compiler, tree, focus)
        if there is not None:
            return there
    collect, _ = compiler.collection(tree, focus)

    def truth(value: object, environment: Environment) -> bool | None:
        found: list[Node] = collect(value, environment)
        return bool(found)

    return truth


def presence(compiler: Compiler, tree: Member, focus: Static) -> Truth | None:
    """Whether an element of the focus is there: JSON has no empty ones, so its names tell. None if that cannot be told."""
    types = compiler.types
    if focus.is_any or tree.name[:1].isupper() or types.is_primitive(focus) or focus == ANY:
        return None
    child = types.child(focus, tree.name)
    if child is None:
        return None
    keys = [key for key, _ in child.alternatives]
    keys += ["_" + key for key, type in child.alternatives if types.is_primitive(type)]
    if len(keys) == 1:
        return lambda value, environment: keys[0] in value
    if len(keys) == 2:
        one, other = keys
        return lambda value, environment: one in value or other in value
    names = frozenset(keys)

    def truth(value: Any, environment: Environment) -> bool:
        return not names.isdisjoint(value)

    return truth


TABLE = {
    "exists": Judging(range(2), exists),
    "empty": Judging(range(1), empty),
    "not": Judging(range(1), negation),
    "is": Judging(range(1, 2), type_test),
    "all": Judging(range(1, 2), every),
    "hasExtension": Judging(range(1, 2), has_extension),
}
