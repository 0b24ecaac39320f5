"""Operators: conditions, comparisons, membership and arithmetic, as closures.

https://hl7.org/fhirpath/N1/#operations
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fhirserver.fhirpath.compiling.logic import INFIX
from fhirserver.fhirpath.compiling.references import refers_to
from fhirserver.fhirpath.environment import Environment, extent, weight
from fhirserver.fhirpath.errors import FhirPathError, Misuse
from fhirserver.fhirpath.functions import JUDGING, Run
from fhirserver.fhirpath.functions.calls import subject
from fhirserver.fhirpath.language.syntax import (
    Call,
    Expression,
    Indexer,
    Literal,
    Operation,
    Polarity,
    Syntax,
    TypeName,
    TypeOperation,
    Union,
)
from fhirserver.fhirpath.runtime import Collection, Truth
from fhirserver.fhirpath.values.arithmetic import ARITHMETIC, negative, positive
from fhirserver.fhirpath.values.equality import contains, equal, equivalent
from fhirserver.fhirpath.values.nodes import KINDS, Kind, Node, integer, plain, single, truth_of
from fhirserver.fhirpath.values.ordering import ORDERS, order

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler
    from fhirserver.fhirpath.compiling.elements import Static

Found = TypeVar("Found")
LITERALS = {
    "boolean": "System.Boolean", "string": "System.String", "integer": "System.Integer", "decimal": "System.Decimal",
    "date": "System.Date", "dateTime": "System.DateTime", "time": "System.Time",
}  # fmt: skip
REFERENCES = frozenset({"Reference", "canonical", "uri", "url"})


def literal(tree: Literal) -> Node:
    """A constant as a node."""
    value = tree.value
    if tree.type == "dateTime":
        value = str(value).removesuffix("T")
    elif tree.type == "time":
        value = str(value).removeprefix("T")
    return LITERALS[tree.type], value


def truth(compiler: Compiler, tree: Expression, focus: Static) -> Truth:
    """The expression as a condition: true, false, or None for neither."""
    match tree:
        case Operation(operator="=" | "!="):
            return equality(compiler, tree, focus)
        case Operation() if tree.operator in INFIX:
            return INFIX[tree.operator](compiler.truth(tree.left, focus), compiler.truth(tree.right, focus))
        case Operation(operator="~" | "!~" | "in" | "contains" | "<" | "<=" | ">" | ">="):
            return related(compiler, tree, focus)
        case TypeOperation(operator="is"):
            return type_test(compiler, tree.operand, tree.type, focus)
        case Call() if tree.name in JUDGING:
            return JUDGING[tree.name].make(compiler, tree, focus)
    collect, _ = compiler.collection(tree, focus)
    if compiler.reading.is_whole:
        return placed(compiler, tree, lambda value, environment: truth_of(collect(value, environment)))

    def truth(value: object, environment: Environment) -> bool | None:
        nodes = collect(value, environment)
        if len(nodes) != 1:
            return None
        type, item = nodes[0]
        return item if KINDS.get(type) is Kind.BOOLEAN else True

    return truth


def placed(
    compiler: Compiler, at: Syntax, found: Callable[[Any, Environment], Found]
) -> Callable[[Any, Environment], Found]:
    """The condition or collection, which says where in the expression a misuse stands."""
    position, expression = at.position, compiler.expression

    def careful(value: object, environment: Environment) -> Found:
        try:
            return found(value, environment)
        except Misuse as misuse:
            raise FhirPathError(str(misuse), position, expression) from None

    return careful


def equality(compiler: Compiler, tree: Operation, focus: Static) -> Truth:
    """`=` and `!=`"""
    left, _ = compiler.collection(tree.left, focus)
    wanted = tree.operator == "="
    match tree.right:
        case Literal(type="string", value=str() as text):
            return _equals_text(left, text, wanted)
    right, _ = compiler.collection(tree.right, focus)

    def truth(value: object, environment: Environment) -> bool | None:
        nodes, others = left(value, environment), right(value, environment)
        if len(nodes) == len(others):
            environment.spend(extent(nodes))
        result = equal(nodes, others)
        return None if result is None else result is wanted

    return placed(compiler, tree, truth)


def _equals_text(left: Collection, text: str, wanted: bool) -> Truth:
    """The commonest of conditions: `code = 'x'`."""
    constant: list[Node] = [("System.String", text)]

    def truth(value: object, environment: Environment) -> bool | None:
        nodes = left(value, environment)
        if len(nodes) == 1:
            type, item = nodes[0]
            if item.__class__ is str and KINDS.get(type) is Kind.STRING:
                return (item == text) is wanted
        result = equal(nodes, constant)
        return None if result is None else result is wanted

    return truth


def related(compiler: Compiler, tree: Operation, focus: Static) -> Truth:
    """Equivalence, membership and order."""
    left, _ = compiler.collection(tree.left, focus)
    if tree.operator == "in" and (texts := _texts(tree.right)) is not None:
        return placed(compiler, tree, _in_texts(left, texts))
    right, _ = compiler.collection(tree.right, focus)
    if tree.operator in ("~", "!~"):
        wanted = tree.operator == "~"

        def alike(value: object, environment: Environment) -> bool | None:
            nodes, others = left(value, environment), right(value, environment)
            if len(nodes) == len(others):
                environment.spend(len(nodes) * (extent(nodes, each_with_each=True) + len(nodes)))
            return equivalent(nodes, others) is wanted

        return placed(compiler, tree, alike)
    if tree.operator == "in":
        return placed(compiler, tree, _within(left, right))
    if tree.operator == "contains":
        return placed(compiler, tree, _within(right, left))
    judge = ORDERS[tree.operator]

    def truth(value: object, environment: Environment) -> bool | None:
        nodes = left(value, environment)
        environment.spend(weight(nodes))
        found = order(nodes, right(value, environment))
        return None if found is None else judge(found)

    return placed(compiler, tree, truth)


def _within(item: Collection, items: Collection) -> Truth:
    """`in`: whether the single item is among the items."""

    def truth(value: object, environment: Environment) -> bool | None:
        node = single(item(value, environment), "Membership")
        if node is None:
            return None
        nodes = items(value, environment)
        environment.spend(len(nodes))
        return contains(nodes, node)

    return truth


def _texts(tree: Expression) -> frozenset[str] | None:
    """The texts of a union that has only texts."""
    if not isinstance(tree, Union):
        return None
    found = [part.value for part in tree.operands if isinstance(part, Literal) and isinstance(part.value, str)]
    literal = all(isinstance(part, Literal) and part.type == "string" for part in tree.operands)
    return frozenset(found) if literal else None


def _in_texts(item: Collection, texts: frozenset[str]) -> Truth:
    def truth(value: object, environment: Environment) -> bool | None:
        node = single(item(value, environment), "Membership")
        if node is None:
            return None
        return KINDS.get(node[0]) is Kind.STRING and plain(node[1]) in texts

    return truth


def type_test(compiler: Compiler, operand: Expression, type: TypeName, focus: Static) -> Truth:
    """`is`, also of what a reference resolves to."""
    test = compiler.test(type)
    if isinstance(operand, Call) and operand.name == "resolve":
        return resolved_type_test(compiler, operand, focus, test.resource_types())
    collect, _ = compiler.collection(operand, focus)
    if compiler.reading.is_whole:

        def strict(value: object, environment: Environment) -> bool | None:
            node = single(collect(value, environment), "'is'")
            return None if node is None else test[node[0]]

        return placed(compiler, operand, strict)

    def truth(value: object, environment: Environment) -> bool | None:
        nodes = collect(value, environment)
        return test[nodes[0][0]] if len(nodes) == 1 else None

    return truth


def resolved_type_test(compiler: Compiler, call: Call, focus: Static, wanted: frozenset[str]) -> Truth:
    """`resolve() is T`: nothing is fetched, the reference tells its target's type."""
    test = refers_to(wanted)
    if call.target is None and not focus.is_any:
        if not compiler.is_running and focus.code not in REFERENCES:
            raise compiler.error("What is resolved here is not a reference.", call)
        return test
    collect, emit = compiler.collection(subject(call), focus)
    types = {name.partition(":")[0] for name in emit.types}
    if types and "" not in types and not compiler.is_running and types.isdisjoint(REFERENCES):
        raise compiler.error("What is resolved here is not a reference.", call)

    def truth(value: object, environment: Environment) -> bool | None:
        nodes = collect(value, environment)
        return test(nodes[0][1], environment) if len(nodes) == 1 else None

    return truth


# Collections


def arithmetic(compiler: Compiler, tree: Operation, focus: Static) -> Collection:
    """`+ - * / div mod &`"""
    apply = ARITHMETIC[tree.operator]
    left, _ = compiler.collection(tree.left, focus)
    right, _ = compiler.collection(tree.right, focus)

    def collect(value: object, environment: Environment) -> list[Node]:
        found = apply(left(value, environment), right(value, environment))
        environment.spend(weight(found))
        return found

    return placed(compiler, tree, collect)


def polarity(compiler: Compiler, tree: Polarity, focus: Static) -> Collection:
    """`-x` and `+x`"""
    apply = negative if tree.operator == "-" else positive
    operand, _ = compiler.collection(tree.operand, focus)
    return placed(compiler, tree, lambda value, environment: apply(operand(value, environment)))


def indexed(compiler: Compiler, tree: Indexer, focus: Static, collect: Collection) -> Collection:
    """`target[index]` with an index that is computed."""
    position, _ = compiler.collection(tree.index, focus)

    def at(value: object, environment: Environment) -> list[Node]:
        index = integer(position(value, environment), "An index")
        return [] if index is None or index < 0 else collect(value, environment)[index : index + 1]

    return placed(compiler, tree, at)


def at_most_one(compiler: Compiler, at: Syntax) -> Callable[[list[Node]], list[Node]]:
    """Insists on a single item."""

    def check(nodes: list[Node]) -> list[Node]:
        if len(nodes) > 1:
            raise compiler.error(f"'as' needs a single item, not {len(nodes)}; ofType() takes many.", at)
        return nodes

    return check


def applied(
    compiler: Compiler, at: Syntax, run: Run, target: Collection, arguments: Sequence[Collection]
) -> Collection:
    """A function of collections."""

    def collect(value: Any, environment: Environment) -> list[Node]:
        nodes = target(value, environment)
        found = run(nodes, [argument(value, environment) for argument in arguments], environment)
        environment.spend(1 + len(nodes) + weight(nodes) + len(found) + weight(found))
        return found

    return placed(compiler, at, collect)
