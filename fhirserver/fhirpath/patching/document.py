"""The resource that is being patched: a copy in which every element can be told from every other, primitives too.

Objects are told apart by what they are. Of two equal primitives nothing says which is which, so each gets an object beside it,
where its id and extensions stand or would stand; FHIRPath hands it on with the value. What stayed or became empty goes at the end,
since JSON has no empty elements.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from fhirserver.fhirpath.tables import Row, Tables
from fhirserver.fhirpath.values.nodes import Node, Primitive

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """What can stand at a place: an object; or of a primitive its value and the object beside it."""

    value: Any
    beside: Object | None = None

    @property
    def item(self) -> Any:
        """The object by which it is known."""
        return self.value if self.beside is None else self.beside


@dataclass(frozen=True, slots=True)
class Place:
    """Where an element stands: in which object, of which type, under which name, known by what."""

    owner: Object
    type: str
    row: Row
    item: Object

    @property
    def columns(self) -> tuple[str, ...]:
        """The names under which JSON holds it."""
        return (self.row.key, "_" + self.row.key) if self.row.is_primitive else (self.row.key,)

    @property
    def siblings(self) -> Sequence[Any]:
        """All items of the list that it stands in."""
        return self.owner[self.columns[-1]]  # type: ignore[no-any-return]

    @property
    def index(self) -> int:
        """Where in that list."""
        return next(index for index, each in enumerate(self.siblings) if each is self.item)


class Document:
    """A resource, and where each of its elements stands."""

    def __init__(self, tables: Tables, resource: Mapping[str, Any]) -> None:
        self.tables = tables
        self._places: dict[int, Place] = {}
        self.root = self.marked(resource["resourceType"], resource)

    def __len__(self) -> int:
        """The number of elements, those that were taken out included."""
        return len(self._places)

    def marked(self, type: str, value: Mapping[str, Any]) -> Object:
        """A copy of an object of that type, with what tells its primitives apart."""
        copy: Object = {}
        rows = self.tables[type].by_key
        for key, each in value.items():
            name = key.removeprefix("_")
            row = rows.get(name)
            if row is None or (name is not key and not row.is_primitive):
                copy[key] = each
            elif name is key or name not in value:
                for content in self._contents(row, value):
                    self.put(copy, type, row, content)
        return copy

    def _contents(self, row: Row, owner: Mapping[str, Any]) -> Iterator[Content]:
        values, siblings = owner.get(row.key), owner.get("_" + row.key) if row.is_primitive else None
        columns = (values or (), siblings or ()) if row.is_list else ((values,), (siblings,))
        for value, sibling in zip_longest(*columns):
            yield self.content(row, value, sibling)

    def content(self, row: Row, value: Any, sibling: Any = None) -> Content:
        """A value, and what stands beside it if it is a primitive, as it can be put."""
        if row.is_primitive:
            return Content(value, self.marked("Element", sibling or {}))
        if not isinstance(value, dict):  # the id of an element that stands beside a primitive
            return Content(value)
        return Content(self.marked(value["resourceType"] if row.is_resource else row.type, value))

    def place(self, node: Node) -> Place | None:
        """Where a node stands; None for the resource itself, and for what was computed."""
        return self._places.get(id(item_of(node)))

    def put(self, owner: Object, type: str, row: Row, content: Content, at: int | None = None) -> None:
        """Put an element into an object of that type; into a list at that index, or behind the last."""
        place = Place(owner, type, row, content.item)
        if isinstance(content.item, dict):
            self._places[id(content.item)] = place
        for column, each in zip(place.columns, (content.value, content.beside), strict=False):
            if row.is_list:
                values = owner.setdefault(column, [])
                values.insert(len(values) if at is None else at, each)
            elif each is not None:
                owner[column] = each

    def remove(self, place: Place) -> Content:
        """Take an element out, and give it."""
        index = place.index if place.row.is_list else 0
        taken = []
        for column in place.columns:
            if not place.row.is_list:
                taken.append(place.owner.pop(column, None))
                continue
            values = place.owner[column]
            taken.append(values.pop(index))
            if not values:
                del place.owner[column]
        return Content(*taken)

    def plain(self) -> Object:
        """The resource as JSON has it."""
        found: Object = _plain(self.root)
        return found


def item_of(node: Node) -> Any:
    """The object by which the element of a node is known."""
    value = node[1]
    return value.element if isinstance(value, Primitive) else value


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    found: Object = {}
    for key, each in value.items():
        bare = _plain(each)
        if key.startswith("_"):
            if isinstance(bare, list):
                bare = [item or None for item in bare] if any(bare) else None
            if bare:
                found[key] = bare
        elif not isinstance(bare, list):
            if bare != {}:
                found[key] = bare
        elif any(item is not None and item != {} for item in bare):
            found[key] = [item for item in bare if item != {}]
    return found
