"""The parameters `_text` and `_content`: words of the narrative, and of everything that is written in a resource.

Stored are the stems of the words in `w`, each once, and in `t` the stems in their order, ` `-divided, with a `|` between one text
and the next. Words in Cyrillic are stemmed as Russian, all others as English. `_content` is asked of both, so the narrative's words
are stored once. Of one resource at most 300 words and 2,000 characters are kept of each.

All words of a value must be there; those between quotation marks must follow each other.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import snowballstemmer

from fhirserver.search.expression import Containing, Expression, In, all_of, any_of
from fhirserver.search.parameters.string import fold
from fhirserver.search.parameters.term import Term

MODIFIERS = frozenset({"missing"})

TEXT, CONTENT = "index._text", "index._content"

_WORDS, _RUN, _ASKED = 300, 2_000, 20
_LONGEST, _LOOKED_AT = 40, 8_000
_TAG = re.compile(r"<[^<>]*>|&[#\w]{1,10};")
_PARTS = re.compile(r'"([^"]*)"?|([^"]+)')
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


def condition(term: Term) -> Expression:
    """What the query asks."""
    places = (TEXT, CONTENT) if term.path == CONTENT else (TEXT,)
    return any_of(*(_together(term, text, places) for text in term.texts()))


def _together(term: Term, text: str, places: tuple[str, ...]) -> Expression:
    words: dict[str, None] = {}
    runs: list[str] = []
    for phrase, rest in _PARTS.findall(text):
        stems = _stems(phrase or rest)
        words.update(dict.fromkeys(stems))
        if phrase and len(stems) > 1:
            runs.append(" ".join(("", *stems, "")))
    if not words:
        raise term.refuse("there is no word in it.")
    if len(words) > _ASKED:
        raise term.refuse(f"it has more than {_ASKED} words.")
    return all_of(
        *(any_of(*(In(place + ".w", frozenset({word})) for place in places)) for word in words),
        *(any_of(*(Containing(place + ".t", run) for place in places)) for run in runs),
    )


def stored(texts: Iterable[str]) -> dict[str, Any] | None:
    """What is stored of these texts."""
    words: dict[str, None] = {}
    runs: list[str] = []
    for text in texts:
        if len(words) >= _WORDS:
            break
        stems, run = _read(text) if len(text) <= 200 else _read.__wrapped__(text[:_LOOKED_AT])
        words.update(stems)
        runs.append(run)
    if not words:
        return None
    kept = list(words)
    return {"w": kept if len(kept) <= _WORDS else kept[:_WORDS], "t": "|".join(runs)[:_RUN]}


def narrative(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is stored of the narrative."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    return stored((_TAG.sub(" ", div[: 4 * _LOOKED_AT]),)) if isinstance(div, str) else None


def content(
    resource: Mapping[str, Any], names: frozenset[str], wordless: frozenset[str] = frozenset()
) -> dict[str, Any] | None:
    """What is stored of all that is written elsewhere: the strings of elements with these names, not within the wordless ones."""
    found: list[str] = []
    _collect(resource, names, wordless, found)
    return stored(dict.fromkeys(found)) if found else None


def written_names(names: Iterable[str]) -> frozenset[str]:
    """Of the elements whose type is text, those that people write and read."""
    return frozenset(names) - _NOT_WRITTEN


def _collect(value: Mapping[str, Any], names: frozenset[str], wordless: frozenset[str], found: list[str]) -> None:
    for key, item in value.items():
        kind = type(item)
        if kind is str:
            if key in names:
                found.append(item)
        elif key in wordless:
            continue
        elif kind is list:
            for each in item:
                if isinstance(each, dict):
                    _collect(each, names, wordless, found)
                elif type(each) is str and key in names:
                    found.append(each)
        elif isinstance(item, dict):
            _collect(item, names, wordless, found)


@lru_cache(8_192)
def _read(text: str) -> tuple[dict[str, None], str]:
    """The stems of a text, and the same in their order. Names, displays and units come again and again."""
    stems = _stems(text)
    return dict.fromkeys(stems), " ".join(("", *stems, "")) if stems else ""


def _stems(text: str) -> list[str]:
    return [_stem(word) for word in _split(text)]


def _split(text: str) -> Iterator[str]:
    for word in fold(text).split(" "):
        if word:
            yield word[:_LONGEST]


@lru_cache(32_768)
def _stem(word: str) -> str:
    stemmer = _ENGLISH if word.isascii() else _RUSSIAN
    return str(stemmer.stemWord(word))
