"""Contained resources taken out of the containers that a search finds: which they are, how many, and on which page.

A page may end between two resources of one container. Then the next one begins with that container again, behind what was shown of it.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from fhirserver.model.resource import Version
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Expression, In, all_of
from fhirserver.search.index.contained import CONTAINED
from fhirserver.search.match import match
from fhirserver.store.connection.client import Document
from fhirserver.store.history.versions import as_version
from fhirserver.store.layout.indexes import Order
from fhirserver.store.resources.paging import Position, position_of, value_at
from fhirserver.store.resources.rows import Rows


class _Container(msgspec.Struct):
    contained: list[msgspec.Raw] = []  # msgspec copies it


_read = msgspec.json.Decoder(_Container).decode


@dataclass(frozen=True, slots=True)
class Taking:
    """What is taken out of containers of one type: resources of another, of which the term is true."""

    container: str
    resource_type: str
    term: Expression
    order: Order

    def of(
        self, rows: Rows, count: int, start: Position | None
    ) -> tuple[list[Version], list[Position], Position | None]:
        """At most `count` of the contained resources behind the start, the position behind each, and where the next page begins."""
        found: list[Version] = []
        behind: list[Position] = []
        for row in rows.rows:
            for version, position in self._of_row(row, start):
                if len(found) == count:
                    return found, behind, behind[-1]
                found.append(version)
                behind.append(position)
        return found, behind, rows.next

    def counting(self, filter: Document, most: int | None) -> list[Document]:
        """The pipeline that counts all of them, or no further than to `most`."""
        limit: list[Document] = [{"$limit": most}] if most is not None else []
        return [
            {"$match": filter},
            {"$project": {CONTAINED: 1}},
            {"$unwind": f"${CONTAINED}"},
            {"$replaceRoot": {"newRoot": f"${CONTAINED}"}},
            {"$match": compile_filter(self._wanted)},
            *limit,
            {"$count": "n"},
        ]

    @property
    def _wanted(self) -> Expression:
        return all_of(In("type", frozenset((self.resource_type,))), self.term)

    def _of_row(self, row: Document, start: Position | None) -> Iterator[tuple[Version, Position]]:
        last = position_of(self.order, row)
        elements = [each for each in value_at(row, CONTAINED) or () if match(self._wanted, each)]
        shown = start.shown if start is not None and start.id == row["_id"] else 0
        if shown >= len(elements):
            return
        texts = _read(row["json"]).contained
        container = as_version(self.container, row)
        for number, each in enumerate(elements[shown:], shown + 1):
            version = container._replace(
                resource_type=self.resource_type,
                id=each["_id"],
                json=bytes(texts[each["n"]]),
                within=f"{self.container}/{row['_id']}",
            )
            yield version, last if number == len(elements) else replace(last, shown=number)


def number_of(counted: list[Document]) -> int:
    """What `counting` counted."""
    number: Any = counted[0]["n"] if counted else 0
    return int(number)
