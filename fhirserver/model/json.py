"""JSON in and out, strict and exact: what went in comes out.

Decimals keep the digits of the text they came from (`1.50`, `1e3`, `1E-22`, `-0`), integers keep their size. Duplicate
keys, `NaN`, `Infinity`, lone surrogates, a byte order mark, too deep a nesting and too long a number are refused, with
their place.

https://hl7.org/fhir/R4/json.html and https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn, SupportsIndex

import msgspec

from fhirserver.model.outcome import BadRequest, TooLarge

RESOURCE_LIMIT: Final = 5_000_000
"""Bytes of one resource's text."""
BODY_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a request body, decompressed."""
NESTING_LIMIT: Final = 64
DIGITS_LIMIT: Final = 30
"""Digits of a number, its exponent apart."""
EXPONENT_LIMIT: Final = 6144
"""The exponents that Decimal128 can hold; without a bound, `int(Number("1e999999999"))` would fill the memory."""


class Number(Decimal):
    """A decimal that remembers its text: a Decimal to calculate with, its own digits when written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        self = Decimal.__new__(cls, text)
        self.text = text
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[Number], tuple[str]]:
        return Number, (self.text,)

    def __copy__(self) -> Number:
        return self

    def __deepcopy__(self, memo: Any) -> Number:
        return self


def parse(data: bytes, *, limit: int = RESOURCE_LIMIT, nesting: int = NESTING_LIMIT) -> Any:
    """The value that this JSON text holds, decimals as `Number`. Raises BadRequest, or TooLarge past `limit` bytes.

    `nesting` is for texts of our own: a page holds a resource some levels further in.
    """
    return parse_with_text(data, limit=limit, nesting=nesting)[0]


def parse_with_text(data: bytes, *, limit: int = RESOURCE_LIMIT, nesting: int = NESTING_LIMIT) -> tuple[Any, bytes]:
    """The same, and the text as `dump` writes it."""
    if len(data) > limit:
        raise TooLarge(f"The JSON text has {len(data)} bytes; at most {limit} are accepted.")
    try:
        value = _decode(data)
    except (ValueError, RecursionError, _TooLong):
        value = _parse_exactly(data, nesting)
        return value, _encode(value)
    # Text that is written again byte for byte had no key twice and lost no digit: most clients send just that.
    written = _encode(value)
    if (written == data or _is_kept(written, data)) and not _is_deep(value, data, nesting):
        return value, written
    value = _parse_exactly(data, nesting)
    return value, _encode(value)


def dump(value: Any) -> bytes:
    """The JSON text of a parsed or server-made value, UTF-8, without white space."""
    return _encode(value)


def texts(value: Mapping[str, Any]) -> dict[str, str | bytes]:
    """What tells the content of each element: of a string itself, of all else its JSON text."""
    return {key: each if type(each) is str else _encode(each) for key, each in value.items()}


class _TooLong(Exception):
    """Inside the decoder: a number past the bounds; the exact parser then says where."""


def _number(text: str) -> Number:
    if len(text) > DIGITS_LIMIT and _is_too_long(text):
        raise _TooLong
    if ("e" in text or "E" in text) and _is_too_long(text):
        raise _TooLong
    return Number(text)


def _is_too_long(text: str) -> bool:
    mantissa, _, exponent = text.lower().partition("e")
    exponent = exponent.lstrip("+-").lstrip("0")
    return (
        sum(map(str.isdigit, mantissa)) > DIGITS_LIMIT
        or len(exponent) > len(str(EXPONENT_LIMIT))
        or int(exponent or "0") > EXPONENT_LIMIT
    )


def _as_raw(value: Any) -> msgspec.Raw:
    if type(value) is Number:
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} has no JSON form.")


_decode = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder(enc_hook=_as_raw, decimal_format="number").encode
_MINUS_ZERO = re.compile(rb"-0[\s,}\]]")
_WHITE_SPACE = b" \t\n\r"
_CONTAINERS = frozenset((dict, list))


def _is_kept(written: bytes, data: bytes) -> bool:
    """Whether the fast decoder surely kept everything of a text that is not in our own form.

    It keeps the last of two equal keys, so the keys are counted in the text and in what comes out of it: a quote followed
    by a colon is a key, or stands inside a string on both sides. Where an escape could hide a quote, a space or a colon,
    the answer is no, and so it is for `-0`, which the decoder takes for `0`.
    """
    if b"\\" in data and (b"\\u002" in data or b"\\u003" in data):
        return False
    if data.endswith(b"-0") or _MINUS_ZERO.search(data):
        return False
    return _count_keys(data) == _count_keys(written)


def _count_keys(data: bytes) -> int:
    return data.translate(None, _WHITE_SPACE).count(b'":')


def _is_deep(value: Any, data: bytes, nesting: int) -> bool:
    """Whether the value nests past the bound; the texts that have fewer brackets than that need no look."""
    if data.count(b"{") + data.count(b"[") <= nesting:
        return False
    level = [value]
    for _ in range(nesting):
        level = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) in _CONTAINERS
        ]
        if not level:
            return False
    return True


class _Object(dict[str, Any]):
    """An object that had a key twice."""

    twice: str


class _BadNumber:
    """Stands where a number past the bounds was."""


def _parse_exactly(data: bytes, nesting: int) -> Any:
    """Parse with the standard library, and look at everything. Slow, and it knows the place of what is wrong."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(f"The body is not valid UTF-8: byte {error.start} cannot be read.")
    if text.startswith("\ufeff"):
        _refuse("The body begins with a byte order mark. Send UTF-8 without one.")
    try:
        value = _exact_decoder.decode(text)
    except json.JSONDecodeError as error:
        _refuse(f"The body is not JSON: {_explain(error)} at line {error.lineno}, column {error.colno}.")
    except RecursionError:
        _refuse(f"The JSON is nested too deeply; at most {nesting} levels are accepted.")
    root = value.get("resourceType") if isinstance(value, dict) else None
    _look(value, root if isinstance(root, str) and root.isidentifier() else "$this", nesting)
    return value


def _explain(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc.rstrip(" \t\r\n")):
        return "the text ends too early"
    if error.msg == "Extra data":
        return "more text follows the value"
    return error.msg.removesuffix(" at").lower()


def _refuse(sentence: str, place: str | None = None) -> NoReturn:
    raise BadRequest(sentence, expression=place, code="structure") from None


def _look(value: Any, place: str, nesting: int) -> None:
    """Refuse what can be read and must not be accepted. A stack, so that depth cannot end the process."""
    stack: list[tuple[Any, str, int]] = [(value, place, 1)]
    while stack:
        value, place, depth = stack.pop()
        if isinstance(value, str):
            if not _is_unicode(value):
                _refuse("The string holds half of a surrogate pair, which is not a character.", place)
        elif isinstance(value, _BadNumber):
            _refuse(f"The number has more than {DIGITS_LIMIT} digits, or an exponent past {EXPONENT_LIMIT}.", place)
        elif isinstance(value, dict | list):
            if depth > nesting:
                _refuse(f"The JSON is nested too deeply; at most {nesting} levels are accepted.", place)
            if isinstance(value, list):
                inner = [(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
            else:
                if not all(map(_is_unicode, value)):
                    _refuse("A key holds half of a surrogate pair, which is not a character.", place)
                if isinstance(value, _Object):
                    _refuse(f'The key "{value.twice}" occurs twice in one object.', f"{place}.{value.twice}")
                inner = [(item, f"{place}.{key}", depth + 1) for key, item in value.items()]
            stack.extend(reversed(inner))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = _Object(found)
    doubled.twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return doubled


def _exact_float(text: str) -> Number | _BadNumber:
    return _BadNumber() if _is_too_long(text) else Number(text)


def _exact_int(text: str) -> int | Number | _BadNumber:
    if _is_too_long(text):
        return _BadNumber()
    return Number(text) if text == "-0" else int(text)


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not a JSON number.")


_exact_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_exact_float, parse_int=_exact_int, parse_constant=_constant
)
