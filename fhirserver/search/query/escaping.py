r"""The escapes of search values: `\,` `\|` `\$` `\\`, where the bare marks divide.

A comma divides alternatives, a bar the parts of a token, a dollar the parts of a composite. R4 knows no other backslash.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\([,|$\\])")
_WHOLE = re.compile(r"(?:[^\\]|\\[,|$\\])*", re.DOTALL)


def divide(text: str, mark: str) -> list[str]:
    """The parts between unescaped marks, still escaped."""
    if "\\" not in text:
        return text.split(mark)
    parts: list[str] = []
    start = place = 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] == mark:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    parts.append(text[start:])
    return parts


def is_escaped(text: str) -> bool:
    """Whether every backslash is part of an escape."""
    return _WHOLE.fullmatch(text) is not None


def unescape(text: str) -> str:
    """The text with its escapes taken away."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
