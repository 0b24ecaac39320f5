"""The xhtml of a Narrative inside XML: the sender's own text, as it was written.

Only where that text cannot stand alone, because its namespace is declared further out or by a prefix, is it written anew.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape

from fhirserver.rest.representation.xml.layouts import XHTML
from fhirserver.rest.representation.xml.values import as_text

DEPTH_LIMIT: Final = 500
"""Elements of xhtml inside each other."""

_XML: Final = "http://www.w3.org/XML/1998/namespace"
_PREFIX: Final = XHTML + " "
# Those that HTML closes itself: with an end tag, a browser would show them twice.
_VOID: Final = frozenset({"area", "br", "col", "hr", "img"})


class Narrative:
    """One `div` on its way."""

    __slots__ = ("_begin", "_parts", "_raw", "depth")

    def __init__(self, data: bytes, begin: int, declared: Mapping[str | None, str]) -> None:
        self.depth = 1
        self._begin = begin
        has_prefix = data[begin + 1 : begin + 4] != b"div" or data[begin + 4] not in b" \t\r\n/>"
        self._raw = not has_prefix and declared.get(None) == XHTML
        self._parts: list[str] = [f'<div xmlns="{XHTML}"']

    def start(self, name: str, attributes: Mapping[str, str]) -> bool:
        """Go one element deeper. False where it is not xhtml."""
        self.depth += 1
        if self._raw:
            return True
        self._parts.append("<" + name.removeprefix(_PREFIX))
        return name.startswith(_PREFIX) and self.attributes(attributes)

    def attributes(self, attributes: Mapping[str, str]) -> bool:
        """Write the attributes of an element that was begun. False where one has another namespace."""
        if self._raw:
            return True
        for name, value in attributes.items():
            self._parts.append(f' {name.replace(_XML + " ", "xml:")}="{as_text(value)}"')
        self._parts.append(">")
        return all(" " not in name or name.startswith(_XML) for name in attributes)

    def text(self, text: str) -> None:
        """Take in character data."""
        if not self._raw:
            self._parts.append(escape(text))

    def end(self, name: str) -> bool:
        """Come out of an element; True if that was the `div`."""
        self.depth -= 1
        if not self._raw:
            local = name.removeprefix(_PREFIX)
            if self._parts[-1] == ">" and local in _VOID:
                self._parts[-1] = "/>"
            else:
                self._parts.append(f"</{local}>")
        return self.depth == 0

    def whole(self, data: bytes, end: int) -> str:
        """The text of the `div`, given where its end tag begins, or where an empty element ends."""
        if not self._raw:
            return "".join(self._parts)
        if data.startswith(b"</div", end):
            end = data.index(b">", end) + 1
        return data[self._begin : end].decode()
