"""Which elements of its focus an expression looks at first: what a message about it can show.

https://hl7.org/fhirpath/N1/#path-selection
"""

from __future__ import annotations

from fhirserver.fhirpath.language.parser import parse
from fhirserver.fhirpath.language.syntax import (
    Call,
    Expression,
    Indexer,
    Member,
    Operation,
    Polarity,
    TypeOperation,
    Union,
)

INNER = frozenset({"where", "select", "all", "exists", "repeat", "aggregate", "ofType", "as", "is", "trace"})
"""Functions whose arguments look at something else than the focus."""


def mentioned(expression: str) -> tuple[str, ...]:
    """The names, in the order of the text, each once."""
    return tuple(dict.fromkeys(_names(parse(expression))))


def _names(tree: Expression | None) -> list[str]:
    match tree:
        case Member(target=None, name=name):
            return [] if name[:1].isupper() else [name]
        case Member(target=Member(target=None, name=root), name=name) if root[:1].isupper():
            return [name]
        case Member(target=target):
            return _names(target)
        case Call(target=target, name=function, arguments=arguments):
            found = _names(target)
            for argument in () if function in INNER and target is not None else arguments:
                found += _names(argument)
            return found
        case Indexer(target=target):
            return _names(target)
        case Operation(left=left, right=right):
            return _names(left) + _names(right)
        case Union(operands=operands):
            return [name for operand in operands for name in _names(operand)]
        case Polarity(operand=operand) | TypeOperation(operand=operand):
            return _names(operand)
        case _:
            return []
