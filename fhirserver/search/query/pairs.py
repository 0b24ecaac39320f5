"""A query string as pairs: percent-decoded once, in order. Requests, forms, criteria and conditional references are read here alike.

https://url.spec.whatwg.org/#urlencoded-parsing
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from fhirserver.model.outcome import BadRequest, TooCostly

Pair = tuple[str, str]

PARAMETER_BOUND = 64
"""Pairs of one request, before anybody looks at their names; the search has a closer bound of its own."""


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
