"""The items of a list: which are asked for, by their elements, an expression, or their number; and what each is called.

https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from fhirserver.fhirpath import Engine, FhirPathError
from fhirserver.fhirpath.values.nodes import plain
from fhirserver.interactions.graphql import fields
from fhirserver.interactions.graphql.budget import STEPS, Budget
from fhirserver.model.outcome import BadRequest

EXPRESSION_LIMIT: Final = 1_000
"""Characters of a FHIRPath expression."""

_INDEX: Final = "$index"
_NAME_LIMIT: Final = 100


@dataclass(slots=True)
class Filters:
    """Chooses items, within the query's budget. Nothing outside of an item can be reached from its expression."""

    engine: Engine
    now: datetime
    budget: Budget

    def filtered(self, items: Sequence[Any], type: str | None, arguments: Mapping[str, Any]) -> Sequence[Any]:
        """The items that these arguments ask for. Raises BadRequest."""
        for name, value in arguments.items():
            if value is None or name in (fields.OFFSET, fields.COUNT):
                continue
            if name == fields.FHIRPATH:
                items = [each for each in items if self._holds(value, each, type)]
            else:
                items = [each for each in items if isinstance(each, dict) and _text(each.get(name)) == value]
        return _portion(items, arguments.get(fields.OFFSET), arguments.get(fields.COUNT))

    def names(self, path: str | None, items: Sequence[Any], type: str | None) -> list[str]:
        """What each item is called, by its number or an expression. Raises BadRequest."""
        if path is None:
            return []
        if path == _INDEX:
            return [str(number) for number in range(len(items))]
        return [_joined(self._evaluated(path, each, type)) for each in items]

    def _holds(self, expression: str, item: Any, type: str | None) -> bool:
        return self._evaluated(expression, item, type) == [True]

    def _evaluated(self, expression: str, item: Any, type: str | None) -> list[Any]:
        self.budget.expression()
        if len(expression) > EXPRESSION_LIMIT:
            raise BadRequest(
                f"A FHIRPath expression has at most {EXPRESSION_LIMIT} characters here.", code="too-costly"
            )
        of = item.get("resourceType", type) if isinstance(item, dict) else type
        try:
            found = self.engine.evaluate(expression, item, type=of, now=self.now, steps=STEPS)
        except FhirPathError as error:
            raise BadRequest(str(error)) from None
        return [plain(value) for _, value in found]


def _portion(items: Sequence[Any], offset: int | None, count: int | None) -> Sequence[Any]:
    if (offset or 0) < 0 or (count or 0) < 0:
        raise BadRequest(f"'{fields.OFFSET}' and '{fields.COUNT}' are zero or more.")
    start = offset or 0
    return items[start:] if count is None else items[start : start + count]


def _joined(values: list[Any]) -> str:
    return ".".join(filter(None, map(_text, values)))[:_NAME_LIMIT]


def _text(value: Any) -> str | None:
    """A primitive as JSON would write it; None of anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(getattr(value, "text", value))
    return value if isinstance(value, str) else None
