"""The elements of a resource as conformance sees them: each value with its type, its place, and the resource around it.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from fhirserver.fhirpath.values.nodes import Primitive
from fhirserver.validation.datatypes import ELEMENT_ID
from fhirserver.validation.shapes import Property, Shape, Shapes


@dataclass(frozen=True, slots=True)
class Around:
    """The resource that an element is in, the one that `#` references are of, and the Bundle, if any, that they came in."""

    resource: Mapping[str, Any]
    container: Mapping[str, Any]
    bundle: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One value of an element. `sibling` is what stands beside a primitive, whose `value` is None where it has no other.

    `path` is R4's own name of the element, such as `Observation.component`; `definition` is None for a resource that stands alone.
    """

    value: Any
    sibling: Mapping[str, Any] | None
    definition: Property | None
    type: str
    path: str
    place: str
    around: Around

    @property
    def is_primitive(self) -> bool:
        """Whether it is of a primitive type."""
        return self.definition is not None and self.definition.kind == "primitive"

    @property
    def is_resource(self) -> bool:
        """Whether it is a resource."""
        return self.definition is None or self.definition.kind == "resource"

    @property
    def asked_as(self) -> str:
        """The type, or path of a nested element, that invariants about it are compiled for."""
        if self.definition is not None and self.definition.kind == "complex" and "." in self.definition.shape:
            return self.definition.shape
        return self.type

    @property
    def focus(self) -> Any:
        """The value as FHIRPath takes it."""
        return self.value if self.sibling is None else Primitive(self.value, self.sibling)

    @property
    def holder(self) -> Mapping[str, Any]:
        """What holds its child elements: of a primitive, what stands beside it."""
        if self.is_primitive:
            return self.sibling or {}
        return self.value if isinstance(self.value, dict) else {}


def resource_item(resource: Mapping[str, Any], place: str | None = None, around: Around | None = None) -> Item:
    """A resource as an item."""
    type = str(resource["resourceType"])
    return Item(resource, None, None, type, type, place or type, around or Around(resource, resource))


def shape_of(shapes: Shapes, item: Item) -> Shape:
    """What the item may hold."""
    if item.is_primitive:
        return shapes["Element"]
    if item.is_resource or item.definition is None:
        return shapes[item.type]
    return shapes[item.definition.shape]


def children(shapes: Shapes, item: Item, stem: str | None = None) -> Iterator[Item]:
    """The items right below one, or those of one name, as FHIRPath knows it: `value` for `valueQuantity`."""
    shape, holder, seen = shape_of(shapes, item), item.holder, set[str]()
    for key in holder:
        name = key.removeprefix("_")
        property = shape.properties.get(name)
        if property is not None and name not in seen and stem in (None, property.stem):
            seen.add(name)
            yield from _items(shapes, item, property)


def _items(shapes: Shapes, item: Item, property: Property) -> Iterator[Item]:
    values, place = item.holder.get(property.name), f"{item.place}.{property.name}"
    siblings = item.holder.get("_" + property.name) if property.has_sibling else None
    if not property.is_list:
        yield from _item(shapes, item, property, values, siblings, place)
        return
    for index, (value, sibling) in enumerate(zip_longest(_listed(values), _listed(siblings))):
        yield from _item(shapes, item, property, value, sibling, f"{place}[{index}]")


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else []


def _item(shapes: Shapes, item: Item, property: Property, value: Any, sibling: Any, place: str) -> Iterator[Item]:
    if value is None and not isinstance(sibling, dict):
        return
    around, type = item.around, "string" if property.type == ELEMENT_ID else property.type
    path = property.element.path
    if property.kind == "resource":
        stated = value.get("resourceType") if isinstance(value, dict) else None
        if stated not in shapes.resource_types:
            return  # reported as what it is
        type = path = str(stated)
        bundle = item.around.resource if item.path == "Bundle.entry" else item.around.bundle
        around = Around(value, item.around.container if property.name == "contained" else value, bundle)
    elif property.kind == "complex" and not isinstance(value, dict):
        return
    yield Item(value, sibling if isinstance(sibling, dict) else None, property, type, path, place, around)


def walked(shapes: Shapes, item: Item, parents: tuple[Item, ...] = ()) -> Iterator[tuple[Item, tuple[Item, ...]]]:
    """An item and everything in it, in the order of the text, each with the items that it is in."""
    yield item, parents
    for child in children(shapes, item):
        yield from walked(shapes, child, (*parents, item))
