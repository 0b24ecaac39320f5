"""The engine: any expression of any resource, with variables, a clock and what the caller lends.

https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from fhirserver.definitions import load
from fhirserver.fhirpath.compiling.check import Check
from fhirserver.fhirpath.compiling.compiler import Compiler
from fhirserver.fhirpath.compiling.elements import NOTHING, Static, TypeSystem
from fhirserver.fhirpath.compiling.then import PLAIN, RULES
from fhirserver.fhirpath.environment import STEPS, Environment, Host
from fhirserver.fhirpath.errors import FhirPathError, Misuse
from fhirserver.fhirpath.language.parser import parse
from fhirserver.fhirpath.path import Program, compile_program
from fhirserver.fhirpath.shape import shape_fault
from fhirserver.fhirpath.values.nodes import (
    BOOLEAN,
    DECIMAL,
    INTEGER,
    QUANTITY,
    STRING,
    Amount,
    Node,
    Primitive,
    plain,
)

if TYPE_CHECKING:
    from fhirserver.definitions import Definitions

REMEMBERED = 1_024
"""Compiled expressions that an engine remembers."""

Rule = Callable[[Any, Environment], bool | None]
"""A condition of a value in an environment: true, false, or None for neither."""


class Engine:
    """Compiles each expression once for each type that it is asked of."""

    def __init__(self, definitions: Definitions, host: Host | None = None) -> None:
        self.types = TypeSystem(definitions)
        self.host = Host() if host is None else host
        self._programs: dict[tuple[str, str | None], tuple[Program, str]] = {}

    def evaluate(
        self,
        expression: str,
        resource: Any = None,
        *,
        type: str | None = None,
        now: datetime | None = None,
        variables: Mapping[str, Any] | None = None,
        steps: int = STEPS,
    ) -> list[Node]:
        """The nodes that an expression selects of a resource, or of an element of the named type.

        Raises FhirPathError, at compilation or when it runs.
        """
        environment = Environment(None)
        environment.host, environment.now, environment.steps = self.host, now, steps
        if variables:
            environment.variables = {name: nodes(value) for name, value in variables.items()}
        return self.select(expression, resource, environment, type=type)

    def select(
        self, expression: str, resource: Any, environment: Environment, *, type: str | None = None
    ) -> list[Node]:
        """The same in an environment of the caller's, which says afterwards what is left of its steps."""
        if type is None and isinstance(resource, dict):
            type = resource.get("resourceType")
        program, focus = self._program(expression, resource, type)
        environment.resource = resource if focus in self.types.concrete_types else None
        if resource is not None:
            environment.context = (focus, resource)
        found: list[Node] = []
        if program.step is not None:
            try:
                program.step(resource, environment, found)
            except Misuse as misuse:
                raise FhirPathError(str(misuse), 0, expression) from None
            except RecursionError:
                raise FhirPathError("The expression goes too deep.", 0, expression) from None
            except (TypeError, AttributeError, KeyError, ValueError) as error:
                if isinstance(error, FhirPathError):
                    raise
                fault = shape_fault(self.types.tables, (focus, resource))
                if fault is None:
                    raise
                raise FhirPathError(f"The input is not what R4 defines: {fault}", 0, expression) from None
        return found

    def rule(self, expression: str, type: str) -> Rule:
        """A condition on values of a type, read as R4's own expressions are meant. Raises FhirPathError."""
        named = self.types.named(type)
        if named is None:
            raise FhirPathError(f"'{type}' is not a type.", 0, expression)
        tree = parse(expression)
        Check(expression, self.types).check(tree)
        return Compiler(self.types, expression, named, RULES).truth(tree, named)

    def _program(self, expression: str, resource: Any, type: Any) -> tuple[Program, str]:
        """The compiled expression, and the name of the type it is compiled for."""
        if resource is None:
            type = None
        elif not isinstance(type, str):
            raise FhirPathError("The input is not a resource.", 0, expression)
        found = self._programs.get((expression, type))
        if found is None:
            named = NOTHING if type is None else self.types.named(type)
            if named is None:
                raise FhirPathError("The input is of a type that R4 does not define.", 0, expression)
            if len(self._programs) >= REMEMBERED:
                self._programs.clear()
            compiled = compile_program(self.types, expression, Static(named.name), PLAIN)
            found = self._programs[expression, type] = (compiled, named.name)
        return found


def nodes(value: Any) -> Sequence[Node]:
    """A variable's value as nodes: plain values by what they are, resources by the type they state."""
    if isinstance(value, list | tuple):
        return [node for each in value for node in nodes(each)]
    if value is None:
        return []
    if isinstance(value, bool):
        return [(BOOLEAN, value)]
    if isinstance(value, str):
        return [(STRING, value)]
    if isinstance(value, int):
        return [(INTEGER, value)]
    if isinstance(value, Decimal):
        return [(DECIMAL, value)]
    if isinstance(value, Amount):
        return [(QUANTITY, value)]
    if isinstance(value, dict):
        return [(str(value.get("resourceType", "")), value)]
    raise TypeError(f"{type(value).__name__} is no value of FHIRPath.")


def evaluate(expression: str, resource: Any = None, **variables: Any) -> list[Any]:
    """The plain values and elements that an expression selects of a resource, by R4's definitions.

    `now` is the clock of `now()` and `today()`, `type` the type of what is not a resource; the others are the
    expression's `%variables`. A primitive without a value is given as the element that holds its extensions.
    """
    now, type = variables.pop("now", None), variables.pop("type", None)
    found = _engine().evaluate(expression, resource, now=now, type=type, variables=variables)
    return [item.element if isinstance(item, Primitive) and item.value is None else plain(item) for _, item in found]


@cache
def _engine() -> Engine:
    return Engine(load())
