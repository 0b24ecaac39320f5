"""Phonetic parameters: names that sound alike, in Latin and in Cyrillic letters.

R4 leaves the algorithm to the server. Ours writes a name in Latin letters, takes letters that are often mistaken for each other as
one, and drops vowels behind the first letter, doubles and endings of case and gender. A query is true of a name of which every
word that was asked sounds like a word.

https://hl7.org/fhir/R4/patient.html#search
"""

from __future__ import annotations

import re
from functools import lru_cache

from fhirserver.model.remembered import remembered
from fhirserver.search.expression import Expression, In, all_of, any_of
from fhirserver.search.parameters import string
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term

MODIFIERS = frozenset({"missing"})

_NAMES, _LONGEST, _CACHED = 100, 40, 200
_LATIN = str.maketrans(
    {
        **dict(zip("абвгдезийклмнопрстуфхыэ", "abvgdezijklmnoprstufhie", strict=True)),
        "ж": "zh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sh", "ъ": "", "ь": "", "ю": "ju", "я": "ja",
    }
)  # fmt: skip
_SOUNDS = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        ("^s(ch|h)(?=[mnlrvw])", "s"), ("sch|tch|shch|tsch", "x"), ("ch|sh|zh|cz|sz|tj", "x"), ("ph|gh$|w|f", "v"), ("kh|h", "h"), ("ck|q|x(?=$)|c(?=[^eiy])|c$", "k"),
        ("c|z|ts|tz", "s"), ("th|d", "t"), ("g", "k"), ("b", "p"), ("kn|gn", "n"), ("[yj]", "i"),
    )
)  # fmt: skip
_VOWELS = re.compile(r"(?<!^)[aeiouh]+")
_DOUBLES = re.compile(r"(.)\1+")
_FIRST = str.maketrans("iou", "eaa")


def condition(term: Term) -> Expression:
    """What the query asks."""
    alternatives = []
    for text in term.texts():
        words = sounds(text)
        if not words:
            raise term.refuse("there is no word in it.")
        alternatives.append(all_of(*(In(term.path, frozenset({word})) for word in words)))
    return any_of(*alternatives)


def indexed(nodes: list[Node], circumstances: Circumstances) -> Indexed | None:
    """What is stored for these values."""
    names = string.indexed(nodes, circumstances)
    if names is None:
        return None
    found = dict.fromkeys(sound for text in names[0]["f"][:_NAMES] for sound in sounds(text))
    return (list(found), min(found), max(found)) if found else None


def sounds(text: str) -> list[str]:
    """How the words of a text sound."""
    return list(_sounds(text))


@remembered(8_192, longest=_CACHED)
def _sounds(text: str) -> tuple[str, ...]:
    return tuple(sound for word in string.fold(text).split() if (sound := _sound(word[:_LONGEST])))


@lru_cache(8_192)
def _sound(word: str) -> str:
    sound = word.translate(_LATIN)
    for pattern, instead in _SOUNDS:
        sound = pattern.sub(instead, sound)
    sound = sound[:1].translate(_FIRST) + sound[1:]
    return _DOUBLES.sub(r"\1", _VOWELS.sub("", sound))[:20]
