"""The language of `_filter`: its words and its grammar.

    filter     = operand { ("and" | "or") operand }
    operand    = ["not"] "(" filter ")" | comparison
    comparison = path operator value
    path       = { name ["[" filter "]"] "." } name
    value      = a JSON string, or whatever stands before the next space, ")" or "]"; a "]" that the value itself opened is part of it,
                 as in `mm[Hg]`

`and` and `or` bind alike and are read from left to right.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from fhirserver.model.outcome import BadRequest, TooCostly

OPERATORS: Final = frozenset(
    ("eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "ni", "re")
)
DEPTH: Final = 10
COMPARISONS: Final = 50

_SPACE: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[_A-Za-z][_A-Za-z0-9\-]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BARE: Final = re.compile(r'[^\s()\[\]"](?:\[[^\s()\[\]]*\]|[^\s)\]])*')


@dataclass(frozen=True, slots=True)
class Step:
    """A reference on the way, and what is asked of what it refers to beside what follows."""

    name: str
    within: Node | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A path, an operator and a value. `place` is where it starts, counted from one."""

    steps: tuple[Step, ...]
    name: str
    operator: str
    value: str
    place: int


@dataclass(frozen=True, slots=True)
class Both:
    """Left and right."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Either:
    """Left or right."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negation:
    """Not the term."""

    term: Node


Node = Comparison | Both | Either | Negation


def parse(text: str) -> Node:
    """Read a filter. Raises BadRequest with the place of what cannot be read, or TooCostly."""
    parser = _Parser(text)
    found = parser.filter()
    if not parser.is_at_end():
        raise parser.refuse("'and', 'or' or the end is expected")
    return found


class _Parser:
    """Reads from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._depth = 0
        self._comparisons = 0

    def filter(self) -> Node:
        """`operand { ("and" | "or") operand }`."""
        self._depth += 1
        if self._depth > DEPTH:
            raise TooCostly(f"Parentheses and brackets of a filter are at most {DEPTH} deep.")
        found = self._operand()
        while (word := self._word("and", "or")) is not None:
            right = self._operand()
            found = Both(found, right) if word == "and" else Either(found, right)
        self._depth -= 1
        return found

    def is_at_end(self) -> bool:
        """Whether only spaces are left."""
        self._skip()
        return self._place == len(self._text)

    def refuse(self, reason: str) -> BadRequest:
        """The error at this place."""
        return BadRequest(f"The filter cannot be read at character {self._place + 1}: {reason}.")

    def _operand(self) -> Node:
        if self._mark("("):
            return self._closed(")")
        start = self._place
        if self._word("not") is not None:
            if self._mark("("):
                return Negation(self._closed(")"))
            self._place = start
        return self._comparison()

    def _closed(self, mark: str) -> Node:
        found = self.filter()
        if not self._mark(mark):
            raise self.refuse(f"'{mark}' is expected")
        return found

    def _comparison(self) -> Comparison:
        self._skip()
        place = self._place + 1
        self._comparisons += 1
        if self._comparisons > COMPARISONS:
            raise TooCostly(f"A filter has at most {COMPARISONS} comparisons.")
        steps: list[Step] = []
        name = self._name()
        while self._at(".") or self._at("["):
            within = None
            if self._take("["):
                within = self._closed("]")
            if not self._take("."):
                raise self.refuse("'.' is expected")
            steps.append(Step(name, within))
            name = self._name()
        return Comparison(tuple(steps), name, self._operator(), self._value(), place)

    def _name(self) -> str:
        found = _NAME.match(self._text, self._place)
        if found is None:
            raise self.refuse("the name of a search parameter is expected")
        self._place = found.end()
        return found[0]

    def _operator(self) -> str:
        self._space()
        found = _NAME.match(self._text, self._place)
        if found is None or found[0] not in OPERATORS:
            raise self.refuse(f"an operator is expected: {', '.join(sorted(OPERATORS))}")
        self._place = found.end()
        self._space()
        return found[0]

    def _value(self) -> str:
        if self._at('"'):
            found = _STRING.match(self._text, self._place)
            try:
                value = json.loads(found[0]) if found is not None else None
            except ValueError:
                value = None
            if found is None or not isinstance(value, str):
                raise self.refuse("this is not a JSON string")
            if not value:
                raise self.refuse("an empty text says nothing")
            if "\0" in value:
                raise self.refuse("a text holds no NUL character")
        else:
            found = _BARE.match(self._text, self._place)
            if found is None:
                raise self.refuse("a value is expected")
            value = found[0]
        self._place = found.end()
        return value

    def _word(self, *words: str) -> str | None:
        """One of these words, if it stands here and ends here."""
        self._skip()
        found = _NAME.match(self._text, self._place)
        if found is None or found[0] not in words:
            return None
        self._place = found.end()
        return found[0]

    def _space(self) -> None:
        if self._place == len(self._text) or not self._text[self._place].isspace():
            raise self.refuse("a space is expected")
        self._skip()

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._place)
        if found is not None:
            self._place = found.end()

    def _mark(self, mark: str) -> bool:
        self._skip()
        return self._take(mark)

    def _take(self, mark: str) -> bool:
        if not self._at(mark):
            return False
        self._place += 1
        return True

    def _at(self, mark: str) -> bool:
        return self._text.startswith(mark, self._place)
