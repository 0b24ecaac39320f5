"""A tree to closures, specialised by what the definitions say of each step.

An expression is compiled for a focus of known type and for what comes *then*: a function from the type of a result to the
step that takes it, or to None where nothing comes of that type. So a choice element becomes the JSON names that can
still matter, `as` costs nothing, and a path that another type's expression would take vanishes.

Values are JSON values. A primitive's `id` and `extension` are reached through its `_name` sibling; contained resources are
not entered unless the expression does so.

https://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from fhirserver.fhirpath import runtime
from fhirserver.fhirpath.elements import Child, Static, TypeSystem
from fhirserver.fhirpath.equality import distinct, equal
from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.functions import JUDGING, SELECTING
from fhirserver.fhirpath.logic import INFIX
from fhirserver.fhirpath.references import refers_to
from fhirserver.fhirpath.runtime import Collection, Node, Step, Truth
from fhirserver.fhirpath.syntax import (
    Call,
    Expression,
    External,
    Indexer,
    Literal,
    Member,
    Operation,
    Syntax,
    TypeOperation,
    Union,
    Variable,
)

Then = Callable[[Static], Step | None]

BOOLEAN = Static("boolean")
REFERENCES = frozenset({"Reference", "canonical", "uri", "url"})


class Emit:
    """The last of the `then`s: results go to the list of results. It remembers their types."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self.types: dict[str, None] = {}

    def __call__(self, type: Static) -> Step | None:
        self.compiler.always |= type.is_focus
        self.types[type.name] = None
        step = runtime.emit(type.name)
        self.compiler.emitting.add(step)
        return step


@dataclass
class Into:
    """Then the element `name` of it; remembers whether any type was asked and had it."""

    compiler: Compiler
    name: str
    then: Then
    asked: bool = False
    found: bool = False

    def __call__(self, type: Static) -> Step | None:
        self.asked = True
        child = self.compiler.types.child(type, self.name)
        if child is None or self.compiler.types.is_primitive(type):
            return None
        self.found = True
        return self.compiler.child(child, type, self.then)


class Direct(NamedTuple):
    """A result that is an element of the focus, without more."""

    key: str
    type: str
    is_list: bool


class Steps(dict[str, Step | None]):
    """The step for each type of value; of what only values tell, it is made when a value has told."""

    def __init__(self, compiler: Compiler, then: Then) -> None:
        super().__init__()
        self.compiler = compiler
        self.then = then

    def __missing__(self, type: str) -> Step | None:
        self.compiler.is_running = True
        step = self[type] = self.then(Static(type))
        return step


class Compiler:
    """Compiles one expression; afterwards knows which elements of the focus it can start from."""

    def __init__(self, types: TypeSystem, expression: str, focus: Static) -> None:
        self.types = types
        self.expression = expression
        self.focus = focus
        self.keys: set[str] = set()
        """The JSON names of the focus of which one must be there for a result ..."""
        self.always = False
        """... unless this is set."""
        self.is_running = False
        """Whether types come from values now, where an unknown element is no mistake of the expression's."""
        self.emitting: set[Step] = set()
        """Steps that only add to the results."""
        self.direct: dict[Step, list[Direct]] = {}
        """Steps that only take elements of the focus."""

    def error(self, message: str, at: Syntax) -> FhirPathError:
        return FhirPathError(message, at.position, self.expression)

    def into(self, tree: Expression, focus: Static, then: Then) -> Step | None:
        """The step from the focus through the expression to what comes then; None if it can have no result."""
        match tree:
            case Member():
                return self.member(tree, focus, then)
            case Call():
                return self.call(tree, focus, then)
            case TypeOperation(operator="as"):
                ancestor = self.types.type_names[tree.type.name]
                return self.into(tree.operand, focus, lambda of: then(of) if self.types.is_a(of, ancestor) else None)
            case Union():
                return self.union(tree, focus, then)
            case Variable(name="this"):
                return then(focus)
            case Operation() | TypeOperation():
                return self.judged(self.truth(tree, focus), then)
            case Indexer(index=Literal(type="integer", value=int() as index)):
                return self.subset(tree.target, focus, then, lambda nodes: nodes[index : index + 1])
            case Literal():
                return self.literal(tree, then)
            case External(name="resource"):
                return self.resource(then)
            case _:  # pragma: no cover - the tree was checked
                raise self.error("This is not supported here.", tree)

    def literal(self, tree: Literal, then: Then) -> Step | None:
        self.always = True
        step = then(Static(tree.type))
        return None if step is None else runtime.constant(tree.value, step)

    # Functions

    def call(self, tree: Call, focus: Static, then: Then) -> Step | None:
        if tree.name in JUDGING:
            return self.judged(JUDGING[tree.name].make(self, tree, focus), then)
        return SELECTING[tree.name].make(self, tree, focus, then)

    # Paths

    def member(self, tree: Member, focus: Static, then: Then) -> Step | None:
        if tree.target is None:
            if tree.name[:1].isupper():
                return self.type_at_the_root(tree, focus, then)
            step = Into(self, tree.name, then)
            found = step(focus)
            subject = focus.name
        else:
            step = Into(self, tree.name, then)
            found = self.into(tree.target, focus, step)
            subject = "what is before it"
        if step.asked and not step.found and not self.is_running:
            raise self.error(f"'{tree.name}' is not an element of {subject}.", tree)
        return found

    def type_at_the_root(self, tree: Member, focus: Static, then: Then) -> Step | None:
        """`Patient.name`: the focus if it is a Patient, else nothing."""
        return then(focus) if self.types.is_a(focus, tree.name) else None

    def child(self, child: Child, parent: Static, then: Then) -> Step | None:
        """The step to a child element, in those of its types of which something comes."""
        steps = []
        for key, type in child.alternatives:
            if self.types.is_primitive(type) and isinstance(then, Into) and then.name in ("id", "extension"):
                key, type = "_" + key, Static("Element")
            step = self.by_resource_type(then) if self.types.is_any_resource(type) else then(type)
            if step is not None:
                steps.append((key, type, step))
        if not steps:
            return None
        key, type, step = steps[0]
        is_last = all(step in self.emitting for _, _, step in steps)
        if len(steps) > 1:
            result = runtime.choice([(key, step) for key, _, step in steps])
        elif child.is_list:
            result = runtime.emit_many(key, type.name) if is_last else runtime.many(key, step)
        else:
            result = runtime.emit_one(key, type.name) if is_last else runtime.one(key, step)
        if parent.is_focus:
            self.keys.update(key for key, _, _ in steps)
            if is_last:
                self.direct[result] = [Direct(key, type.name, child.is_list) for key, type, _ in steps]
        return result

    def resource(self, then: Then) -> Step | None:
        """`%resource`"""
        self.always = True
        root = Static(self.focus.path.partition(".")[0])
        step = then(root) if self.types.is_resource(root.name) else self.by_resource_type(then)
        return None if step is None else lambda value, environment, out: step(environment.resource, environment, out)

    def by_resource_type(self, then: Then) -> Step:
        """For resources of which only the value tells the type."""
        return runtime.by_resource_type(Steps(self, lambda of: then(of) if self.types.is_resource(of.name) else None))

    # Collections as a whole

    def collection(self, tree: Expression, focus: Static) -> tuple[Collection, Emit]:
        """All results as a list, and what is known of their types."""
        emit = Emit(self)
        return runtime.collection(self.into(tree, focus, emit)), emit

    def onward(self, collection: Collection, emit: Emit, then: Then) -> Step:
        """From a list of nodes on to what comes then."""
        if isinstance(then, Emit):
            then.types |= emit.types
            return runtime.extended(collection)
        steps = Steps(self, then)
        for name in emit.types:
            steps[name] = then(Static(name))
        return runtime.by_type(steps, collection)

    def subset(
        self, tree: Expression, focus: Static, then: Then, choose: Callable[[list[Node]], list[Node]]
    ) -> Step | None:
        """Some of the results, chosen from all of them."""
        collect, emit = self.collection(tree, focus)
        return self.onward(lambda value, environment: choose(collect(value, environment)), emit, then)

    def union(self, tree: Union, focus: Static, then: Then) -> Step | None:
        """All results of all operands, each once."""
        emit = Emit(self)
        steps = [step for operand in tree.operands if (step := self.into(operand, focus, emit)) is not None]
        if not steps:
            return None

        def collect(value: object, environment: runtime.Environment) -> list[Node]:
            found: list[Node] = []
            for step in steps:
                step(value, environment, found)
            return distinct(found) if len(found) > 1 else found

        return self.onward(collect, emit, then)

    # Truth

    def judged(self, truth: Truth, then: Then) -> Step | None:
        """Truth as a result."""
        self.always = True
        step = then(BOOLEAN)
        return None if step is None else runtime.judged(truth, step)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """For criteria: what they look at is not what the expression starts from."""
        keys, always = set(self.keys), self.always
        yield
        self.keys, self.always = keys, always

    def truth(self, tree: Expression, focus: Static) -> Truth:
        """The expression as a condition: true, false, or None for neither."""
        match tree:
            case Operation(operator="=" | "!="):
                return self.equality(tree, focus)
            case Operation() if tree.operator in INFIX:
                return INFIX[tree.operator](self.truth(tree.left, focus), self.truth(tree.right, focus))
            case TypeOperation(operator="is"):
                return self.type_test(tree, focus)
            case Call() if tree.name in JUDGING:
                return JUDGING[tree.name].make(self, tree, focus)
        collect, _ = self.collection(tree, focus)

        def truth(value: object, environment: runtime.Environment) -> bool | None:
            nodes = collect(value, environment)
            if len(nodes) != 1:
                return None
            type, item = nodes[0]
            return item if type == "boolean" else True

        return truth

    def equality(self, tree: Operation, focus: Static) -> Truth:
        """`=` and `!=`"""
        left, _ = self.collection(tree.left, focus)
        right, _ = self.collection(tree.right, focus)
        wanted = tree.operator == "="

        def truth(value: object, environment: runtime.Environment) -> bool | None:
            result = equal(left(value, environment), right(value, environment))
            return None if result is None else result is wanted

        return truth

    def type_test(self, tree: TypeOperation, focus: Static) -> Truth:
        """`is`, also of what a reference resolves to."""
        ancestor = self.types.type_names[tree.type.name]
        if isinstance(tree.operand, Call) and tree.operand.name == "resolve":
            return self.resolved_type_test(tree.operand, focus, self.types.resource_types(ancestor))
        collect, _ = self.collection(tree.operand, focus)

        def truth(value: object, environment: runtime.Environment) -> bool | None:
            nodes = collect(value, environment)
            return self.types.is_a(Static(nodes[0][0]), ancestor) if len(nodes) == 1 else None

        return truth

    def resolved_type_test(self, call: Call, focus: Static, wanted: frozenset[str]) -> Truth:
        """`resolve() is T`: nothing is fetched, the reference tells its target's type."""
        test = refers_to(wanted)
        if call.target is None:
            types = {focus.code}
        else:
            collect, emit = self.collection(call.target, focus)
            types = {Static(name).code for name in emit.types}
        if types and not self.is_running and types.isdisjoint(REFERENCES):
            raise self.error("What is resolved here is not a reference.", call)
        if call.target is None:
            return test

        def truth(value: object, environment: runtime.Environment) -> bool | None:
            nodes = collect(value, environment)
            return test(nodes[0][1], environment) if len(nodes) == 1 else None

        return truth
