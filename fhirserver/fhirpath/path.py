"""Compiled expressions: one, or all that are asked of a resource type at once.

https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fhirserver.fhirpath.compiling.check import Check
from fhirserver.fhirpath.compiling.compiler import Compiler
from fhirserver.fhirpath.compiling.elements import Static, TypeSystem
from fhirserver.fhirpath.compiling.then import SEARCH, Direct, Emit, Reading
from fhirserver.fhirpath.environment import STEPS, Environment
from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.language.parser import parse
from fhirserver.fhirpath.runtime import Step
from fhirserver.fhirpath.values.nodes import Node

if TYPE_CHECKING:
    from fhirserver.definitions import Definitions

SHAPES = 2_048
"""How many orders of elements a plan remembers; who asks for many makes it `forget`."""


def compile_path(definitions: Definitions, expression: str, resource_type: str) -> Callable[..., list[Node]]:
    """The expression as a function of a value of that type to the nodes it selects.

    `resource_type` may also be a data type, or a nested element by its path (`Observation.component`) or by the type name
    of its nodes, as the components of composite search parameters need. `%resource` and `resolve()` of contained resources
    then need the whole resource as the second argument.

    Raises FhirPathError. The value must have passed validation: the JSON types are not looked at again.
    """
    step = _compiled(TypeSystem(definitions), expression, resource_type).step

    def path(value: Any, resource: Any = None) -> list[Node]:
        found: list[Node] = []
        if step is not None:
            step(value, Environment(value if resource is None else resource), found)
        return found

    return path


class Plan:
    """Several expressions over one resource type, by name: only those that can have a result are run.

    Which can is decided by the elements that the resource has: each expression names those of which it needs one. Resources
    of one type have few shapes, so what to run is worked out once for each.
    """

    def __init__(
        self, definitions: Definitions, resource_type: str, expressions: Mapping[str, str], steps: int = STEPS
    ) -> None:
        self._steps = steps
        types = TypeSystem(definitions)
        programs = {name: _compiled(types, expression, resource_type) for name, expression in expressions.items()}
        self._programs = {name: program for name, program in programs.items() if program.step is not None}
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def __call__(self, resource: Mapping[str, Any]) -> dict[str, list[Node]]:
        """The nodes that each expression selects; an expression that selects none is not in the answer."""
        return self.shape(tuple(resource))(resource)

    def shape(self, elements: tuple[str, ...]) -> Shape:
        """What is to be run for resources that have these elements."""
        shape = self._shapes.get(elements)
        if shape is None:
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            shape = Shape(self._steps)
            for name, program in self._programs.items():
                shape.add(name, program, frozenset(elements))
            # Whole before it is known: large resources are read on threads.
            self._shapes[elements] = shape
        return shape

    def forget(self) -> None:
        """Remember no order of elements."""
        self._shapes = {}


class Shape:
    """What to run for a resource that has certain elements: those that are results as they are, and steps."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.single: list[tuple[str, str, str]] = []
        self.repeated: list[tuple[str, str, str]] = []
        self.steps: list[tuple[str, Step]] = []
        self.sources: dict[str, Source] = {}
        """Where the results of each come from."""

    def __call__(self, resource: Mapping[str, Any]) -> dict[str, list[Node]]:
        """The nodes that each expression selects of a resource that has these elements."""
        found = {name: [(type, resource[key])] for name, key, type in self.single}
        for name, key, type in self.repeated:
            if nodes := [(type, item) for item in resource[key] if item is not None]:
                found[name] = nodes
        environment = Environment(resource)
        environment.steps = self.bound
        for name, step in self.steps:
            nodes = []
            step(resource, environment, nodes)
            if nodes:
                found[name] = nodes
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The expressions that can have a result, in the order of the answer."""
        return tuple(name for parts in (self.single, self.repeated, self.steps) for name, *_ in parts)

    def only(self, names: Container[str]) -> Shape:
        """The same for some of the expressions."""
        shape = Shape(self.bound)
        shape.single = [each for each in self.single if each[0] in names]
        shape.repeated = [each for each in self.repeated if each[0] in names]
        shape.steps = [each for each in self.steps if each[0] in names]
        shape.sources = {name: source for name, source in self.sources.items() if name in names}
        return shape

    def add(self, name: str, program: Program, elements: frozenset[str]) -> None:
        """Add what an expression needs, if it can have a result."""
        if program.step is None or (program.keys is not None and program.keys.isdisjoint(elements)):
            return
        there = [direct for direct in program.direct if direct.key in elements]
        self.sources[name] = program.source(elements)
        if len(there) == 1:
            direct = there[0]
            (self.repeated if direct.is_list else self.single).append((name, direct.key, direct.type))
        else:
            self.steps.append((name, program.step))


class Source(NamedTuple):
    """Where the results of an expression come from: the one element of the resource that alone decides them, "" if there is
    no such one; whether what is contained in the resource decides too; the type of the results, where it is known."""

    element: str
    resolves: bool
    type: str


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression; `keys` are the JSON names of which one must be there, None if it can do without."""

    step: Step | None
    keys: frozenset[str] | None
    direct: tuple[Direct, ...] = ()
    resolves: bool = False
    """Whether it asks for the types of targets: contained ones are looked up in the resource."""

    def source(self, elements: frozenset[str]) -> Source:
        """Where its results come from in a resource with these elements."""
        there = elements if self.keys is None else self.keys & elements
        types = {direct.type for direct in self.direct if direct.key in there}
        alone = next(iter(there)) if self.keys is not None and len(there) == 1 else ""
        return Source(alone, self.resolves, types.pop() if len(types) == 1 else "")


def compile_program(types: TypeSystem, expression: str, focus: Static, reading: Reading) -> Program:
    """The expression compiled for a focus of that type. Raises FhirPathError."""
    tree = parse(expression)
    Check(expression, types).check(tree)
    compiler = Compiler(types, expression, focus, reading)
    step = compiler.into(tree, focus, Emit(compiler, is_final=True))
    resolves = "resolve" in expression
    if step is None or compiler.always or "%" in expression:
        return Program(step, None, resolves=resolves)
    return Program(step, frozenset(compiler.keys), tuple(compiler.direct.get(step, ())), resolves)


def _compiled(types: TypeSystem, expression: str, type_name: str) -> Program:
    named = types.named(type_name)
    if named is None:
        raise FhirPathError(f"'{type_name}' is not a type.", 0, expression)
    return compile_program(types, expression, Static(named.name, is_focus=True), SEARCH)
