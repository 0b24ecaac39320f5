"""Every quantity of a resource in one array of strings, so that one index serves all its quantity parameters and composites.

A string is the kind of unit, how the quantity lies, and its number: `w` as written or `c` with the base units, then `=` for a point, or
`<` and `>` for the low and the high end of what is open or long, then the number as a string that sorts. What is asked of them narrows
a search and decides nothing: the parameters' own conditions stay beside it.

https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhirserver.search.expression import And, Expression, In, Range, Scalar, Some, any_of, implied
from fhirserver.search.index.contained import CONTAINED
from fhirserver.search.parameters.number import HIGHEST, LOWEST

QUANTITIES: Final = "_quantities"
PATH: Final = f"index.{QUANTITIES}"

_WRITTEN, _BASE = "w", "c"


def gathered(index: Mapping[str, Any]) -> list[str]:
    """The strings of the quantities among these search values."""
    found: list[str] = []
    for code, values in index.items():
        # What begins with an underscore gathers words, endings, pairs: not the values of one parameter.
        if type(values) is dict and _WRITTEN in values and code[0] != "_":
            for each in values[_WRITTEN]:
                found += _strings(_WRITTEN, each)
            for each in values.get(_BASE, ()):
                found += _strings(_BASE + each["u"], each)
    return list(dict.fromkeys(found)) if found else found


def _strings(kind: str, interval: Mapping[str, str]) -> tuple[str, ...]:
    low, high = interval["lo"], interval["hi"]
    return (f"{kind}={low}",) if low == high else (f"{kind}<{low}", f"{kind}>{high}")


def among(expression: Expression) -> Expression | None:
    """What is true of the strings of everything of which the expression is true; None if that says nothing of quantities."""
    return implied(expression, _of_term)


def _of_term(term: Expression) -> Expression | None:
    match term:
        case Some(path, inner) if path != CONTAINED:
            last = path.rpartition(".")[2]
            return _interval(last, inner) if last in (_WRITTEN, _BASE) else among(inner)
        case _:
            return None


def _interval(kind: str, term: Expression) -> Expression | None:
    terms = term.terms if isinstance(term, And) else (term,)
    # What the low end is above the high end is above too, and what the high end is below the low end is below.
    ranges = [each for each in terms if isinstance(each, Range)]
    low = next((each.low for each in ranges if each.low is not None), None)
    high = next((each.high for each in ranges if each.high is not None), None)
    if low is None and high is None:
        return None
    kinds = [_WRITTEN] if kind == _WRITTEN else [_BASE + unit for unit in _units(terms)]
    return any_of(*(each for kind in kinds for each in _ranges(kind, low, high))) if kinds else None


def _units(terms: tuple[Expression, ...]) -> list[str]:
    return sorted(str(value) for each in terms if isinstance(each, In) and each.path == "u" for value in each.values)


def _ranges(kind: str, low: Scalar | None, high: Scalar | None) -> Iterator[Expression]:
    yield Range(PATH, f"{kind}={low or LOWEST}", f"{kind}={high or HIGHEST}")
    # Of an interval that reaches into both ends it is enough to look at one.
    if low is not None:
        yield Range(PATH, f"{kind}>{low}", f"{kind}>{HIGHEST}")
    else:
        yield Range(PATH, f"{kind}<{LOWEST}", f"{kind}<{high}")
