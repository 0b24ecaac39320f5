"""A resource to XML: elements in the order of the definitions, every digit and every character as it is.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, Final, NoReturn

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import NotAcceptable
from fhirserver.model.resource import Resource
from fhirserver.rest.representation.xml.layouts import FHIR, Field, Layout, Layouts, layouts_of
from fhirserver.rest.representation.xml.values import as_text
from fhirserver.validation.narrative import narrative_fault

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_LEVELS: Final = tuple("\n" + "  " * level for level in range(256))


def write(definitions: Definitions, resource: Resource, *, pretty: bool = False) -> bytes:
    """The resource as XML text, UTF-8; `pretty` on many lines.

    Raises NotAcceptable where XML has no form for it: a control character, or content that the definitions do not have.
    """
    writer = _Writer(layouts_of(definitions), pretty)
    writer.resource(resource, f' xmlns="{FHIR}"', 0)
    return "".join(writer.parts).encode()


class _Writer:
    """The parts of the text as they are made."""

    def __init__(self, layouts: Layouts, pretty: bool) -> None:
        self.parts: list[str] = [_HEAD]
        self._layouts = layouts
        self._pretty = pretty

    def resource(self, resource: Any, namespace: str, level: int) -> None:
        """A resource's own element."""
        type = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(type, str) or f"{FHIR} {type}" not in self._layouts.resources:
            _refuse("resourceType", "is not a type that R4 knows")
        content = {name: value for name, value in resource.items() if name != "resourceType"}
        self._element(type, namespace, content, self._layouts[type], level)

    def _element(self, name: str, attributes: str, content: dict[str, Any], layout: Layout, level: int) -> None:
        """An element with what is in it."""
        parts = self.parts
        line = _LEVELS[level] if self._pretty else ""
        begin = f"{line}<{name}"
        for attribute in ("id", "url"):
            if attribute in layout.attributes and attribute in content:
                begin += f' {attribute}="{_text(attribute, content[attribute])}"'
        begin += attributes
        fields = _in_order(content, layout)
        if not fields:
            parts.append(begin + "/>")
            return
        parts.append(begin + ">")
        for field in fields:
            self._field(field, content, level + 1)
        parts.append(f"{line}</{name}>")

    def _field(self, field: Field, content: dict[str, Any], level: int) -> None:
        values = _listed(field, content.get(field.name))
        if field.kind == "primitive":
            siblings = _listed(field, content.get(field.sibling))
            for value, sibling in zip_longest(values, siblings):
                self._primitive(field, value, sibling, level)
            return
        for value in values:
            if field.kind == "xhtml":
                self._narrative(value, level)
            elif not isinstance(value, dict):
                _refuse(field.name, "is not an object")
            elif field.kind == "resource":
                line = _LEVELS[level] if self._pretty else ""
                self.parts.append(f"{line}<{field.name}>")
                self.resource(value, "", level + 1)
                self.parts.append(f"{line}</{field.name}>")
            else:
                self._element(field.name, "", value, self._layouts[field.content], level)

    def _primitive(self, field: Field, value: Any, sibling: Any, level: int) -> None:
        attribute = "" if value is None else f' value="{_text(field.name, value)}"'
        if sibling is None:
            line = _LEVELS[level] if self._pretty else ""
            self.parts.append(f"{line}<{field.name}{attribute}/>")
        elif isinstance(sibling, dict):
            self._element(field.name, attribute, sibling, self._layouts[field.content], level)
        else:
            _refuse(field.sibling, "is not an object")

    def _narrative(self, text: Any, level: int) -> None:
        """Markup goes out as it is, so it is looked at once more: nothing but one well-formed `div` may pass."""
        fault = narrative_fault(text) if isinstance(text, str) else "must be a string."
        if fault is not None:
            _refuse("div", fault.rstrip("."))
        self.parts.append((_LEVELS[level] if self._pretty else "") + text)


def _in_order(content: dict[str, Any], layout: Layout) -> list[Field]:
    fields: dict[str, Field] = {}
    for name in content:
        field = layout.fields.get(name)
        if field is None and name[:1] == "_":
            field = layout.fields.get(name[1:])
            if field is not None and field.kind != "primitive":
                field = None
        if field is not None:
            fields[field.name] = field
        elif name not in layout.attributes:
            _refuse(layout.name, "holds something that R4 does not have")
    return sorted(fields.values(), key=_position)


def _position(field: Field) -> int:
    return field.position


def _listed(field: Field, value: Any) -> list[Any]:
    if value is None:
        return []
    if field.is_list != isinstance(value, list):
        _refuse(field.name, "is an array" if not field.is_list else "is not an array")
    return value if field.is_list else [value]


def _text(name: str, value: Any) -> str:
    try:
        return as_text(value)
    except ValueError as error:
        _refuse(name, str(error).rstrip("."))


def _refuse(what: str, why: str) -> NoReturn:
    raise NotAcceptable(f'This cannot be written as XML: "{what}" {why}. Ask for application/fhir+json.') from None
