"""Compiled expressions: one, or all that are asked of a resource type at once.

https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
"""How many sets of elements a plan remembers."""


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
        elements = tuple(resource)
        shape = self._shapes.get(elements)
        if shape is None:
            shape = self._shape(elements)
        found = {name: [(type, resource[key])] for name, key, type in shape.single}
        for name, key, type in shape.repeated:
            if nodes := [(type, item) for item in resource[key] if item is not None]:
                found[name] = nodes
        environment = Environment(resource)
        environment.steps = self._steps
        for name, step in shape.steps:
            nodes = []
            step(resource, environment, nodes)
            if nodes:
                found[name] = nodes
        return found

    def _shape(self, elements: tuple[str, ...]) -> Shape:
        """What to run for a resource that has these elements."""
        if len(self._shapes) >= SHAPES:
            self._shapes.clear()
        shape = self._shapes[elements] = Shape()
        for name, program in self._programs.items():
            shape.add(name, program, frozenset(elements))
        return shape


class Shape:
    """What to run for a resource that has certain elements: those that are results as they are, and steps."""

    def __init__(self) -> None:
        self.single: list[tuple[str, str, str]] = []
        self.repeated: list[tuple[str, str, str]] = []
        self.steps: list[tuple[str, Step]] = []

    def add(self, name: str, program: Program, elements: frozenset[str]) -> None:
        """Add what an expression needs, if it can have a result."""
        if program.step is None or (program.keys is not None and program.keys.isdisjoint(elements)):
            return
        there = [direct for direct in program.direct if direct.key in elements]
        if len(there) == 1:
            direct = there[0]
            (self.repeated if direct.is_list else self.single).append((name, direct.key, direct.type))
        else:
            self.steps.append((name, program.step))


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression; `keys` are the JSON names of which one must be there, None if it can do without."""

    step: Step | None
    keys: frozenset[str] | None
    direct: tuple[Direct, ...] = ()


def compile_program(types: TypeSystem, expression: str, focus: Static, reading: Reading) -> Program:
    """The expression compiled for a focus of that type. Raises FhirPathError."""
    tree = parse(expression)
    Check(expression, types).check(tree)
    compiler = Compiler(types, expression, focus, reading)
    step = compiler.into(tree, focus, Emit(compiler, is_final=True))
    if step is None or compiler.always:
        return Program(step, None)
    return Program(step, frozenset(compiler.keys), tuple(compiler.direct.get(step, ())))


def _compiled(types: TypeSystem, expression: str, type_name: str) -> Program:
    named = types.named(type_name)
    if named is None:
        raise FhirPathError(f"'{type_name}' is not a type.", 0, expression)
    return compile_program(types, expression, Static(named.name, is_focus=True), SEARCH)
