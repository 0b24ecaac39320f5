"""Frames: the elements that are open while XML is read, and what of them has been read.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from typing import Any

from fhirserver.rest.representation.xml.layouts import Field, Layout


class Frame:
    """One open element. `content` is the JSON object that its elements go into, `value` that of its `value` attribute.

    `layout` is None where exactly one resource must come. `depth` counts the JSON levels down to `content`.
    """

    __slots__ = ("content", "depth", "field", "index", "layout", "position", "value")

    def __init__(self, field: Field | None, layout: Layout | None, depth: int, index: int) -> None:
        self.field = field
        self.layout = layout
        self.depth = depth
        self.index = index
        self.position = 0
        self.content: dict[str, Any] = {}
        self.value: Any = None

    def step(self) -> str:
        """The step of a FHIRPath expression that leads here."""
        if self.field is None:
            return str(self.content.get("resourceType", ""))
        return f"{self.field.name}[{self.index}]" if self.field.is_list else self.field.name

    def count(self, field: Field) -> int:
        """How many of these elements have been read."""
        if field.is_list:
            return len(self.content.get(field.name, ()))
        return int(field.name in self.content or (field.kind == "primitive" and field.sibling in self.content))

    def add(self, field: Field, inner: Frame) -> None:
        """Take in what an element held."""
        if field.kind != "primitive":
            self._put(field, inner.value if field.kind == "xhtml" else inner.content)
        elif field.is_list:
            self._add_primitive(field, inner)
        else:
            if inner.value is not None:
                self.content[field.name] = inner.value
            if inner.content:
                self.content[field.sibling] = inner.content

    def _put(self, field: Field, value: Any) -> None:
        if field.is_list:
            self.content.setdefault(field.name, []).append(value)
        else:
            self.content[field.name] = value

    def _add_primitive(self, field: Field, inner: Frame) -> None:
        """A list of primitives is two arrays in JSON, of one length; each is left out if it holds nothing."""
        values = self.content.setdefault(field.name, [])
        siblings = self.content.get(field.sibling)
        if siblings is None and inner.content:
            siblings = self.content[field.sibling] = [None] * len(values)
        if siblings is not None:
            siblings.append(inner.content or None)
        values.append(inner.value)

    def finish(self) -> None:
        """Leave out the arrays of primitives in which no value stands, only what is beside them."""
        for name in [name[1:] for name in self.content if name[0] == "_"]:
            values = self.content.get(name)
            if type(values) is list and all(value is None for value in values):
                del self.content[name]
