"""The criteria of conditional interactions: a search of one type, always strict, with the lock that writers of one criterion share.

https://hl7.org/fhir/R4/http.html#ccreate and https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.terminology import answered_expression
from fhirserver.model.outcome import BadRequest, PreconditionFailed
from fhirserver.search.expression import All, Expression
from fhirserver.search.query.pairs import Pair, parse_query
from fhirserver.search.query.parse import ELSEWHERE
from fhirserver.search.query.result import READERS

NO_CRITERIA: Final = "A conditional interaction needs criteria: search parameters that say which resource is meant."
MANY: Final = "The criteria find several resources; they must find one."

VALUES: Final = 50
"""Values of one criterion, which is to find one resource: a Bundle has a thousand of them."""
_KEY_DIGITS: Final = 5
"""Hexadecimal digits of a lock: a million locks, however many criteria there are. Two criteria may share one."""
_LOCAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which resources of a type are meant."""

    resource_type: str
    expression: Expression
    pairs: tuple[Pair, ...]

    @property
    def key(self) -> str:
        """The lock of these criteria: the same however they are spelled."""
        text = f"{self.resource_type}?{_spelled(self.expression)}"
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]

    @property
    def is_one_identifier(self) -> bool:
        """Whether this is one complete identifier, its system and its value, and nothing else."""
        if len(self.pairs) != 1 or self.pairs[0][0] != "identifier":
            return False
        system, bar, value = self.pairs[0][1].partition("|")
        return bool(bar and system and value) and "," not in value and "|" not in value and "\\" not in value


def criteria_of(context: Context, resource_type: str, pairs: Sequence[Pair]) -> Criteria:
    """Read criteria. Raises PreconditionFailed where there are none, BadRequest for what is not supported, whatever `Prefer` says."""
    services = context.services
    named = [(name, value) for name, value in pairs if name not in ELSEWHERE and name not in READERS]
    if not any(value for _, value in named):
        raise PreconditionFailed(NO_CRITERIA)
    request = services.parse_search(resource_type, named, bounds=replace(services.bounds, values=VALUES))
    if len(request.used) != len(named):
        raise BadRequest("A criterion has no value: it cannot be told which resource is meant.")
    return Criteria(resource_type, request.expression, tuple(named))


async def answered_criteria(context: Context, criteria: Criteria) -> Criteria:
    """The criteria with what they ask of code systems and value sets answered. Raises PreconditionFailed where every resource meets them."""
    expression = await answered_expression(context, criteria.expression)
    if isinstance(expression, All):
        raise PreconditionFailed(NO_CRITERIA)
    return criteria if expression is criteria.expression else replace(criteria, expression=expression)


def conditional_reference(text: str, base_url: str) -> tuple[str, list[Pair]] | None:
    """The type and the pairs of a reference by criteria (`Patient?identifier=...`); None if it is another reference."""
    if "?" not in text:
        return None
    found = _LOCAL.fullmatch(text.removeprefix(base_url + "/"))
    return None if found is None else (found[1], parse_query(found[2].encode()))


def _spelled(value: Any) -> str:
    """An expression as text, the same in every process: the order of terms and of values says nothing."""
    if isinstance(value, frozenset | tuple):
        return f"({','.join(sorted(map(_spelled, value)))})"
    if isinstance(value, Expression):
        return f"{type(value).__name__}{[_spelled(getattr(value, name)) for name in value.__dataclass_fields__]}"
    return repr(value)
