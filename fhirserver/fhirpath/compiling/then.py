"""What comes after a step: results, a further element, or what the type of a value decides when it comes.

https://hl7.org/fhirpath/N1/#path-selection
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fhirserver.fhirpath import runtime
from fhirserver.fhirpath.compiling.elements import ANY, FHIR_NAMES, Static
from fhirserver.fhirpath.runtime import Collection, Step

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler

Then = Callable[[Static], Step | None]
"""From the type of a result to the step that takes it; None where nothing comes of that type."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How an expression is read.

    `is_whole`: primitives keep what stands beside them, and single items are insisted on; else only values count, and what
    is not single is no condition. `is_loose`: as R4's own expressions need it, FHIRPath's type names stand for FHIR's, and
    `as` applies to collections.
    """

    is_whole: bool
    is_loose: bool


SEARCH = Reading(is_whole=False, is_loose=True)
RULES = Reading(is_whole=True, is_loose=True)
PLAIN = Reading(is_whole=True, is_loose=False)


class Emit:
    """The last of the `then`s: results go to the list of results. It remembers their types."""

    def __init__(self, compiler: Compiler, *, is_final: bool = False) -> None:
        self.compiler = compiler
        self.types: dict[str, None] = {}
        self.is_bare = is_final and not compiler.reading.is_whole

    def __call__(self, type: Static) -> Step | None:
        self.compiler.always |= type.is_focus
        self.types[type.name] = None
        if type.is_any:
            step = runtime.emit_value(FHIR_NAMES) if self.is_bare else runtime.emit_node
        else:
            step = runtime.emit(FHIR_NAMES.get(type.name, type.name) if self.is_bare else type.name)
            self.compiler.emitting.add(step)
        return step

    def onward(self, collection: Collection, types: dict[str, None]) -> Step:
        """The results that a collection is."""
        self.types |= types
        if self.is_bare and any(not name or name in FHIR_NAMES for name in types):
            return runtime.each_node(runtime.emit_value(FHIR_NAMES), collection)
        return runtime.extended(collection)


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
        compiler = self.compiler
        if type.is_any:
            self.found = True
            step = self.then(ANY)
            return None if step is None else runtime.member(compiler.types.tables, self.name, step)
        if compiler.types.is_primitive(type):
            return self.beside(type)
        child = compiler.types.child(type, self.name)
        if child is None:
            return None
        self.found = True
        return compiler.child(child, type, self.then)

    def beside(self, type: Static) -> Step | None:
        """Of a primitive that is already there, what came with it."""
        child = self.compiler.types.child(Static("Element"), self.name)
        if child is None or not self.compiler.reading.is_whole:
            return None
        self.found = True
        step = self.compiler.child(child, Static("Element"), self.then)
        return None if step is None else runtime.beside(step)


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
