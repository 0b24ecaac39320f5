"""Values of primitive types between an XML attribute and JSON, digits kept.

https://hl7.org/fhir/R4/datatypes.html#primitive and https://www.w3.org/TR/xml/#charsets
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from fhirserver.model.json import DIGITS_LIMIT, Number, parse
from fhirserver.model.outcome import BadRequest
from fhirserver.validation.datatypes import STRING_LIMIT

WHITE_SPACE: Final = " \t\r\n"

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BOOLEANS: Final = {"true": True, "false": False}
# Where white space at the ends is part of the value. Elsewhere it cannot be, and is trimmed as the specification advises.
_TEXTS = frozenset({"string", "markdown", "base64Binary", "xhtml"})
_SPECIAL = re.compile('[&<"\x00-\x1f\ud800-\udfff\ufffe\uffff]')
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def from_text(type: str, text: str) -> Any:
    """The JSON value of an attribute. Raises ValueError with the rest of a sentence that begins with the element."""
    if len(text) > STRING_LIMIT and type != "base64Binary":
        raise ValueError(f"is longer than {STRING_LIMIT} characters.")
    if type not in _TEXTS:
        text = text.strip(WHITE_SPACE)
        read = _READERS.get(type)
        if read is not None:
            return read(text)
    return text


def as_text(value: Any) -> str:
    """A JSON value as the text of an attribute, escaped. Raises ValueError if XML has no form for it."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Number):
        return value.text
    if isinstance(value, int | Decimal):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("holds something else than a value.")
    return value if _SPECIAL.search(value) is None else _SPECIAL.sub(_escape, value)


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError("must be true or false.")
    return _BOOLEANS[text]


def _integer(text: str) -> Any:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("must be a whole number.")
    return int(text) if len(text) <= DIGITS_LIMIT and text != "-0" else _number(text)


def _decimal(text: str) -> Any:
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError("must be a decimal number.")
    return Number(text) if "." in text and len(text) <= DIGITS_LIMIT and "e" not in text.lower() else _number(text)


def _number(text: str) -> Any:
    """The number as JSON would have read it, with JSON's bounds."""
    with suppress(BadRequest):
        if sum(map(str.isdigit, text.lower().partition("e")[0])) <= DIGITS_LIMIT:
            return parse(text.encode())
    raise ValueError(f"has more than {DIGITS_LIMIT} digits, or too large an exponent.")


_READERS: Mapping[str, Callable[[str], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "positiveInt": _integer,
    "unsignedInt": _integer,
    "decimal": _decimal,
}


def _escape(match: re.Match[str]) -> str:
    escaped = _ESCAPES.get(match[0])
    if escaped is None:
        raise ValueError("holds a character that XML does not have.")
    return escaped
