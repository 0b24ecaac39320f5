"""Fixed values, patterns and bounds of values.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhirserver.fhirpath.values.dates import compared, compared_times


def is_same(value: Any, fixed: Any) -> bool:
    """Whether the value is exactly the fixed one: nothing more, nothing less, nothing in another order."""
    if isinstance(fixed, Mapping):
        return (
            isinstance(value, Mapping)
            and value.keys() == fixed.keys()
            and all(is_same(value[k], fixed[k]) for k in fixed)
        )
    if isinstance(fixed, list):
        return isinstance(value, list) and len(value) == len(fixed) and all(map(is_same, value, fixed))
    return _is_equal(value, fixed)


def is_like(value: Any, pattern: Any, spend: Callable[[], None]) -> bool:
    """Whether the value has at least what the pattern has; each item of its lists somewhere in the value's. `spend` counts."""
    spend()
    if isinstance(pattern, Mapping):
        if not isinstance(value, Mapping):
            return False
        return all(key in value and is_like(value[key], pattern[key], spend) for key in pattern)
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(is_like(each, one, spend) for each in value) for one in pattern)
    return _is_equal(value, pattern)


def _is_equal(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool | str) or other is None:
        return type(value) is type(other) and bool(value == other)
    return number(value) is not None and number(value) == number(other)


def number(value: Any) -> Decimal | None:
    """A number of JSON, exactly as it was written."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return Decimal(str(value)) if isinstance(value, float) else Decimal(value)


def order(type: str, value: Any, bound: Any) -> int | None:
    """Whether a value lies below, at or above a bound: -1, 0 or 1; None where that cannot be said."""
    if type == "Quantity" and isinstance(value, Mapping) and isinstance(bound, Mapping):
        units = [(each.get("system"), each.get("code", each.get("unit"))) for each in (value, bound)]
        return order("decimal", value.get("value"), bound.get("value")) if units[0] == units[1] else None
    one, other = number(value), number(bound)
    if one is not None and other is not None:
        return (one > other) - (one < other)
    if not isinstance(value, str) or not isinstance(bound, str):
        return None
    if type == "time":
        return compared_times(value, bound)
    return compared(value, bound) if type in ("date", "dateTime", "instant") else None
