"""Query parameters and form bodies: read once, and parted into those of the answer's form and those of the search.

https://hl7.org/fhir/R4/http.html#parameters and https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote_to_bytes

from fhirserver.model.outcome import BadRequest, TooCostly

Pair = tuple[str, str]

FORM = frozenset(("_format", "_pretty"))
"""What shapes the text of an answer, not its content. It has no place in self links."""
CURSOR = "_cursor"
PARAMETER_BOUND = 64
"""Pairs of one request, before anybody looks at their names; the search has a closer bound of its own."""

_SAFE = ",:/*-._~$"


def parse_query(query: bytes) -> list[Pair]:
    """The pairs of a query string or a form, in order, percent-decoded once. Raises BadRequest."""
    if not query:
        return []
    parts = query.split(b"&")
    if len(parts) > PARAMETER_BOUND:
        raise TooCostly(f"More than {PARAMETER_BOUND} parameters were sent; send fewer.")
    pairs = []
    for part in parts:
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def form_of(pairs: Iterable[Pair], name: str) -> str | None:
    """The one value of `_format` or `_pretty`."""
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise BadRequest(f"{name} can be given once.")
    return values[0] if values else None


def part(pairs: Sequence[Pair]) -> tuple[list[Pair], str | None]:
    """The pairs that are the search's own, and the cursor."""
    cursors = [value for name, value in pairs if name == CURSOR]
    if len(cursors) > 1:
        raise BadRequest(f"{CURSOR} can be given once; follow the links as they are.")
    rest = [(name, value) for name, value in pairs if name not in FORM and name != CURSOR]
    return rest, cursors[0] if cursors else None


def as_query(pairs: Iterable[Pair]) -> str:
    """The pairs as a query string, for links."""
    return "&".join(f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in pairs)


def _decode(text: bytes) -> str:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" in text:
        text = unquote_to_bytes(text)
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The parameters are not valid UTF-8.") from None
    if "\0" in decoded:
        raise BadRequest("A parameter holds a NUL character.")
    return decoded
