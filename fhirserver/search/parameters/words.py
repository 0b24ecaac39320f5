"""The parameters `_text` and `_content`: words of the narrative, and of everything that is written in a resource.

Stored are the stems of the words in `w`, each once, and in `t` the stems in their order, ` `-divided, with a `|` between one text
and the next. Words in Cyrillic are stemmed as Russian, all others as English. `_content` is asked of both, so the narrative's words
are stored once. Of one resource at most 300 words and 2,000 characters are kept of each.

All words of a value must be there; those between quotation marks must follow each other. `or` stands between two that need not both
be there, and parentheses keep together: `(bone or liver) and metastases`.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

import snowballstemmer

from fhirserver.search.expression import Containing, Expression, In, all_of, any_of
from fhirserver.search.parameters.string import fold
from fhirserver.search.parameters.term import Term

MODIFIERS = frozenset({"missing"})

TEXT, CONTENT = "index._text", "index._content"

_WORDS, _RUN, _ASKED, _DEPTH = 300, 2_000, 20, 10
_LONGEST, _LOOKED_AT, _MANY = 40, 8_000, 4
_FULL = "\0"
_NO_ENDING = frozenset("0123456789abfhjkopquvwxz")
"""Characters with which no ending ends that a stemmer takes off: numbers and most ids are their own stems."""
_TAG = re.compile(r"<[^<>]*>|&[#\w]{1,10};")
_PARTS = re.compile(r'"([^"]*)"?|([()])|([^\s()"]+)')
_NOT_WRITTEN = frozenset(
    {
        "id",
        "reference",
        "versionId",
        "lastUpdated",
        "path",
        "expression",
        "data",
        "div",
        "resourceType",
        "code",
        "status",
        "unit",
        "type",
        "version",
        "url",
        "language",
        "linkId",
        "xpath",
    }
)

WORDLESS = frozenset(
    {
        "Quantity",
        "Age",
        "Count",
        "Distance",
        "Duration",
        "Money",
        "Period",
        "Range",
        "Ratio",
        "SampledData",
        "Meta",
        "Timing",
    }
)
"""The data types in which nothing is written but units."""

_RUSSIAN, _ENGLISH = snowballstemmer.stemmer("russian"), snowballstemmer.stemmer("english")
_STEMMING = Lock()


def condition(term: Term) -> Expression:
    """What the query asks."""
    places = (TEXT, CONTENT) if term.path == CONTENT else (TEXT,)
    return any_of(*(_Asked(term, text, places).whole() for text in term.texts()))


class _Asked:
    """Reads one text that is asked: `all { "or" all }`, where all = { word | phrase | "and" | "(" ... ")" }."""

    def __init__(self, term: Term, text: str, places: tuple[str, ...]) -> None:
        self._term, self._places = term, places
        self._parts: list[tuple[str, str, str]] = _PARTS.findall(text)
        self._place = self._depth = 0
        self._words: set[str] = set()

    def whole(self) -> Expression:
        found = self._either()
        if self._place < len(self._parts):
            raise self._term.refuse("a parenthesis closes what is not open.")
        return found

    def _either(self) -> Expression:
        found = [self._all()]
        while self._place < len(self._parts) and self._parts[self._place][2].lower() == "or":
            self._place += 1
            found.append(self._all())
        return any_of(*found)

    def _all(self) -> Expression:
        found: dict[Expression, None] = {}
        while self._place < len(self._parts):
            phrase, mark, word = self._parts[self._place]
            if mark == ")" or word.lower() == "or":
                break
            self._place += 1
            if mark:
                found[self._inner()] = None
            elif word.lower() != "and":
                found.update(dict.fromkeys(self._conditions(phrase, word)))
        if not found:
            raise self._term.refuse("there is no word in it, or in a part of it.")
        return all_of(*found)

    def _inner(self) -> Expression:
        self._depth += 1
        if self._depth > _DEPTH:
            raise self._term.refuse(f"its parentheses are more than {_DEPTH} deep.")
        found = self._either()
        if self._place == len(self._parts):
            raise self._term.refuse("a parenthesis is not closed.")
        self._place += 1
        self._depth -= 1
        return found

    def _conditions(self, phrase: str, word: str) -> Iterator[Expression]:
        stems = _stems(phrase or word)
        self._words.update(stems)
        if len(self._words) > _ASKED:
            raise self._term.refuse(f"it has more than {_ASKED} words.")
        for stem in stems:
            yield any_of(*(In(place + ".w", frozenset({stem})) for place in self._places))
        if phrase and len(stems) > 1:
            run = " ".join(("", *stems, ""))
            yield any_of(*(Containing(place + ".t", run) for place in self._places))


Read = tuple[Mapping[str, None], str]
"""The stems of a text, and the same in their order."""


def stored(texts: Iterable[Read]) -> dict[str, Any] | None:
    """What is stored of these texts."""
    words: dict[str, None] = {}
    runs: list[str] = []
    for stems, run in texts:
        if len(words) >= _WORDS:
            break
        words.update(stems)
        runs.append(run)
    if not words:
        return None
    kept = list(words)
    return {"w": kept if len(kept) <= _WORDS else kept[:_WORDS], "t": "|".join(runs)[:_RUN]}


def read(text: str) -> Read:
    """What there is of words in a text; long ones are read to some place."""
    return _read(text) if len(text) <= 200 else _read.__wrapped__(text[:_LOOKED_AT])


def narrative(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is stored of the narrative."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    return stored((read(_TAG.sub(" ", div[: 4 * _LOOKED_AT])),)) if isinstance(div, str) else None


def collect(value: Mapping[str, Any], names: frozenset[str], wordless: frozenset[str], found: dict[str, Read]) -> None:
    """Add what is written, but for the narrative: the strings of elements with these names, not within the wordless ones."""
    for key, item in value.items():
        kind = type(item)
        if kind is str:
            if key in names and item not in found and not _is_full(found):
                found[item] = read(item)
        elif key in wordless:
            continue
        elif kind is list:
            for each in item:
                if isinstance(each, dict):
                    collect(each, names, wordless, found)
                elif type(each) is str and key in names and each not in found and not _is_full(found):
                    found[each] = read(each)
        elif isinstance(item, dict):
            collect(item, names, wordless, found)


def _is_full(found: dict[str, Read]) -> bool:
    """Whether there are words enough: it is counted now and then, where there are more texts than usual."""
    number = len(found)
    if number < _MANY:
        return False
    if number & (number - 1) or _FULL in found:
        return _FULL in found
    if sum(len(words) for words, _ in found.values()) < _WORDS:
        return False
    if len(set[str]().union(*(words for words, _ in found.values()))) < _WORDS:
        return False
    found[_FULL] = ({}, "")  # behind what is kept
    return True


def written_names(names: Iterable[str]) -> frozenset[str]:
    """Of the elements whose type is text, those that people write and read."""
    return frozenset(names) - _NOT_WRITTEN


@lru_cache(8_192)
def _read(text: str) -> Read:
    """Names, displays and units come again and again."""
    stems = _stems(text)
    return dict.fromkeys(stems), " ".join(("", *stems, "")) if stems else ""


def _stems(text: str) -> list[str]:
    cut = (word[:_LONGEST] for word in fold(text).split())
    return [word if word[-1] in _NO_ENDING else _stem(word) for word in cut]


@lru_cache(32_768)
def _stem(word: str) -> str:
    stemmer = _ENGLISH if word.isascii() else _RUSSIAN
    with _STEMMING:  # a stemmer holds its word in itself, and large resources are read on threads
        return str(stemmer.stemWord(word))
