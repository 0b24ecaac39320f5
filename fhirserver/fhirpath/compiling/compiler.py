"""A tree to closures, specialised by what the definitions say of each step.

An expression is compiled for a focus of known type and for what comes *then*: a function from the type of a result to the
step that takes it, or to None where nothing comes of that type. So a choice element becomes the JSON names that can
still matter, `as` costs nothing, and a path that another type's expression would take vanishes. Where only values tell the
type (contained resources, `descendants()`, variables), the same closures go on with nodes in place of bare values.

Values are JSON values. A primitive's `id` and `extension` are reached through its `_name` sibling; contained resources are
not entered unless the expression does so.

https://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fhirserver.fhirpath import runtime
from fhirserver.fhirpath.compiling import operators
from fhirserver.fhirpath.compiling.elements import ANY, NOTHING, Child, Static, TypeSystem, TypeTest
from fhirserver.fhirpath.compiling.externals import external
from fhirserver.fhirpath.compiling.then import Direct, Emit, Into, Reading, Steps, Then
from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.functions import GENERAL, JUDGING, SELECTING, calls
from fhirserver.fhirpath.language.syntax import (
    Call,
    Empty,
    Expression,
    External,
    Indexer,
    Literal,
    Member,
    Operation,
    Polarity,
    QuantityLiteral,
    Syntax,
    TypeName,
    TypeOperation,
    Union,
    Variable,
)
from fhirserver.fhirpath.runtime import Collection, Step, Truth
from fhirserver.fhirpath.values.arithmetic import ARITHMETIC
from fhirserver.fhirpath.values.equality import distinct, distinct_values
from fhirserver.fhirpath.values.nodes import BOOLEAN, INTEGER, QUANTITY, Amount, Node

WIDTH = 64
"""Ways that are compiled apart where choices follow each other; beyond, values tell their types."""
WORK = 5_000
"""Parts that the compilation of one expression may have."""
SYSTEM_BOOLEAN = Static(BOOLEAN)

Alternative = tuple[str, Static, Step, bool]
"""The JSON name of an element of one type, that type, the step behind it, and whether it is a primitive with what stands beside it."""


class Compiler:
    """Compiles one expression; afterwards knows which elements of the focus it can start from."""

    def __init__(self, types: TypeSystem, expression: str, focus: Static, reading: Reading) -> None:
        self.types = types
        self.expression = expression
        self.focus = focus
        self.reading = reading
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
        self.width = 1
        self.work = 0

    def error(self, message: str, at: Syntax) -> FhirPathError:
        """What is wrong, and where in the expression."""
        return FhirPathError(message, at.position, self.expression)

    def worked(self, position: int) -> None:
        """Count a part of the compilation. Raises FhirPathError past the bound."""
        self.work += 1
        if self.work > WORK:
            raise FhirPathError("The expression has too many forms to be compiled.", position, self.expression)

    def into(self, tree: Expression, focus: Static, then: Then) -> Step | None:
        """The step from the focus through the expression to what comes then; None if it can have no result."""
        self.worked(tree.position)
        match tree:
            case Member():
                return self.member(tree, focus, then)
            case Call():
                return self.call(tree, focus, then)
            case TypeOperation(operator="as"):
                return self.cast(tree, focus, then)
            case Union():
                return self.union(tree, focus, then)
            case Variable():
                return self.variable(tree, focus, then)
            case Operation() if tree.operator in ARITHMETIC:
                return self.computed(operators.arithmetic(self, tree, focus), then)
            case Operation() | TypeOperation():
                return self.judged(self.truth(tree, focus), then)
            case Indexer():
                return self.indexed(tree, focus, then)
            case Literal():
                return self.constant(operators.literal(tree), then)
            case QuantityLiteral():
                return self.constant((QUANTITY, Amount(tree.value, tree.unit, tree.calendar)), then)
            case Polarity():
                return self.computed(operators.polarity(self, tree, focus), then)
            case External(name="resource") if self.types.is_resource(self.focus.path.partition(".")[0]):
                return self.resource(then)
            case External():
                return self.computed(external(self, tree), then)
            case Empty():
                return None

    def constant(self, node: Node, then: Then) -> Step | None:
        """One value, whatever the focus."""
        self.always = True
        step = then(Static(node[0]))
        return None if step is None else runtime.constant(node[1], step)

    def computed(self, collection: Collection, then: Then, type: str = "") -> Step | None:
        """A collection that is made, not found; its type is known or not."""
        self.always = True
        return self.onward(collection, {type: None}, then)

    def variable(self, tree: Variable, focus: Static, then: Then) -> Step | None:
        """`$this`, `$index` and `$total`."""
        if tree.name == "this":
            return None if focus == NOTHING else then(focus)
        if tree.name == "total":
            return self.computed(lambda value, environment: list(environment.total), then)
        return self.computed(
            lambda value, environment: [] if environment.index is None else [(INTEGER, environment.index)],
            then,
            INTEGER,
        )

    def test(self, name: TypeName) -> TypeTest:
        """Which types are of the one that is named."""
        found = self.types.test(name, is_loose=self.reading.is_loose)
        if found is None:
            raise self.error(f"'{name.name}' is not a type.", name)
        return found

    def cast(self, tree: TypeOperation, focus: Static, then: Then) -> Step | None:
        """`as`: of at most one item, or of each in a loose reading."""
        if self.reading.is_loose:
            return self.of_type(tree.operand, tree.type, focus, then)
        return self.subset(tree.operand, focus, self.filtered(tree.type, then), operators.at_most_one(self, tree))

    def of_type(self, tree: Expression, type: TypeName, focus: Static, then: Then) -> Step | None:
        """The items that are of the type."""
        return self.into(tree, focus, self.filtered(type, then))

    def filtered(self, type: TypeName, then: Then) -> Then:
        """What comes then, for values of the type alone."""
        test = self.test(type)

        def only(of: Static) -> Step | None:
            if not of.is_any:
                return then(of) if test[of.name] else None
            step = then(ANY)
            return None if step is None else runtime.of_types(test, step)

        return only

    def call(self, tree: Call, focus: Static, then: Then) -> Step | None:
        """A function, by the table that it is in."""
        if tree.name in JUDGING:
            return self.judged(JUDGING[tree.name].make(self, tree, focus), then)
        if tree.name in SELECTING:
            if tree.name == "resolve" and not self.reading.is_whole:
                raise self.error("In a search, resolve() can only be asked for a type: resolve() is Patient.", tree)
            return SELECTING[tree.name].make(self, tree, focus, then)
        function = GENERAL[tree.name]
        target, emit = self.collection(calls.subject(tree), focus)
        arguments = [self.collection(argument, focus)[0] for argument in tree.arguments]
        self.always = True
        types = emit.types if function.result is None else {function.result: None}
        return self.onward(operators.applied(self, tree, function.run, target, arguments), types, then)

    # Paths

    def member(self, tree: Member, focus: Static, then: Then) -> Step | None:
        """An element of what the target gives, or, at the root, a type or an element of the focus."""
        if tree.target is None:
            if tree.name[:1].isupper():
                return self.type_at_the_root(tree, focus, then)
            if focus == NOTHING:
                return None
            step = Into(self, tree.name, then)
            found = step(focus)
            subject = focus.name
        else:
            step = Into(self, tree.name, then)
            found = self.into(tree.target, focus, step)
            subject = "what is before it"
        if step.asked and not step.found and not self.is_running and self.width == 1:
            raise self.error(f"'{tree.name}' is not an element of {subject}.", tree)
        return found

    def type_at_the_root(self, tree: Member, focus: Static, then: Then) -> Step | None:
        """`Patient.name`: the focus if it is a Patient, else nothing."""
        return self.filtered(TypeName("FHIR", tree.name, position=tree.position), then)(focus)

    def child(self, child: Child, parent: Static, then: Then) -> Step | None:
        """The step to a child element, in those of its types of which something comes."""
        self.worked(0)
        # What comes after a choice is compiled for each of its types, so that choices after choices are a power.
        width = len(child.alternatives) if self.reading.is_whole else 1
        if width > 1 and (self.width * width > WIDTH or isinstance(then, Emit)):
            return self.choice_of_nodes(child, then)
        self.width *= width
        steps = [one for each in child.alternatives if (one := self.alternative(*each, then)) is not None]
        self.width //= width
        if not steps:
            return None
        key, type, step, is_primitive = steps[0]
        is_last = all(step in self.emitting and not is_primitive for _, _, step, is_primitive in steps)
        if len(steps) > 1:
            result = self.choice(steps)
        elif is_primitive:
            result = (runtime.many_primitives if child.is_list else runtime.one_primitive)(key, step)
        elif child.is_list:
            result = runtime.emit_many(key, type.name) if is_last else runtime.many(key, step)
        else:
            result = runtime.emit_one(key, type.name) if is_last else runtime.one(key, step)
        if parent.is_focus:
            self.keys.update(key for key, *_ in steps)
            if is_last:
                self.direct[result] = [Direct(key, type.name, child.is_list) for key, type, *_ in steps]
        return result

    def alternative(self, key: str, type: Static, then: Then) -> Alternative | None:
        """The step behind an element of one of its types; None if nothing comes of it."""
        is_primitive = self.types.is_primitive(type)
        if is_primitive and isinstance(then, Into) and then.name in ("id", "extension"):
            key, type, is_primitive = "_" + key, Static("Element"), False
        step = self.any_resource(then) if self.types.is_any_resource(type) else then(type)
        return None if step is None else (key, type, step, is_primitive and self.reading.is_whole)

    def choice(self, steps: list[Alternative]) -> Step:
        """The step to a choice element of which several types matter."""
        if not self.reading.is_whole:
            return runtime.choice([(key, step) for key, _, step, _ in steps])
        return self.by_key([(key, step, is_primitive) for key, _, step, is_primitive in steps])

    def by_key(self, steps: list[tuple[str, Step, bool]]) -> Step:
        """The step to whichever of the JSON names is there."""
        found: dict[str, Step] = {}
        for key, step, is_primitive in steps:
            if is_primitive:
                found[key] = runtime.one_primitive(key, step)
                found["_" + key] = runtime.unless(key, found[key])
            else:
                found[key] = runtime.one(key, step)
        return runtime.choice_of(found)

    def choice_of_nodes(self, child: Child, then: Then) -> Step | None:
        """The same without compiling what comes then for each type."""
        step = then(ANY)
        if step is None:
            return None
        return self.by_key(
            [(key, runtime.as_node(type.name, step), self.types.is_primitive(type)) for key, type in child.alternatives]
        )

    def any_resource(self, then: Then) -> Step | None:
        """For resources of which only the value tells the type."""
        if not self.reading.is_whole:
            return self.by_resource_type(then)
        step = then(ANY)
        return None if step is None else runtime.resource_node(step)

    def resource(self, then: Then) -> Step | None:
        """`%resource`, where the focus is known to be in it."""
        self.always = True
        step = then(Static(self.focus.path.partition(".")[0]))
        return None if step is None else lambda value, environment, out: step(environment.resource, environment, out)

    def by_resource_type(self, then: Then) -> Step:
        """For resources, a step for each type that comes."""
        return runtime.by_resource_type(Steps(self, lambda of: then(of) if self.types.is_resource(of.name) else None))

    # Collections as a whole

    def collection(self, tree: Expression, focus: Static) -> tuple[Collection, Emit]:
        """All results as a list, and what is known of their types."""
        emit = Emit(self)
        return runtime.collection(self.into(tree, focus, emit)), emit

    def onward(self, collection: Collection, types: dict[str, None], then: Then) -> Step | None:
        """From a list of nodes on to what comes then."""
        if isinstance(then, Emit):
            return then.onward(collection, types)
        if len(types) == 1 and "" not in types:
            step = then(Static(next(iter(types))))
            return None if step is None else runtime.each_value(step, collection)
        if self.reading.is_whole or "" in types:
            step = then(ANY)
            return None if step is None else runtime.each_node(step, collection)
        steps = Steps(self, then)
        for name in types:
            steps[name] = then(Static(name))
        return runtime.by_type(steps, collection)

    def subset(
        self, tree: Expression, focus: Static, then: Then, choose: Callable[[list[Node]], list[Node]]
    ) -> Step | None:
        """Some of the results, chosen from all of them."""
        collect, emit = self.collection(tree, focus)
        return self.onward(lambda value, environment: choose(collect(value, environment)), emit.types, then)

    def indexed(self, tree: Indexer, focus: Static, then: Then) -> Step | None:
        """`target[index]`"""
        match tree.index:
            case Literal(type="integer", value=int() as index):
                return self.subset(tree.target, focus, then, lambda nodes: nodes[index : index + 1])
        collect, emit = self.collection(tree.target, focus)
        return self.onward(operators.indexed(self, tree, focus, collect), emit.types, then)

    def union(self, tree: Union, focus: Static, then: Then) -> Step | None:
        """All results of all operands, each once."""
        emit = Emit(self)
        steps = [step for operand in tree.operands if (step := self.into(operand, focus, emit)) is not None]
        if not steps:
            return None
        each_once = distinct if self.reading.is_whole else distinct_values

        def collect(value: object, environment: Environment) -> list[Node]:
            found: list[Node] = []
            for step in steps:
                step(value, environment, found)
            return each_once(found) if len(found) > 1 else found

        return self.onward(collect, emit.types, then)

    # Truth

    def judged(self, truth: Truth, then: Then) -> Step | None:
        """Truth as a result."""
        self.always = True
        step = then(SYSTEM_BOOLEAN)
        return None if step is None else runtime.judged(truth, step)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """For criteria: what they look at is not what the expression starts from."""
        keys, always = set(self.keys), self.always
        yield
        self.keys, self.always = keys, always

    def truth(self, tree: Expression, focus: Static) -> Truth:
        """The expression as a condition: true, false, or None for neither."""
        return operators.truth(self, tree, focus)
