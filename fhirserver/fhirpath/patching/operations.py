"""The operations of a FHIRPath Patch as they are sent: parts of the parameters of a Parameters resource.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.language.parser import parse
from fhirserver.fhirpath.language.syntax import Call, Expression, Indexer, Member, Syntax
from fhirserver.model.outcome import BadRequest, Issue

OPERATIONS_LIMIT: Final = 1_000
"""Operations of one patch."""

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}
"""The types of operations, and the parts that each of them has besides its type."""

_FORMS: Final = {
    "type": "valueCode",
    "path": "valueString",
    "name": "valueString",
    "index": "valueInteger",
    "source": "valueInteger",
    "destination": "valueInteger",
}
_RESOLVE: Final = "resolve"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its number, its type, and its parts by name with their places."""

    number: int
    type: str
    parts: Mapping[str, Any]
    places: Mapping[str, str]

    @property
    def path(self) -> str:
        """The FHIRPath expression that selects the element."""
        return str(self.parts["path"][_FORMS["path"]])

    @property
    def root(self) -> str | None:
        """The type that the path begins with, if it does: `Patient` in `Patient.name[0]`."""
        part: Expression | None = parse(self.path)
        while isinstance(part, Member | Call | Indexer):
            if isinstance(part, Member) and part.target is None and part.name[:1].isupper():
                return part.name
            part = part.target
        return None

    @property
    def name(self) -> str:
        """The name of the element that is added."""
        return str(self.parts["name"][_FORMS["name"]])

    def index(self, part: str) -> int:
        """One of the indexes."""
        return int(self.parts[part][_FORMS[part]])


def operations_of(parameters: Mapping[str, Any]) -> tuple[Operation, ...]:
    """The operations of a Parameters resource that is valid as such. Raises BadRequest with all that is wrong in them."""
    sent = parameters.get("parameter", ())
    if len(sent) > OPERATIONS_LIMIT:
        raise BadRequest(f"The patch has more than {OPERATIONS_LIMIT} operations.", code="too-long")
    issues = [issue for number, each in enumerate(sent) for issue in _faults(number, each)]
    if issues:
        raise BadRequest.of(issues)
    return tuple(_operation(number, each) for number, each in enumerate(sent))


def _operation(number: int, sent: Mapping[str, Any]) -> Operation:
    named = [(str(part.get("name")), index, part) for index, part in enumerate(sent["part"])]
    places = {name: f"{_place(number)}.part[{index}]" for name, index, _ in named}
    parts = {name: part for name, _, part in named}
    return Operation(number, parts["type"][_FORMS["type"]], parts, places)


def _place(number: int) -> str:
    return f"Parameters.parameter[{number}]"


def _faults(number: int, sent: Mapping[str, Any]) -> Iterator[Issue]:
    """What is wrong with an operation, whatever the resource."""
    here = _place(number)
    if sent.get("name") != "operation":
        yield Issue("error", "value", 'The parameters of a patch are all named "operation".', f"{here}.name")
        return
    parts = sent.get("part", ())
    found = {part.get("name"): index for index, part in enumerate(parts)}
    if "type" not in found:
        yield Issue("error", "required", f'The part "type" is missing; it is {_listed(PARTS)}.', here)
        return
    type_part = parts[found["type"]]
    type = type_part.get(_FORMS["type"])
    if type is None:
        yield _misformed("type", type_part, f"{here}.part[{found['type']}]")
        return
    if type not in PARTS:
        place = f"{here}.part[{found['type']}].value"
        yield Issue("error", "value", f"The type of an operation is {_listed(PARTS)}.", place)
        return
    for name in PARTS[type]:
        if name not in found:
            yield Issue("error", "required", f'The part "{name}" is missing: {_needs(type)}.', here)
    for index, part in enumerate(parts):
        yield from _faults_of_part(type, part, found[part.get("name")] == index, f"{here}.part[{index}]")


def _faults_of_part(type: str, part: Mapping[str, Any], is_last: bool, here: str) -> Iterator[Issue]:
    name = part.get("name")  # one that has only extensions has none
    if name != "type" and name not in PARTS[type]:
        yield Issue("error", "value", f"This part has no meaning: {_needs(type)}.", f"{here}.name")
    elif not is_last:
        yield Issue("error", "value", f'The part "{name}" is given more than once.', here)
    elif name == "value":
        return
    elif (value := part.get(_FORMS[name])) is None:
        yield _misformed(name, part, here)
    elif name == "path" and (fault := _path_fault(value)) is not None:
        yield Issue("error", "value", fault, f"{here}.value")
    elif isinstance(value, int) and value < 0:
        yield Issue("error", "value", f"The {name} counts from 0.", f"{here}.value")


def _misformed(name: str, part: Mapping[str, Any], here: str) -> Issue:
    return Issue("error", "value", f'The part "{name}" is given as {_FORMS[name]}.', here)


def _path_fault(path: str) -> str | None:
    try:
        tree = parse(path)
    except FhirPathError as error:
        return f"The path is no FHIRPath: {error.message} (at character {error.position + 1})"
    if _resolves(tree):
        return "The path of a patch cannot leave the resource: resolve() is not for it."
    return None


def _resolves(tree: Expression) -> bool:
    stack: list[Any] = [tree]
    while stack:
        part = stack.pop()
        if isinstance(part, Call) and part.name == _RESOLVE:
            return True
        if isinstance(part, tuple):
            stack.extend(part)
        elif isinstance(part, Syntax):
            stack.extend(getattr(part, field.name) for field in fields(part))
    return False


def _needs(type: str) -> str:
    return f"{'an' if type[0] in 'ai' else 'a'} {type} has {_listed(PARTS[type], 'and')}"


def _listed(names: Sequence[str] | Mapping[str, Any], last: str = "or") -> str:
    *most, final = names
    return f"{', '.join(most)} {last} {final}" if most else final
