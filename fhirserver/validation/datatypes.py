"""The primitive types: which JSON type carries each, its format and its range.

Every type has two readings. `fits` is fast and may say no to a value that is right; `fault` is exact and names what is wrong.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Final, Literal

from fhirserver.model.json import DIGITS_LIMIT, Number
from fhirserver.validation.narrative import narrative_fault

STRING_LIMIT: Final = 1024 * 1024
"""Characters of a string; base64Binary and xhtml are bounded by the resource alone."""

ELEMENT_ID: Final = "Element.id"
"""The id of an element, of which R4 says that it is a string without spaces."""

Fault = tuple[str, str]
"""An issue code and a sentence that begins after the element's name: `must be ...`."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One primitive type."""

    json: Literal["string", "boolean", "number"]
    fits: Callable[[Any], object]
    fault: Callable[[Any], Fault | None]


# A month with as many days as it has in the calendar; 29 February only in leap years; no year 0000.
_YEAR = r"(?!0000)[0-9]{4}"
_LEAP_YEAR = r"(?!0000)(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY = (
    rf"(?:{_YEAR}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    rf"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)|{_LEAP_YEAR}-02-29)"
)
_PARTIAL = rf"(?:{_YEAR}(?:-(?:0[1-9]|1[0-2]))?|{_DAY})"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
# Not control characters, save tab, line feed and carriage return; and something besides white space.
_TEXT = r"[ \t\r\n]*[^\x00-\x20][^\x00-\x08\x0b\x0c\x0e-\x1f]*"
_TEXT_SENTENCE = "must hold more than white space, and no control characters but tab, line feed and carriage return."
_NO_SPACE = r"[^\s\x00-\x1f\x7f]+"
_CODE = rf"{_NO_SPACE}(?: {_NO_SPACE})*"

_FORMATS: Mapping[str, tuple[str, str]] = {
    "string": (_TEXT, _TEXT_SENTENCE),
    "markdown": (_TEXT, _TEXT_SENTENCE),
    "code": (_CODE, "must be a code: no white space but single spaces between its words."),
    "id": (r"[A-Za-z0-9\-.]{1,64}", "must be an id: 1 to 64 of the characters A-Z, a-z, 0-9, hyphen and dot."),
    "uri": (_NO_SPACE, "must be a URI: no white space or control characters."),
    "url": (_NO_SPACE, "must be a URL: no white space or control characters."),
    "canonical": (_NO_SPACE, "must be a canonical URL: no white space or control characters."),
    ELEMENT_ID: (_NO_SPACE, "must be an element id: no white space or control characters."),
    "oid": (
        r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+",
        "must be an OID such as urn:oid:1.2.643: urn:oid: and numbers without leading zeros, with dots between.",
    ),
    "uuid": (
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "must be a UUID in lower case such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520.",
    ),
    "date": (_PARTIAL, "must be a date of the calendar: YYYY, YYYY-MM or YYYY-MM-DD."),
    "dateTime": (
        rf"{_PARTIAL}|{_DAY}T{_TIME}{_ZONE}",
        "must be a date of the calendar, YYYY, YYYY-MM or YYYY-MM-DD, or with a time and its zone, "
        "YYYY-MM-DDThh:mm:ss+zz:zz.",
    ),
    "instant": (
        rf"{_DAY}T{_TIME}{_ZONE}",
        "must be an instant with its zone: YYYY-MM-DDThh:mm:ss.sss+zz:zz, on a day of the calendar.",
    ),
    "time": (_TIME, "must be a time of day, hh:mm:ss, without a zone."),
}

# What most values are: a simpler pattern is a faster one.
_PLAIN: Mapping[str, str] = {
    _TEXT: rf"[!-\U0010ffff][ -\U0010ffff]{{0,{STRING_LIMIT - 1}}}",
    _NO_SPACE: rf"[!-~]{{1,{STRING_LIMIT}}}",
    _CODE: rf"[!-~]{{1,{STRING_LIMIT}}}",
}

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_WHITE_SPACE = str.maketrans("", "", " \t\r\n")
_NUMBER_BOUND = 10**DIGITS_LIMIT


def _text(pattern: str, sentence: str) -> Primitive:
    matches = re.compile(pattern).fullmatch
    # The bound on the length stands in the pattern, where it costs nothing.
    fits = re.compile(_PLAIN.get(pattern) or rf"(?s:(?!.{{{STRING_LIMIT + 1}}}))(?:{pattern})").fullmatch

    def fault(value: str) -> Fault | None:
        if not value:
            return "value", "is an empty string; leave the element out."
        if len(value) > STRING_LIMIT:
            return "too-long", f"has {len(value)} characters; at most {STRING_LIMIT} are accepted."
        return None if matches(value) else ("value", sentence)

    return Primitive("string", fits, fault)


def _is_base64(value: str) -> bool:
    if _BASE64.fullmatch(value) is None:
        value = value.translate(_WHITE_SPACE)
        if _BASE64.fullmatch(value) is None:
            return False
    return value != "" and len(value) % 4 == 0


def _base64_fault(value: str) -> Fault | None:
    if not value:
        return "value", "is an empty string; leave the element out."
    return None if _is_base64(value) else ("value", "must be base64: A-Z, a-z, 0-9, + and /, padded with = to fours.")


def _is_boolean(value: object) -> bool:
    return value is True or value is False


def _decimal_fault(value: Any) -> Fault | None:
    if isinstance(value, Decimal | float):
        return None if isfinite(value) else ("value", "must be a number.")
    if -_NUMBER_BOUND < value < _NUMBER_BOUND:
        return None
    return "structure", f"has more than {DIGITS_LIMIT} digits."


def _is_decimal(value: object) -> bool:
    # The parser has seen to a Number's digits.
    return type(value) is Number or (type(value) is int and -_NUMBER_BOUND < value < _NUMBER_BOUND)


def _whole(low: int, high: int) -> Primitive:
    sentence = f"must be a whole number from {low} to {high}, without fraction or exponent."

    def fits(value: object) -> bool:
        return type(value) is int and low <= value <= high

    def fault(value: Any) -> Fault | None:
        # JSON's -0 comes as a Number, to keep its sign.
        is_minus_zero = low < 0 and getattr(value, "text", None) == "-0"
        return None if fits(value) or is_minus_zero else ("value", sentence)

    return Primitive("number", fits, fault)


def _xhtml_fault(value: str) -> Fault | None:
    problem = narrative_fault(value)
    return None if problem is None else ("value", problem)


PRIMITIVES: Final[Mapping[str, Primitive]] = {
    **{name: _text(*row) for name, row in _FORMATS.items()},
    "base64Binary": Primitive("string", _is_base64, _base64_fault),
    "boolean": Primitive("boolean", _is_boolean, lambda _: None),
    "decimal": Primitive("number", _is_decimal, _decimal_fault),
    "integer": _whole(-(2**31), 2**31 - 1),
    "unsignedInt": _whole(0, 2**31 - 1),
    "positiveInt": _whole(1, 2**31 - 1),
    "xhtml": Primitive("string", lambda value: _xhtml_fault(value) is None, _xhtml_fault),
}


def json_type(value: object) -> str:
    """What JSON calls this value, for a sentence."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float() | Decimal():
            return "a number"
        case list():
            return "an array"
    return "an object"


def is_json(value: object, expected: str) -> bool:
    """Whether the value is carried by that JSON type."""
    if expected == "string":
        return isinstance(value, str)
    if expected == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
