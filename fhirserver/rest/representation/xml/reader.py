"""XML to a resource as JSON has it: strict, and with a bound on everything.

A document type is refused before the parser sees it, so there are no entities to expand and nothing outside to fetch. What is
wrong inside is reported together, each with its place; what is not XML ends the reading.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final, NoReturn
from xml.parsers import expat

from fhirserver.definitions import Definitions
from fhirserver.model.json import NESTING_LIMIT, RESOURCE_LIMIT
from fhirserver.model.outcome import BadRequest, Issue, TooLarge
from fhirserver.model.resource import Resource
from fhirserver.rest.representation.xml.frames import Frame
from fhirserver.rest.representation.xml.layouts import FHIR, XHTML, Field, Layout, Layouts, layouts_of
from fhirserver.rest.representation.xml.narrative import DEPTH_LIMIT, Narrative
from fhirserver.rest.representation.xml.values import WHITE_SPACE, from_text

ISSUES_LIMIT: Final = 50
"""Issues of one body; nobody reads more."""

# The parser goes on to the end of what it was given when one of our handlers refuses: it is given this much at a time.
_CHUNK: Final = 64 * 1024
_SHOWN: Final = 64
# All that may stand before a document type, in XML's own grammar; atomic, so that no text makes it search twice.
_DOCTYPE = re.compile(rb"(?:\xef\xbb\xbf)?(?>[ \t\r\n]+|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL)
_HAS_DOCTYPE: Final = "The body has a document type. FHIR's XML has none, and no entities of its own."
_TOO_DEEP: Final = f"The XML is nested too deeply; its JSON would have more than {NESTING_LIMIT} levels."
_SCHEMA_LOCATION: Final = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"
"""Where the root says that its schema lies: editors and test suites write it, and it is no content."""
_ENCODINGS: Final = ("utf-8", "utf8", "us-ascii")


def read(definitions: Definitions, data: bytes, *, limit: int = RESOURCE_LIMIT) -> Resource:
    """The resource that this XML text holds. Raises BadRequest with every issue, or TooLarge past `limit` bytes."""
    if len(data) > limit:
        raise TooLarge(f"The XML text has {len(data)} bytes; at most {limit} are accepted.")
    if not _is_utf8(data):
        _refuse("The body is not UTF-8 text, as FHIR's XML always is.")
    if _DOCTYPE.match(data) is not None:
        _refuse(_HAS_DOCTYPE)
    return _Reader(layouts_of(definitions), data).resource()


def root_of(data: bytes) -> str | None:
    """The name of the first element, its namespace before it; None if it cannot be known or a document type is there."""
    if not _is_utf8(data) or _DOCTYPE.match(data) is not None:
        return None
    parser = expat.ParserCreate("utf-8", " ")
    found: list[str] = []
    parser.StartElementHandler = lambda name, _: found.append(name)
    with suppress(expat.ExpatError):
        for at in range(0, len(data), _CHUNK):
            parser.Parse(data[at : at + _CHUNK], False)
            if found:
                break
    return found[0] if found else None


def _is_utf8(data: bytes) -> bool:
    """Left to itself the parser would take UTF-16 too, in which nobody would have looked for a document type."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _refuse(sentence: str, place: str | None = None) -> NoReturn:
    raise BadRequest(sentence, expression=place, code="structure") from None


class _Reader:
    """The parser's handlers, and the stack of the elements that are open."""

    def __init__(self, layouts: Layouts, data: bytes) -> None:
        self._layouts = layouts
        self._data = data
        self._issues: list[Issue] = []
        self._open: list[Frame] = []
        self._root = Frame(None, None, 1, 0)
        self._passed_over = 0
        self._narrative: Narrative | None = None
        self._declared: dict[str | None, str] = {}
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartNamespaceDeclHandler = self._declared.__setitem__
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text

    def resource(self) -> Resource:
        """Parse it all."""
        data, parser = self._data, self._parser
        try:
            for at in range(0, len(data), _CHUNK):
                parser.Parse(data[at : at + _CHUNK], False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code)
            _refuse(
                f"The body is not XML: {why} at line {error.lineno}, column {error.offset + 1}.", self._place() or None
            )
        if self._issues:
            raise BadRequest.of(self._issues)
        return self._root.content

    def _declaration(self, version: str, encoding: str | None, _standalone: int) -> None:
        if version != "1.0" or (encoding or "utf-8").lower() not in _ENCODINGS:
            _refuse("FHIR's XML is version 1.0 and always UTF-8; the XML declaration names something else.")

    def _doctype(self, *_: Any) -> NoReturn:
        """A second lock on a door that `read` keeps shut."""
        _refuse(_HAS_DOCTYPE)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        declared = self._declared.copy()
        self._declared.clear()
        if self._passed_over:
            self._pass_deeper()
        elif self._narrative is not None:
            self._start_in_narrative(self._narrative, name, attributes)
        elif not self._open:
            attributes.pop(_SCHEMA_LOCATION, None)
            self._start_resource(None, name, attributes)
        else:
            parent = self._open[-1]
            if parent.layout is None:
                self._start_resource(parent, name, attributes)
            else:
                self._start_element(parent, parent.layout, name, attributes, declared)

    def _start_resource(self, holder: Frame | None, name: str, attributes: dict[str, str]) -> None:
        type = self._layouts.resources.get(name)
        if type is None:
            sentence = f"The element {_shown(name)} is not a resource type of R4 in the namespace {FHIR}."
            if holder is None:
                _refuse(sentence)
            self._pass_over(sentence)
        elif holder is not None and holder.content:
            self._pass_over("Only one resource can stand here.")
        else:
            frame = self._root if holder is None else holder
            frame.layout = self._layouts[type]
            frame.content["resourceType"] = type
            # The element that holds a resource and the resource's own are one object in JSON.
            self._open.append(frame)
            self._take_attributes(frame, attributes)

    def _start_element(
        self, parent: Frame, layout: Layout, name: str, attributes: dict[str, str], declared: dict[str | None, str]
    ) -> None:
        field = layout.elements.get(name)
        if field is None:
            self._pass_over(_unknown(name), "." + name.rpartition(" ")[2])
            return
        index = parent.count(field)
        frame = Frame(field, None, parent.depth + (2 if field.is_list else 1), index)
        self._open.append(frame)
        if index and not field.is_list:
            self._fault(f'"{field.name}" occurs more than once.')
        elif field.position < parent.position:
            self._fault(f'"{field.name}" comes too late; the order of elements is fixed.')
        else:
            parent.position = field.position
        self._check_depth(field, frame, attributes)
        if field.kind == "xhtml":
            self._narrative = Narrative(self._data, self._parser.CurrentByteIndex, declared)
            self._check_xhtml(self._narrative.attributes(attributes))
            return
        if field.kind != "resource":
            frame.layout = self._layouts[field.content]
        self._take_attributes(frame, attributes)

    def _check_depth(self, field: Field, frame: Frame, attributes: dict[str, str]) -> None:
        """The bound is that of JSON, which has no object for a primitive alone."""
        is_object = field.kind in ("complex", "resource") or "id" in attributes
        if frame.depth - (not is_object) > NESTING_LIMIT:
            _refuse(_TOO_DEEP, self._place())

    def _take_attributes(self, frame: Frame, attributes: dict[str, str]) -> None:
        field = frame.field
        for name, text in attributes.items():
            try:
                if name == "value" and field is not None and field.kind == "primitive":
                    frame.value = text
                    frame.value = from_text(field.type, text)
                elif frame.layout is not None and name in frame.layout.attributes:
                    frame.content[name] = text
                    frame.content[name] = from_text("uri" if name == "url" else "string", text)
                else:
                    frame.value = text
                    self._fault(f"The attribute {_shown(name)} is unknown here.")
            except ValueError as error:
                self._fault(f'"{field.name if field is not None and name == "value" else name}" {error}')

    def _start_in_narrative(self, narrative: Narrative, name: str, attributes: dict[str, str]) -> None:
        self._check_xhtml(narrative.start(name, attributes))
        if narrative.depth > DEPTH_LIMIT:
            _refuse(f"The narrative is nested deeper than {DEPTH_LIMIT} elements.", self._place())

    def _check_xhtml(self, is_xhtml: bool) -> None:
        if not is_xhtml:
            self._fault("The narrative holds something that is not in the XHTML namespace.")

    def _end(self, name: str) -> None:
        if self._passed_over:
            self._passed_over -= 1
            return
        frame = self._open[-1]
        if self._narrative is not None:
            if not self._narrative.end(name):
                return
            frame.value = self._narrative.whole(self._data, self._parser.CurrentByteIndex)
            self._narrative = None
        frame.finish()
        if frame.field is not None and frame.value is None and not frame.content:
            self._fault(f'"{frame.field.name}" is empty; leave it out.')
        self._open.pop()
        if self._open and self._open[-1] is frame:
            frame.layout = None  # the resource has ended, the element that holds it has not
        elif frame.field is not None:
            self._open[-1].add(frame.field, frame)

    def _text(self, text: str) -> None:
        if self._narrative is not None:
            self._narrative.text(text)
        elif not self._passed_over and text.strip(WHITE_SPACE):
            self._fault("Text cannot stand here; values are written in attributes.")

    def _pass_over(self, sentence: str, step: str = "") -> None:
        """Report the element that has just begun, and look at nothing in it."""
        self._fault(sentence, step)
        self._passed_over = 1
        self._open[-1].value = ""  # it is not empty

    def _pass_deeper(self) -> None:
        self._passed_over += 1
        if self._passed_over > NESTING_LIMIT:
            _refuse(_TOO_DEEP, self._place())

    def _fault(self, sentence: str, step: str = "") -> None:
        parser = self._parser
        sentence = f"{sentence} (line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1})"
        place = self._place() + (step if len(step) <= _SHOWN else "")
        self._issues.append(Issue("error", "structure", sentence, place))
        if len(self._issues) >= ISSUES_LIMIT:
            raise BadRequest.of(self._issues)

    def _place(self) -> str:
        """The FHIRPath expression of what is open."""
        steps = [frame.step() for at, frame in enumerate(self._open) if at == 0 or frame is not self._open[at - 1]]
        return ".".join(steps)


def _unknown(name: str) -> str:
    namespace, _, local = name.rpartition(" ")
    if namespace == FHIR and local != "div":
        return f"The element {_shown(name)} is unknown here."
    return f"The element {_shown(name)} is unknown here, or not in the namespace {XHTML if local == 'div' else FHIR}."


def _shown(name: str) -> str:
    """A name of the sender's, as far as it can be shown."""
    name = name.rpartition(" ")[2]
    return f'"{name}"' if name.isidentifier() and len(name) <= _SHOWN else "with that name"
