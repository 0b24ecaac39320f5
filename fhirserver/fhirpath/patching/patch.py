"""FHIRPath Patch: read once with everything that is wrong in it, then applied as a whole or not at all.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.fhirpath.compiling.elements import Static
from fhirserver.fhirpath.engine import Engine
from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.patching.document import Content, Document, Place, item_of
from fhirserver.fhirpath.patching.operations import Operation, operations_of
from fhirserver.fhirpath.patching.values import Misfit, Values, is_there
from fhirserver.fhirpath.tables import Row
from fhirserver.fhirpath.values.nodes import Node
from fhirserver.model.outcome import TooCostly, Unprocessable

STEPS: Final = 300_000
"""Items that the paths of one patch may look at, shared among them."""
ELEMENTS: Final = 3_000_000
"""Operations times the elements of the resource."""

_TOO_MANY: Final = "The patch has too many operations for a resource of this size; send fewer at a time."


@dataclass(frozen=True, slots=True)
class FhirPathPatch:
    """A patch that can be read; whether it can be applied depends on the resource."""

    engine: Engine
    operations: tuple[Operation, ...]

    @classmethod
    def read(cls, definitions: Definitions, parameters: Mapping[str, Any]) -> FhirPathPatch:
        """The patch that this valid Parameters resource is. Raises BadRequest with everything that is wrong in it."""
        return cls(_engine(definitions), operations_of(parameters))

    def apply(self, resource: Mapping[str, Any], *, root: str = "") -> dict[str, Any]:
        """The patched resource; the one that is given is not changed. It still has to be validated.

        Raises Unprocessable where an operation cannot be done, with its place in the patch; TooCostly past a bound.
        """
        under_way = _UnderWay(self.engine, resource, max(1, STEPS // max(1, len(self.operations))))
        if len(under_way.document) * len(self.operations) > ELEMENTS:
            raise TooCostly(_TOO_MANY)
        for operation in self.operations:
            try:
                under_way.do(operation)
            except Misfit as misfit:
                sentence = f"Operation {operation.number + 1} of the patch ({operation.type}) cannot be done: {misfit}."
                raise Unprocessable(sentence, code=misfit.code, expression=misfit.place) from None
        return under_way.document.plain()


@lru_cache(maxsize=2)
def _engine(definitions: Definitions) -> Engine:
    return Engine(definitions)


class _UnderWay:
    """A resource that is being patched."""

    def __init__(self, engine: Engine, resource: Mapping[str, Any], steps: int) -> None:
        self.document = Document(engine.types.tables, resource)
        self._engine = engine
        self._values = Values(engine.types, self.document)
        self._steps = steps
        self._looked_at = 0

    def do(self, operation: Operation) -> None:
        nodes = self._selected(operation)
        match operation.type:
            case "add":
                self._add(operation, self._one(operation, nodes))
            case "insert":
                self._insert(operation, self._list(operation, nodes))
            case "delete":
                if nodes:
                    self.document.remove(self._place(operation, self._one(operation, nodes)))
            case "replace":
                self._replace(operation, self._place(operation, self._one(operation, nodes)))
            case _:
                self._move(operation, self._list(operation, nodes))

    def _selected(self, operation: Operation) -> Sequence[Node]:
        self._looked_at += len(self.document)
        if self._looked_at > ELEMENTS:
            raise TooCostly(_TOO_MANY)
        type, root = self.document.root["resourceType"], operation.root
        if root is not None and not self._engine.types.is_a(Static(type), root):
            raise _misfit(operation, f"the path begins with {root}, and the resource is {type}", "value")
        try:
            nodes = self._engine.evaluate(operation.path, self.document.root, steps=self._steps)
        except FhirPathError as error:
            reason = f"{error.message.rstrip('.')} (at character {error.position + 1} of the path)"
            raise Misfit(reason, "value", f"{operation.places['path']}.value") from None
        for node in nodes:
            if self.document.place(node) is None and item_of(node) is not self.document.root:
                raise _misfit(operation, "the path gives a value that is no element of the resource", "value")
        return nodes

    def _add(self, operation: Operation, target: Node) -> None:
        type, owner = target[0], item_of(target)
        rows = self._values.rows(type, operation.name, f"{operation.places['name']}.value")
        if not rows[0].is_list and is_there(owner, rows):
            sentence = f'"{operation.name}" is there already and does not repeat; replace it'
            raise Misfit(sentence, "duplicate", f"{operation.places['name']}.value")
        row, content = self._value(operation, rows)
        self.document.put(owner, type, row, content)

    def _insert(self, operation: Operation, first: Place) -> None:
        at, count = operation.index("index"), len(first.siblings)
        if at > count:
            raise _beyond(operation, "index", count)
        row, content = self._value(operation, (first.row,))
        self.document.put(first.owner, first.type, row, content, at)

    def _replace(self, operation: Operation, place: Place) -> None:
        row, content = self._value(operation, self.document.tables[place.type].by_name[place.row.name])
        at = place.index if place.row.is_list else None
        self.document.remove(place)
        self.document.put(place.owner, place.type, row, content, at)

    def _move(self, operation: Operation, first: Place) -> None:
        source, destination = operation.index("source"), operation.index("destination")
        count = len(first.siblings)
        for part, at in (("source", source), ("destination", destination)):
            if at >= count:
                raise _beyond(operation, part, count - 1)
        moved = self._place(operation, ("", first.siblings[source]))
        content = self.document.remove(moved)
        self.document.put(moved.owner, moved.type, moved.row, content, destination)

    def _value(self, operation: Operation, rows: Sequence[Row]) -> tuple[Row, Content]:
        return self._values.read(rows, operation.parts["value"], operation.places["value"])

    def _one(self, operation: Operation, nodes: Sequence[Node]) -> Node:
        if not nodes:
            raise _misfit(operation, "the path selects nothing", "not-found")
        if len(nodes) > 1:
            raise _misfit(operation, f"the path selects {len(nodes)} elements where one is needed", "multiple-matches")
        return nodes[0]

    def _place(self, operation: Operation, node: Node) -> Place:
        place = self.document.place(node)
        if place is None:
            raise _misfit(operation, "the path selects the resource itself; an update or a deletion does that", "value")
        return place

    def _list(self, operation: Operation, nodes: Sequence[Node]) -> Place:
        """The first element of the one list that the path selects."""
        if not nodes:
            hint = "; add begins a list" if operation.type == "insert" else ""
            raise _misfit(operation, f"the path selects nothing{hint}", "not-found")
        first = self._place(operation, nodes[0])
        if not first.row.is_list:
            raise _misfit(operation, f'the path selects "{first.row.name}", which does not repeat', "value")
        selected = {id(item_of(node)) for node in nodes}
        if selected != {id(each) for each in first.siblings}:
            sentence = "the path selects other elements than those of one list, all of them"
            raise _misfit(operation, sentence, "multiple-matches")
        return first


def _misfit(operation: Operation, reason: str, code: str) -> Misfit:
    return Misfit(reason, code, f"{operation.places['path']}.value")


def _beyond(operation: Operation, part: str, last: int) -> Misfit:
    sentence = f"the {part} is {operation.index(part)}, and the list goes to {last}"
    return Misfit(sentence, "value", f"{operation.places[part]}.value")
