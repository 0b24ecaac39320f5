"""Functions that select: filtering, projection, and what runs an inner expression for each item.

https://hl7.org/fhirpath/N1/#filtering-and-projection
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from fhirserver.fhirpath import runtime
from fhirserver.fhirpath.compiling import operators
from fhirserver.fhirpath.compiling.elements import ANY, NOTHING, Static
from fhirserver.fhirpath.environment import Environment, extent
from fhirserver.fhirpath.functions.calls import Selecting, extensions, mentions, subject, type_argument, type_operation
from fhirserver.fhirpath.functions.each import each
from fhirserver.fhirpath.language.syntax import Call, Expression, Polarity
from fhirserver.fhirpath.runtime import Step
from fhirserver.fhirpath.values.equality import contains
from fhirserver.fhirpath.values.nodes import Node, single, text
from fhirserver.fhirpath.values.ordering import compared

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler
    from fhirserver.fhirpath.compiling.then import Then


def where(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`where(criteria)`"""

    def filtered(type: Static) -> Step | None:
        step = then(type)
        if step is None:
            return None
        # What criteria look at of the focus itself is not told.
        compiler.always |= type.is_focus
        with compiler.apart():
            criteria = compiler.truth(call.arguments[0], type.inner())
        found = runtime.where(criteria, step)
        return runtime.counted(found) if compiler.reading.is_whole else found

    return over(compiler, call, focus, filtered)


def select(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`select(projection)`"""

    def projected(type: Static) -> Step | None:
        compiler.always |= type.is_focus
        step = compiler.into(call.arguments[0], type.inner(), then)
        return runtime.counted(step) if step is not None and compiler.reading.is_whole else step

    return over(compiler, call, focus, projected)


def over(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """From each item of the subject on; counted, if the argument asks for `$index`."""
    if not mentions(call.arguments[0], "index"):
        return compiler.into(subject(call), focus, then)
    collect, emit = compiler.collection(subject(call), focus)
    inner = each(compiler, emit.types)
    step = then(inner.focus)
    if step is None:
        return None

    def steps(value: Any, environment: Environment, out: list[Node]) -> None:
        before = environment.index
        for index, node in enumerate(collect(value, environment)):
            environment.index = index
            step(inner.value(node), environment, out)
        environment.index = before

    return steps


def of_type(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`ofType(T)`"""
    name = type_argument(call.arguments[0])
    assert name is not None  # noqa: S101 - the tree was checked
    return compiler.of_type(subject(call), name, focus, then)


def cast(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`as(T)`, which R4 applies to collections as well."""
    return compiler.into(type_operation(call, "as"), focus, then)


def first(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`first()`"""
    return compiler.subset(subject(call), focus, then, lambda nodes: nodes[:1])


def last(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`last()`"""
    return compiler.subset(subject(call), focus, then, lambda nodes: nodes[-1:])


def tail(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`tail()`"""
    return compiler.subset(subject(call), focus, then, lambda nodes: nodes[1:])


def extension(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`extension(url)`"""
    return compiler.into(extensions(call), focus, then)


def repeat(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`repeat(projection)`: what the projection finds, and again of that, each once."""
    collect, _ = compiler.collection(subject(call), focus)
    project, _ = compiler.collection(call.arguments[0], ANY)

    def everything(value: Any, environment: Environment) -> list[Node]:
        found: list[Node] = []
        queue = collect(value, environment)
        while queue:
            fresh = []
            for node in queue:
                for item in project(node, environment):
                    environment.spend(1 + len(found) + extent((item,)))
                    if not contains(found, item):
                        found.append(item)
                        fresh.append(item)
            environment.spend(len(queue))
            queue = fresh
        return found

    return compiler.computed(operators.placed(compiler, call, everything), then)


def aggregate(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`aggregate(expression, initial)`"""
    collect, emit = compiler.collection(subject(call), focus)
    inner = each(compiler, emit.types)
    expression, _ = compiler.collection(call.arguments[0], inner.focus)
    start, _ = compiler.collection(call.arguments[1], focus) if len(call.arguments) > 1 else (_nothing, None)

    def total(value: Any, environment: Environment) -> list[Node]:
        before = environment.total, environment.index
        found = start(value, environment)
        for index, node in enumerate(collect(value, environment)):
            environment.total, environment.index = found, index
            found = expression(inner.value(node), environment)
            environment.spend(1 + len(found))
        environment.total, environment.index = before
        return found

    return compiler.computed(operators.placed(compiler, call, total), then)


def _nothing(value: Any, environment: Environment) -> list[Node]:
    return []


def iif(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`iif(condition, result, otherwise)`: only the chosen result is evaluated."""
    if call.target is None:
        choose = _choice(compiler, call, focus)
        return compiler.computed(operators.placed(compiler, call, choose), then)
    collect, emit = compiler.collection(call.target, focus)
    inner = each(compiler, emit.types)
    of_one, of_none = _choice(compiler, call, inner.focus), _choice(compiler, call, NOTHING)

    def chosen(value: Any, environment: Environment) -> list[Node]:
        node = single(collect(value, environment), "iif()")
        return of_none(None, environment) if node is None else of_one(inner.value(node), environment)

    return compiler.computed(operators.placed(compiler, call, chosen), then)


def _choice(compiler: Compiler, call: Call, focus: Static) -> runtime.Collection:
    condition = compiler.truth(call.arguments[0], focus)
    result, _ = compiler.collection(call.arguments[1], focus)
    otherwise, _ = compiler.collection(call.arguments[2], focus) if len(call.arguments) > 2 else (_nothing, None)
    return lambda value, environment: (result if condition(value, environment) else otherwise)(value, environment)


def sort(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`sort()`, `sort(key, -key)`: ascending, or descending where the key is negated; what has no key comes first.

    Not of N1 but of its later releases.
    """
    collect, emit = compiler.collection(subject(call), focus)
    inner = each(compiler, emit.types)
    keys = [(_key(compiler, argument, inner.focus), isinstance(argument, Polarity)) for argument in call.arguments]

    directions = [descends for _, descends in keys] or [False]

    def order(one: list[list[Node]], other: list[list[Node]]) -> int:
        for descends, left, right in zip(directions, one, other, strict=True):
            found = _order(left, right)
            if found:
                return -found if descends else found
        return 0

    def ordered(value: Any, environment: Environment) -> list[Node]:
        nodes = collect(value, environment)
        environment.spend(len(nodes) * max(len(nodes).bit_length(), 1))
        rows = [
            ([key(inner.value(node), environment) for key, _ in keys] if keys else [[node]], node) for node in nodes
        ]
        by = cmp_to_key(order)
        return [node for _, node in sorted(rows, key=lambda row: by(row[0]))]

    return compiler.onward(operators.placed(compiler, call, ordered), emit.types, then)


def _key(compiler: Compiler, argument: Expression, focus: Static) -> runtime.Collection:
    tree = argument.operand if isinstance(argument, Polarity) else argument
    return compiler.collection(tree, focus)[0]


def _order(left: list[Node], right: list[Node]) -> int:
    one, other = single(left, "A key of sort()"), single(right, "A key of sort()")
    if one is None or other is None:
        return (one is not None) - (other is not None)
    return compared(one, other) or 0


def trace(compiler: Compiler, call: Call, focus: Static, then: Then) -> Step | None:
    """`trace(name, projection)`: the items as they are; the caller may look at them, or at the projection of each."""
    collect, emit = compiler.collection(subject(call), focus)
    name, _ = compiler.collection(call.arguments[0], focus)
    inner = each(compiler, emit.types)
    project = compiler.collection(call.arguments[1], inner.focus)[0] if len(call.arguments) > 1 else None

    def traced(value: Any, environment: Environment) -> list[Node]:
        nodes = collect(value, environment)
        if environment.host.trace is not None:
            shown = nodes
            if project is not None:
                shown = [found for node in nodes for found in project(inner.value(node), environment)]
            environment.host.trace(text(name(value, environment), "trace()") or "", shown)
        return nodes

    return compiler.onward(operators.placed(compiler, call, traced), emit.types, then)


TABLE = {
    "where": Selecting(range(1, 2), where),
    "select": Selecting(range(1, 2), select),
    "ofType": Selecting(range(1, 2), of_type),
    "as": Selecting(range(1, 2), cast),
    "first": Selecting(range(1), first),
    "last": Selecting(range(1), last),
    "tail": Selecting(range(1), tail),
    "extension": Selecting(range(1, 2), extension),
    "repeat": Selecting(range(1, 2), repeat),
    "aggregate": Selecting(range(1, 3), aggregate),
    "iif": Selecting(range(2, 4), iif),
    "sort": Selecting(range(9), sort),
    "trace": Selecting(range(1, 3), trace),
}
