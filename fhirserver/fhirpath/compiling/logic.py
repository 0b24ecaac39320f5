"""Three-valued logic: true, false, and None for neither.

https://hl7.org/fhirpath/N1/#boolean-logic
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.runtime import Truth


def both(left: Truth, right: Truth) -> Truth:
    """`and`"""

    def truth(value: object, environment: Environment) -> bool | None:
        first = left(value, environment)
        if first is False:
            return False
        second = right(value, environment)
        if second is False:
            return False
        return None if first is None or second is None else True

    return truth


def either(left: Truth, right: Truth) -> Truth:
    """`or`"""

    def truth(value: object, environment: Environment) -> bool | None:
        first = left(value, environment)
        if first:
            return True
        second = right(value, environment)
        if second:
            return True
        return None if first is None or second is None else False

    return truth


def one_of_two(left: Truth, right: Truth) -> Truth:
    """`xor`"""

    def truth(value: object, environment: Environment) -> bool | None:
        first, second = left(value, environment), right(value, environment)
        return None if first is None or second is None else first is not second

    return truth


def negated(inner: Truth) -> Truth:
    """`not()`"""

    def truth(value: object, environment: Environment) -> bool | None:
        result = inner(value, environment)
        return None if result is None else not result

    return truth


def implied(left: Truth, right: Truth) -> Truth:
    """`implies`"""
    return either(negated(left), right)


INFIX: Mapping[str, Callable[[Truth, Truth], Truth]] = {
    "and": both,
    "or": either,
    "xor": one_of_two,
    "implies": implied,
}
"""The operators between conditions."""
