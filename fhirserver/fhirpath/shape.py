"""Whether a value has the JSON shape of its type: asked only when an expression stumbled over it.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from typing import Any

from fhirserver.fhirpath.tables import Row, Tables
from fhirserver.fhirpath.values.nodes import KINDS, Kind, Node
from fhirserver.model.json import Number


def shape_fault(tables: Tables, node: Node) -> str | None:
    """The first value that is not of its type's JSON form, as a sentence; None if all are."""
    queue: list[tuple[str, Any, str]] = [(node[0], node[1], node[0])]
    while queue:
        type, value, place = queue.pop()
        if not isinstance(value, dict):
            return f"{place} is not an object."
        for key, child in value.items():
            beside = key.startswith("_")
            row = tables[type].by_key.get(key.removeprefix("_"))
            if row is None or (beside and not row.is_primitive):
                continue
            where = f"{place}.{key}"
            if row.is_list and not isinstance(child, list):
                return f"{where} is not an array."
            for each in child if row.is_list else (child,):
                if each is None and row.is_primitive and row.is_list:
                    continue
                if row.is_primitive and not beside:
                    if not _fits(row, each):
                        return f"{where} is not a {row.type}."
                    continue
                of = each.get("resourceType") if row.is_resource and isinstance(each, dict) else row.type
                if not isinstance(of, str):
                    return f"{where} has no type."
                queue.append(("Element" if beside else of, each, where))
    return None


_JSON: dict[Kind, tuple[type, ...]] = {
    Kind.BOOLEAN: (bool,),
    Kind.INTEGER: (int,),
    Kind.DECIMAL: (int, Number),
}


def _fits(row: Row, value: Any) -> bool:
    kind = KINDS.get(row.type)
    return kind is None or type(value) in _JSON.get(kind, (str,))
