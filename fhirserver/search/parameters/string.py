"""String parameters: names, addresses, descriptions.

Stored for each text are the folded form (`f`), which a plain search and `:contains` compare, and the text as written (`s`), for
`:exact`. A plain search is true of a text that starts with the value.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from fhirserver.search.expression import Containing, Expression, In, Prefixed, any_of
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term

MODIFIERS = frozenset({"missing", "exact", "contains"})

MAX_TEXT = 1_000
"""The longest text that is searched for as part of another, in characters."""

_SORTED_LENGTH = 256
_APOSTROPHES = "'’‘ʼ`´"
_ASCII = {code: " " for code in range(128) if unicodedata.category(chr(code))[0] in "PZC"}
_ASCII.update({ord(mark): "" for mark in "'`"})
_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS = ("line", "city", "district", "state", "postalCode", "country", "text")
_PARTS = {"HumanName": _NAME_PARTS, "Address": _ADDRESS_PARTS}


def condition(term: Term) -> Expression:
    """What the query asks."""
    if term.modifier == "exact":
        return In(term.path + ".s", frozenset(term.texts()))
    alternatives: list[Expression] = []
    for text in term.texts():
        if len(text) > MAX_TEXT:
            raise term.refuse(f"a text to search for has at most {MAX_TEXT} characters.")
        # Of a text of nothing but marks no letter is left to fold: it is looked for as written.
        folded = fold(text)
        path, wanted = (term.path + ".f", folded) if folded else (term.path + ".s", text)
        alternatives.append(Containing(path, wanted) if term.modifier == "contains" else Prefixed(path, wanted))
    return any_of(*alternatives)


def fold(text: str) -> str:
    """The text without case, accents, marks and extra spaces; `ё` is `е`, but `й` is a letter of its own."""
    if text.isascii():
        return " ".join(text.lower().translate(_ASCII).split())
    for mark in _APOSTROPHES:
        text = text.replace(mark, "")
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text.casefold()).casefold())
    return " ".join("".join(map(_folded, text.replace("и\u0306", "й"))).split())


def _folded(character: str) -> str:
    if "\u0300" <= character <= "\u036f":
        return ""
    return " " if unicodedata.category(character)[0] in "PZC" else character


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    written = dict.fromkeys(text for kind, value in nodes for text in _texts(kind, value))
    if not written:
        return None
    folded = list(dict.fromkeys(map(fold, written)))
    texts = [text[:_SORTED_LENGTH] for text in folded]
    return {"f": folded, "s": list(written)}, min(texts), max(texts)


def _texts(kind: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
        return
    for part in _PARTS.get(kind, ()):
        texts = value.get(part)
        if isinstance(texts, str):
            yield texts
        elif texts:
            yield from (text for text in texts if isinstance(text, str))
