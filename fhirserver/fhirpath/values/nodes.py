"""Nodes: a value with the name of its type, and what kind of value FHIRPath takes it for.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from fhirserver.fhirpath.errors import Misuse

Node = tuple[str, Any]
"""A value with the name of its type: of FHIR (`code`; of nested elements `BackboneElement:` and the path), or of FHIRPath
itself (`System.String`)."""

Nodes = Sequence[Node]


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """A primitive that has an id or extensions; `value` is None where it has only these."""

    value: Any
    element: Mapping[str, Any]


_FOREIGN = "\0"


@dataclass(frozen=True, slots=True)
class Amount:
    """FHIRPath's own Quantity: a number and a UCUM unit, or one of the calendar's words in the singular."""

    value: Decimal
    unit: str = "1"
    calendar: bool = False

    @property
    def is_foreign(self) -> bool:
        """Whether its unit is none of UCUM: FHIRPath itself has no such Quantity."""
        return self.unit.startswith(_FOREIGN)

    def __str__(self) -> str:
        return f"{self.value:f} {self.unit}" if self.calendar else f"{self.value:f} '{self.unit}'"


class Kind(Enum):
    """What an operator sees in a value."""

    BOOLEAN = "Boolean"
    STRING = "String"
    INTEGER = "Integer"
    DECIMAL = "Decimal"
    DATE = "Date"
    DATETIME = "DateTime"
    TIME = "Time"
    QUANTITY = "Quantity"


KINDS: Mapping[str, Kind] = {
    **{f"System.{kind.value}": kind for kind in Kind},
    **dict.fromkeys(
        ("string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "base64Binary", "xhtml"),
        Kind.STRING,
    ),
    **dict.fromkeys(("integer", "unsignedInt", "positiveInt"), Kind.INTEGER),
    **dict.fromkeys(("dateTime", "instant"), Kind.DATETIME),
    **dict.fromkeys(
        ("Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"), Kind.QUANTITY
    ),
    "boolean": Kind.BOOLEAN,
    "decimal": Kind.DECIMAL,
    "date": Kind.DATE,
    "time": Kind.TIME,
}
"""The kind of each type that has one; the others are elements and resources."""

NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL})
DATES = frozenset({Kind.DATE, Kind.DATETIME})

STRING, BOOLEAN, INTEGER, DECIMAL, DATE, DATETIME, TIME, QUANTITY = (
    f"System.{name}" for name in ("String", "Boolean", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity")
)
TRUE: Node = (BOOLEAN, True)
FALSE: Node = (BOOLEAN, False)


def plain(value: Any) -> Any:
    """The value without id and extensions."""
    return value.value if value.__class__ is Primitive else value


def operand(node: Node) -> tuple[Kind | None, Any]:
    """The kind and the plain value; quantities of FHIR as FHIRPath's own, if they can be."""
    type, value = node
    kind = KINDS.get(type)
    if kind is None:
        return None, value
    value = plain(value)
    if kind is Kind.QUANTITY and value.__class__ is dict:
        amount = amount_of(value)
        return (None, value) if amount is None else (kind, amount)
    if value is None:
        return None, node[1]
    if kind is Kind.DECIMAL and not isinstance(value, Decimal) and isinstance(value, int | float):
        value = Decimal(value)
    return kind, value


CALENDAR_CODES = {
    "a": "year", "mo": "month", "wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond",
}  # fmt: skip
"""UCUM's units of time and the calendar's words for them."""
UCUM = "http://unitsofmeasure.org"
_MAPPED = ("a", "mo", "d", "h", "min", "s")
"""Codes that R4 reads as the calendar's words in a Quantity of FHIR: https://hl7.org/fhir/R4/fhirpath.html#quantity"""


def amount_of(quantity: Mapping[str, Any]) -> Amount | None:
    """A Quantity of FHIR as FHIRPath's own; None if it has no value, or a comparator."""
    value = plain(quantity.get("value"))
    if value is None or "comparator" in quantity:
        return None
    code, system, unit = (plain(quantity.get(name)) for name in ("code", "system", "unit"))
    if system == UCUM and isinstance(code, str):
        is_mapped = code in _MAPPED
        return Amount(Decimal(value), CALENDAR_CODES[code] if is_mapped else code, calendar=is_mapped)
    if code is None and unit is None:
        return Amount(Decimal(value))
    # Not a unit of UCUM: it is like itself alone.
    return Amount(Decimal(value), f"{_FOREIGN}{system}|{code or unit}")


def single(nodes: Nodes, what: str) -> Node | None:
    """The one node; None if there is none. More are a mistake."""
    if not nodes:
        return None
    if len(nodes) > 1:
        raise Misuse(f"{what} needs a single item, not {len(nodes)}.")
    return nodes[0]


def text(nodes: Nodes, what: str) -> str | None:
    """The one string; None if there is none."""
    if len(nodes) == 1:
        type, value = nodes[0]
        if value.__class__ is str and KINDS.get(type) is Kind.STRING:
            return value
    return single_of(nodes, Kind.STRING, what)  # type: ignore[no-any-return]


def integer(nodes: Nodes, what: str) -> int | None:
    """The one integer; None if there is none."""
    return single_of(nodes, Kind.INTEGER, what)  # type: ignore[no-any-return]


def single_of(nodes: Nodes, wanted: Kind, what: str) -> Any:
    """The plain value of the one node, which must be of this kind; None if there is none."""
    node = single(nodes, what)
    if node is None:
        return None
    kind, value = operand(node)
    if kind is wanted:
        return value
    if plain(node[1]) is None:
        return None
    raise Misuse(f"{what} needs {'an' if wanted is Kind.INTEGER else 'a'} {wanted.value}, not {named(node[0])}.")


def truth_of(nodes: Nodes) -> bool | None:
    """A collection as a condition: one boolean is itself, any other single item is true."""
    node = single(nodes, "A condition")
    if node is None:
        return None
    if KINDS.get(node[0]) is Kind.BOOLEAN:
        return plain(node[1])  # type: ignore[no-any-return]
    return True


def named(type: str) -> str:
    """How a sentence names a type."""
    return type.rpartition(":")[2]


def decided(truth: bool | None) -> list[Node]:
    """True, false or neither as nodes."""
    if truth is None:
        return []
    return [TRUE] if truth else [FALSE]
