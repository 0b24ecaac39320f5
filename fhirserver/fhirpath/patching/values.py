"""The value of an operation, as an element of the resource: of a data type, a resource, or nested parts.

The definitions say what an element can be: `value` given as valueQuantity becomes the valueQuantity of an Observation, and what
is of no data type of its own, such as a contact of a Patient, is sent as its elements, each a part.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.fhirpath.compiling.elements import Static, TypeSystem
from fhirserver.fhirpath.patching.document import Content, Document, Object
from fhirserver.fhirpath.tables import Row
from fhirserver.fhirpath.values.nodes import named

MANY: Final = 15
"""Types of a choice that a sentence still names."""
_SHOWN: Final = 64


class Misfit(Exception):
    """What cannot be done with a resource: why, as the end of a sentence, by which issue code, and the place in the patch."""

    def __init__(self, reason: str, code: str, place: str) -> None:
        super().__init__(reason)
        self.code = code
        self.place = place


class Values:
    """Reads values for the elements of one document."""

    def __init__(self, types: TypeSystem, document: Document) -> None:
        self._types = types
        self._document = document
        self._sendable = _sendable(types.definitions)

    def rows(self, type: str, name: str, place: str) -> Sequence[Row]:
        """The forms of the element of that name. Raises Misfit where the type has no such element."""
        table = self._document.tables[type]
        rows = table.by_name.get(name)
        if rows is not None:
            return rows
        close = (
            [table.by_key[name].name] if name in table.by_key else get_close_matches(name[:_SHOWN], table.by_name, 1)
        )
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise Misfit(f"{_owner(type)} has no element of that name{hint}", "value", place)

    def read(self, rows: Sequence[Row], part: Mapping[str, Any], place: str) -> tuple[Row, Content]:
        """A value for one of these forms of an element, and which form it is. Raises Misfit."""
        if "resource" in part:
            if not rows[0].is_resource:
                raise self._of_another_type(rows, f"{place}.resource")
            return rows[0], self._document.content(rows[0], part["resource"])
        if "part" in part:
            if len(rows) > 1 or rows[0].is_primitive or rows[0].is_resource:
                raise self._of_another_type(rows, f"{place}.part")
            return rows[0], Content(self._object(rows[0].type, part["part"], place))
        key = next(each.removeprefix("_") for each in part if each.removeprefix("_") in self._sendable)
        row = self._form(rows, self._sendable[key])
        if row is None:
            raise self._of_another_type(rows, f"{place}.value")
        return row, self._document.content(row, part.get(key), part.get("_" + key))

    def _object(self, type: str, parts: Sequence[Mapping[str, Any]], place: str) -> Object:
        """An object of that type, of its elements."""
        made: Object = {}
        for index, part in enumerate(parts):
            here = f"{place}.part[{index}]"
            rows = self.rows(type, part.get("name", ""), f"{here}.name")
            row, content = self.read(rows, part, here)
            if not row.is_list and is_there(made, rows):
                raise Misfit(f'"{row.name}" does not repeat, and is given more than once', "value", here)
            self._document.put(made, type, row, content)
        return made

    def _form(self, rows: Sequence[Row], sent: str) -> Row | None:
        if len(rows) > 1:
            return next((row for row in rows if row.type == sent), None)
        [row] = rows
        # A value of a derived type is one of its base: a code is a string, but not every string is a code.
        wanted = "string" if row.type == "xhtml" else row.type
        return row if self._types.is_a(Static(sent), wanted) else None

    def _of_another_type(self, rows: Sequence[Row], place: str) -> Misfit:
        row = rows[0]
        if row.is_resource:
            wanted = "a resource; send it as resource"
        elif len(rows) == 1 and named(row.type) not in self._sendable.values() and row.type != "xhtml":
            wanted = "of no data type; send its elements, each as a part with its name"
        elif len(rows) == 1:
            wanted = f"{_article(row.type)}; send it as {_key_of(row.type)}"
        elif len(rows) <= MANY:
            wanted = f"one of {', '.join(_key_of(each.type) for each in rows)}"
        else:
            wanted = "of one of the types that its definition names, and sent as value[x]"
        return Misfit(f'"{row.name}" is {wanted}', "value", place)


def is_there(owner: Object, rows: Sequence[Row]) -> bool:
    """Whether an object has the element, in whatever form."""
    return any(row.key in owner or (row.is_primitive and "_" + row.key in owner) for row in rows)


def _sendable(definitions: Definitions) -> Mapping[str, str]:
    """The types of values that a parameter can have, by their JSON names."""
    [value] = [each for each in definitions.children("Parameters.parameter") if each.is_choice]
    return {name: type.code for name, type in value.json_names() if type is not None}


def _key_of(type: str) -> str:
    type = "string" if type == "xhtml" else type
    return f"value{type[0].upper()}{type[1:]}"


def _owner(type: str) -> str:
    return f"{_article(named(type))}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
