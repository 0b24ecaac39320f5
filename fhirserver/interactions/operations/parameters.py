"""The parameters of an operation: from an address or a Parameters resource to values of the types that its definition states.

https://hl7.org/fhir/R4/operations.html#request and https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.definitions.operations import OperationParameter
from fhirserver.interactions.operations.operation import Operation
from fhirserver.model.json import parse
from fhirserver.model.outcome import BadRequest
from fhirserver.validation.datatypes import PRIMITIVES, is_json

Sent = tuple[str, Any]
"""A name, with the text of an address, or with the parameter object of a Parameters resource."""

_TEXTS: Final = frozenset(("string", "code", "uri", "url", "canonical", "id", "oid", "uuid", "markdown"))
"""Types that clients mix up, and that are one and the same text."""
_NUMBERS: Final = frozenset(("integer", "positiveInt", "unsignedInt", "decimal"))
_DATES: Final = frozenset(("date", "dateTime", "instant"))


def typed(definitions: Definitions, operation: Operation, sent: Iterable[Sent]) -> dict[str, list[Any]]:
    """The values by name. Raises BadRequest for what the operation does not take, or not in that form."""
    known = {
        name: each
        for name, each in _incoming(definitions.core).get(operation.definition, {}).items()
        if name in operation.parameters
    }
    found: dict[str, list[Any]] = {}
    for name, value in sent:
        if name not in operation.parameters:
            names = ", ".join(sorted(operation.parameters)) or "no parameters"
            raise BadRequest(f"This operation takes {names}.", code="not-supported")
        found.setdefault(name, []).append(_value(known.get(name), name, value))
    for name, each in known.items():
        _check_number(each, name, len(found.get(name, ())))
    return found


def _check_number(parameter: OperationParameter, name: str, count: int) -> None:
    if count < parameter.min:
        raise BadRequest(f"The parameter '{name}' is needed.", code="required")
    if parameter.max is not None and count > parameter.max:
        raise BadRequest(f"The parameter '{name}' is given more often than {parameter.max}.")


@cache
def _incoming(definitions: Definitions) -> Mapping[str, Mapping[str, OperationParameter]]:
    return {each.url: {one.name: one for one in each.parameters if one.use == "in"} for each in definitions.operations}


def _value(parameter: OperationParameter | None, name: str, sent: Any) -> Any:
    type = None if parameter is None else parameter.type
    if isinstance(sent, str):
        return _of_text(type, name, sent)
    if "part" in sent:
        return _parts(parameter, name, sent["part"])
    if "resource" in sent:
        if type is not None and type not in ("Resource", _resource_type(sent["resource"])):
            raise BadRequest(f"The parameter '{name}' is of the type {type}.")
        return sent["resource"]
    values = [key for key in sent if key.startswith("value")]
    if len(values) != 1:
        raise BadRequest(f"The parameter '{name}' has one value.", code="structure")
    given = values[0].removeprefix("value")
    if type is not None and not _is_of_type(given, type):
        raise BadRequest(
            f"The parameter '{name}' is of the type {type}: write it as value{type[:1].upper()}{type[1:]}."
        )
    return _checked(type, name, sent[values[0]])


def _parts(parameter: OperationParameter | None, name: str, sent: Any) -> dict[str, list[Any]]:
    known = {} if parameter is None else {each.name: each for each in parameter.parts}
    found: dict[str, list[Any]] = {}
    for part in sent if isinstance(sent, list) else [sent]:
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise BadRequest(f"The parts of the parameter '{name}' have names.", code="structure")
        if known and part["name"] not in known:
            raise BadRequest(f"The parameter '{name}' has the parts {', '.join(known)}.", code="not-supported")
        found.setdefault(part["name"], []).append(_value(known.get(part["name"]), part["name"], part))
    return found


def _resource_type(resource: Any) -> str | None:
    return resource.get("resourceType") if isinstance(resource, dict) else None


def _is_of_type(given: str, type: str) -> bool:
    """Whether `value[given]` will do for the type."""
    given = given[:1].lower() + given[1:]
    for alike in (_TEXTS, _NUMBERS, _DATES):
        if type in alike:
            return given in alike or (type in _DATES and given in _TEXTS)
    return given == type[:1].lower() + type[1:]


def _of_text(type: str | None, name: str, text: str) -> Any:
    """The value that an address gives."""
    if type is not None and type not in PRIMITIVES:
        raise BadRequest(f"The parameter '{name}' is of the type {type}: post it in a Parameters resource.")
    value: Any = text
    if type == "boolean":
        value = {"true": True, "false": False}.get(text, text)
    elif type in _NUMBERS:
        try:
            value = parse(text.encode())
        except BadRequest:
            raise _wrong(name, type) from None
    return _checked(type, name, value)


def _checked(type: str | None, name: str, value: Any) -> Any:
    if type is None:
        return value
    primitive = PRIMITIVES.get(type)
    if primitive is None:
        if not isinstance(value, dict):
            raise _wrong(name, type)
        return value
    if not is_json(value, primitive.json):
        raise _wrong(name, type)
    fault = primitive.fault(value)
    if fault is not None:
        raise BadRequest(f"The parameter '{name}' {fault[1]}")
    return value


def _wrong(name: str, type: str | None) -> BadRequest:
    return BadRequest(f"The parameter '{name}' is no {type}.")
