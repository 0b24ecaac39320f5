"""The labels of a resource (`_tag`, `_security`, `_profile`, `_source`) in one array of strings, so that one index serves all four.

Most resources have none, and cost that index nothing. What is asked of the strings narrows a search and decides nothing: the
parameters' own conditions stay beside it.

https://hl7.org/fhir/R4/search.html#all
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhirserver.search.expression import Expression, In, Prefixed, implied

LABELS: Final = "_labels"
PATH: Final = f"index.{LABELS}"

_CODES: Final = ("_tag", "_security", "_profile", "_source")
_PARAMETERS: Final = frozenset(_CODES)
_PATHS: Final = {f"index.{code}": code for code in _CODES}


def gathered(index: Mapping[str, Any]) -> list[str]:
    """The strings of the labels among these search values."""
    if _PARAMETERS.isdisjoint(index):
        return []
    return [f"{code}|{value}" for code in _CODES if code in index for value in index[code]]


def among(expression: Expression) -> Expression | None:
    """What is true of the strings of everything of which the expression is true; None if that says nothing of labels."""
    return implied(expression, _of_term)


def _of_term(term: Expression) -> Expression | None:
    match term:
        case In(path, values) if path in _PATHS:
            return In(PATH, frozenset(f"{_PATHS[path]}|{value}" for value in values))
        case Prefixed(path, text) if path in _PATHS:
            return Prefixed(PATH, f"{_PATHS[path]}|{text}")
        case _:
            return None
