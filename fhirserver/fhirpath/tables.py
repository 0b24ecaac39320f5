"""What is below a value of which only the value tells the type: tables from JSON names to types, made when asked for.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from fhirserver.fhirpath.values.nodes import STRING, Node, Primitive

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.elements import TypeSystem

TYPE_INFO = "System.TypeInfo"


class Row(NamedTuple):
    """One JSON name."""

    key: str
    name: str
    type: str
    is_list: bool
    is_primitive: bool
    is_resource: bool


class Table(NamedTuple):
    """The children of a type, by their JSON names and by the names that FHIRPath gives them."""

    by_key: Mapping[str, Row]
    by_name: Mapping[str, tuple[Row, ...]]


class Tables(dict[str, Table]):
    """The table of each type that was seen."""

    def __init__(self, types: TypeSystem) -> None:
        super().__init__()
        self.types = types

    def __missing__(self, type: str) -> Table:
        table = self[type] = self._table(type)
        return table

    def _table(self, type: str) -> Table:
        if type == TYPE_INFO:
            rows = [Row(name, name, STRING, False, False, False) for name in ("namespace", "name", "baseType")]
        else:
            rows = list(self.types.rows(type))
        by_name: dict[str, tuple[Row, ...]] = {}
        for row in rows:
            by_name[row.name] = (*by_name.get(row.name, ()), row)
        return Table({row.key: row for row in rows}, by_name)


def children(tables: Tables, node: Node, out: list[Node]) -> None:
    """All children of a node, in the order of its text."""
    type, value = node
    if value.__class__ is Primitive:
        value = value.element
    if not isinstance(value, dict):
        return
    rows = tables[type].by_key
    for key, child in value.items():
        row = rows.get(key)
        if row is not None:
            found(row, child, value.get("_" + key) if row.is_primitive else None, out)
        elif key[:1] == "_" and key[1:] not in value:
            row = rows.get(key[1:])
            if row is not None and row.is_primitive:
                found(row, None, child, out)


def member(tables: Tables, node: Node, name: str, out: list[Node]) -> None:
    """The children of this name."""
    type, value = node
    if value.__class__ is Primitive:
        value = value.element
    if not isinstance(value, dict):
        return
    for row in tables[type].by_name.get(name, ()):
        child = value.get(row.key)
        sibling = value.get("_" + row.key) if row.is_primitive else None
        if child is not None or sibling is not None:
            found(row, child, sibling, out)


def found(row: Row, child: Any, sibling: Any, out: list[Node]) -> None:
    """Add what one JSON name holds, with what stands beside it."""
    type = row.type
    if row.is_resource:
        out += [(resource_type(each), each) for each in (child if row.is_list else (child,)) if each is not None]
    elif sibling is None:
        if row.is_list:
            out += [(type, each) for each in child if each is not None]
        elif child is not None:
            out.append((type, child))
    elif row.is_list:
        out += primitives(type, child, sibling)
    else:
        out.append((type, Primitive(child, sibling)))


def primitives(type: str, values: Sequence[Any] | None, siblings: Sequence[Any]) -> list[Node]:
    """A list of primitives and the list of what stands beside them."""
    return [
        (type, value if sibling is None else Primitive(value, sibling))
        for value, sibling in zip_longest(values or (), siblings)
        if value is not None or sibling is not None
    ]


def resource_type(value: Any) -> str:
    """The type that a resource states; empty if it states none."""
    type = value.get("resourceType")
    return type if isinstance(type, str) else ""
