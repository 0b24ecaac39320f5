"""String parameters: names, addresses, descriptions.

Stored for each text are the folded form (`f`), which a plain search and `:contains` compare, and the text as written (`s`), for
`:exact`. A plain search is true of a text that starts with the value, `:text` also of one in which a word does.

A family name is found by each of its parts too: `Quinones` finds `Carreno Quinones`.

Names are also looked for by a part of them: of these everything that a text ends with is stored as well (`endings`), for what
stands somewhere in a text begins one of its endings, and beginnings are what an index finds.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fhirserver.model.remembered import remembered
from fhirserver.search.expression import All, Containing, Expression, In, Prefixed, all_of, any_of
from fhirserver.search.parameters.term import MAX_PATTERN, Circumstances, Indexed, Node, Term

MODIFIERS = frozenset({"missing", "exact", "contains", "text"})

ENDINGS = "_endings"
"""The key, under `index`, of the endings of a resource's names."""
OVERLONG = "\uffff"
"""Stands for all endings of names that have too many."""

_SORTED_LENGTH = 256
_ENDING = 24
"""Characters of an ending: what two texts have in common is seldom longer."""
_ENDINGS = 400
_APOSTROPHES = "'’‘ʼ`´"
_ASCII = {code: " " for code in range(128) if unicodedata.category(chr(code))[0] in "PZC"}
_ASCII.update({ord(mark): "" for mark in "'`"})
_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS = ("line", "city", "district", "state", "postalCode", "country", "text")
_PARTS = {"HumanName": _NAME_PARTS, "Address": _ADDRESS_PARTS}


def condition(term: Term) -> Expression:
    """What the query asks."""
    if term.modifier == "exact":
        # What is composed and what is decomposed is one text, and is stored as it was written.
        spelled = (unicodedata.normalize(form, text) for text in term.texts() for form in ("NFC", "NFD"))
        exact = In(term.path + ".s", frozenset((*term.texts(), *spelled)))
        alike = frozenset(map(fold, term.texts()))
        # What is equal is equal when folded, which has the index; a text of marks alone has nothing folded.
        return exact if "" in alike else all_of(In(term.path + ".f", alike), exact)
    alternatives: list[Expression] = []
    for text in term.texts():
        # Of a text of nothing but marks no letter is left to fold: it is looked for as written.
        folded = fold(text)
        path, wanted = (term.path + ".f", folded) if folded else (term.path + ".s", text)
        if len(wanted) > MAX_PATTERN:
            raise term.refuse(f"a text to search for has at most {MAX_PATTERN} characters.")
        alternatives.append(Containing(path, wanted) if term.modifier == "contains" else Prefixed(path, wanted))
        if term.modifier == "text":
            alternatives.append(Containing(path, " " + wanted))
    return any_of(*alternatives)


def endings(texts: Iterable[str]) -> list[str]:
    """What these folded texts end with, from each of their letters on, cut to a few characters."""
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(_ends(text)))
        if len(found) > _ENDINGS:
            return [OVERLONG]
    return list(found)


# Names come again and again.
@remembered(8_192, longest=_SORTED_LENGTH)
def _ends(text: str) -> tuple[str, ...]:
    return tuple(text[start : start + _ENDING] for start in range(min(len(text), _ENDINGS + 1)) if text[start] != " ")


def ending(term: Term) -> Expression:
    """What is true of the endings stored wherever a text contains one of the values; `All` where that cannot be said."""
    folded = [fold(text) for text in term.texts()]
    if not all(folded):
        return All()
    path = f"index.{ENDINGS}"
    return any_of(In(path, frozenset((OVERLONG,))), *(Prefixed(path, text[:_ENDING]) for text in folded))


def fold(text: str) -> str:
    """The text without case, accents, marks and extra spaces; `ё` is `е`, but `й` is a letter of its own."""
    if text.isascii():
        text = text.lower()
        return text if text.isalnum() else " ".join(text.translate(_ASCII).split())
    for mark in _APOSTROPHES:
        text = text.replace(mark, "")
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text.casefold()).casefold())
    return " ".join(text.replace("и\u0306", "й").translate(_FOLDING).split())


_folded = lru_cache(8_192)(fold)


class _Folding(dict[int, str]):
    """What each character folds to, found out when it first comes."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_mark = "\u0300" <= character <= "\u036f"
        folded = "" if is_mark else " " if unicodedata.category(character)[0] in "PZC" else character
        self[code] = folded
        return folded


_FOLDING = _Folding()


def indexed(nodes: list[Node], _: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    written: dict[str, None] = {}
    for kind, value in nodes:
        if isinstance(value, str):
            written[value] = None
        else:
            _parts(kind, value, written)
    written.pop("", None)
    if not written:
        return None
    if len(written) == 1:
        (text,) = written
        folded = _folded(text) if len(text) <= _SORTED_LENGTH else fold(text)
        return {"f": [folded], "s": [text]}, folded[:_SORTED_LENGTH], folded[:_SORTED_LENGTH]
    all_folded = list(dict.fromkeys(_folded(text) if len(text) <= _SORTED_LENGTH else fold(text) for text in written))
    return {"f": all_folded, "s": list(written)}, min(all_folded)[:_SORTED_LENGTH], max(all_folded)[:_SORTED_LENGTH]


def indexed_names(nodes: list[Node], circumstances: Circumstances) -> Indexed | None:
    """What is stored for names of people, or for family names alone: the parts of these as well."""
    stored = indexed(nodes, circumstances)
    if stored is None:
        return None
    folded = dict.fromkeys(stored[0]["f"])
    for kind, value in nodes:
        family = value if kind == "string" else value.get("family")
        if isinstance(family, str) and (" " in family or "-" in family):
            # What the whole begins with finds it already.
            folded.update(dict.fromkeys(fold(family).split(" ")[1:]))
    stored[0]["f"] = list(folded)
    return stored


def _parts(kind: str, value: Any, written: dict[str, None]) -> None:
    for part in _PARTS.get(kind, ()):
        texts = value.get(part)
        if texts is None:
            continue
        if isinstance(texts, str):
            written[texts] = None
            continue
        for text in texts:
            if isinstance(text, str):
                written[text] = None
