"""The order of a search and the place in it where a page begins.

Pages are keyset ranges over the sort scalars and `_id`, so a row whose match and sort values do not change is met exactly once.
What has no value comes last, in both directions. MongoDB puts it last only when descending; ascending it is a range of its own.
A page before a row is the page after it in the opposite order, turned round.

https://hl7.org/fhir/R4/search.html#sort and https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from fhirserver.model.outcome import BadRequest
from fhirserver.search.request import SortKey
from fhirserver.store.connection.client import Document
from fhirserver.store.layout.indexes import BY_ID, Order

_NEVER_MISSING: Final = frozenset({"_id", "updated"})
_STALE = "The page link does not fit this search any more. Start the search again."


@dataclass(frozen=True, slots=True)
class Position:
    """A row that a page follows, or with `before` precedes: its value for each key of the order (None: it has none) and its id.

    Where only a part of the row was shown, of what it contains, the page begins with it, behind that part.
    """

    order: str
    values: tuple[str | int | datetime | None, ...]
    id: str
    before: bool = False
    shown: int = 0

    def as_dict(self) -> dict[str, Any]:
        """What a cursor carries."""
        return {
            "order": self.order,
            "values": list(self.values),
            "id": self.id,
            "before": self.before,
            "shown": self.shown,
        }

    @classmethod
    def from_dict(cls, sealed: Mapping[str, Any]) -> Position:
        """The position that a cursor carried."""
        return cls(sealed["order"], tuple(sealed["values"]), sealed["id"], sealed["before"], sealed.get("shown", 0))


def order_of(keys: Sequence[SortKey]) -> Order:
    """The order that `_sort` asks for, made total by `_id`; without `_sort`, by `_id`."""
    order: dict[str, int] = {}
    for key in keys:
        order.setdefault(key.path, -1 if key.descending else 1)
        if key.path == "_id":
            return tuple(order.items())
    return (*order.items(), ("_id", order[keys[-1].path])) if keys else BY_ID


def signature(order: Order) -> str:
    """The order as text: a position counts only in the order it was taken from."""
    return ",".join(f"{'-' if direction < 0 else ''}{path}" for path, direction in order)


def checked(position: Position | None, order: Order) -> Position | None:
    """The position, if it was taken from this order."""
    if position is not None and position.order != signature(order):
        raise BadRequest(_STALE)
    return position


def with_its_row(position: Position | None, order: Order) -> Position | None:
    """The position from which the row itself follows, where only a part of it was shown."""
    if position is None or not position.shown:
        return position
    start, last = position.id[:-1], position.id[-1:]
    # No id lies between: none has a character so high, or so low.
    neighbour = f"{start}{chr(ord(last) - 1)}\U0010ffff" if order[-1][1] > 0 else f"{position.id}\0"
    return replace(position, id=neighbour)


def position_of(order: Order, row: Document, *, before: bool = False) -> Position:
    """The position right behind this row, or right before it."""
    return Position(signature(order), tuple(_scalar(value_at(row, path)) for path, _ in order[:-1]), row["_id"], before)


def turned(order: Order) -> Order:
    """The opposite order."""
    return tuple((path, -direction) for path, direction in order)


def value_at(row: Any, path: str) -> Any:
    """The scalar at a dotted path, or None."""
    for step in path.split("."):
        row = row.get(step) if isinstance(row, dict) else None
    return row


def ranges(order: Order, position: Position | None) -> list[Document]:
    """The filters whose rows, one after the other and each in the order, are what follows the position; of one key and `_id`.

    Before a position it is what precedes it, each in the opposite order.
    """
    if position is not None and position.before:
        return _ranges_before(turned(order), position)
    path, direction = order[0]
    is_sure = path in _NEVER_MISSING
    if position is None:
        return [{}] if is_sure or direction < 0 else [{path: {"$ne": None}}, {path: None}]
    beyond = "$gt" if direction > 0 else "$lt"
    if len(order) == 1:
        return [{"_id": {beyond: position.id}}]
    behind = "$gt" if order[1][1] > 0 else "$lt"
    value = position.values[0]
    if value is None:
        return [{path: None, "_id": {behind: position.id}}]
    rest = _beyond(order, value, position.id)
    return [rest] if is_sure else [rest, {path: None}]


def _ranges_before(order: Order, position: Position) -> list[Document]:
    """The same in the opposite order, which is given: there what has no value comes first."""
    path, direction = order[0]
    if len(order) == 1:
        return [{"_id": {"$gt" if direction > 0 else "$lt": position.id}}]
    value = position.values[0]
    if value is not None:
        return [_beyond(order, value, position.id)]
    return [{path: None, "_id": {"$gt" if order[1][1] > 0 else "$lt": position.id}}, {path: {"$ne": None}}]


def _beyond(order: Order, value: Any, id: str) -> Document:
    """What has a value and stands beyond this one and this id."""
    (path, direction), (_, ids) = order
    # `$nor` and not `$or`, so that the planner sees one range and not several.
    seen = {path: value, "_id": {"$lte" if ids > 0 else "$gte": id}}
    return {path: {"$gte" if direction > 0 else "$lte": value}, "$nor": [seen]}


def pipeline(filter: Document, order: Order, position: Position | None, limit: int) -> list[Document]:
    """The ids and sort values that follow the position, for an order of several keys or one that no index keeps.

    Before a position they are those that precede it, in the opposite order. MongoDB sorts these in memory, so they are small: the rows themselves are fetched by id afterwards.
    """
    computed: Document = {"_id": 1}
    sort: Document = {}
    for number, (path, direction) in enumerate(order[:-1]):
        computed[f"missing{number}"] = {"$cond": [{"$gt": [f"${path}", None]}, 0, 1]}
        computed[f"value{number}"] = f"${path}"
        sort[f"missing{number}"] = 1
        sort[f"value{number}"] = direction
    sort["_id"] = order[-1][1]
    if position is not None and position.before:
        sort = {name: -direction for name, direction in sort.items()}
    stages: list[Document] = [{"$match": filter}, {"$project": computed}]
    if position is not None:
        stages.append({"$match": {"$or": _following(position, sort)}})
    return [*stages, {"$sort": sort}, {"$limit": limit}]


def pipeline_position(order: Order, row: Document, *, before: bool) -> Position:
    """The position right behind a row of `pipeline`, or right before it."""
    values = tuple(_scalar(row.get(f"value{number}")) for number in range(len(order) - 1))
    return Position(signature(order), values, row["_id"], before)


def _scalar(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _following(position: Position, sort: Document) -> list[Document]:
    values: Document = {}
    for number, value in enumerate(position.values):
        values[f"missing{number}"] = int(value is None)
        values[f"value{number}"] = value
    values["_id"] = position.id
    alternatives: list[Document] = []
    equal: Document = {}
    for name, direction in sort.items():
        if values[name] is not None:
            alternatives.append({**equal, name: {"$gt" if direction > 0 else "$lt": values[name]}})
        equal[name] = values[name]
    return alternatives
