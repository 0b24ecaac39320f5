"""The hierarchy of a code system: which code is below which, as a closure table whose rows are made when they are asked for.

A code may have several parents, and a code system that somebody stored may run in a circle: codes of a circle are below one another.

https://hl7.org/fhir/R4/codesystem.html#hierachy
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MAX_KEPT = 200_000
"""Codes in the rows that one hierarchy keeps; past it they are made anew each time."""

Edges = Mapping[str, Iterable[str]]


class Hierarchy:
    """Codes with their parents. What is asked of codes that are not in it: they stand alone."""

    def __init__(self, parents: Mapping[str, Iterable[str]]) -> None:
        self.parents: Mapping[str, tuple[str, ...]] = {code: tuple(each) for code, each in parents.items()}
        children: dict[str, list[str]] = {}
        for code, above in self.parents.items():
            for parent in above:
                children.setdefault(parent, []).append(code)
        self.children: Mapping[str, list[str]] = children
        self._above: dict[str, frozenset[str]] = {}
        self._below: dict[str, frozenset[str]] = {}
        self._kept = 0

    def ancestors(self, code: str) -> frozenset[str]:
        """The code, and every code above it."""
        return self._row(self._above, self.parents, code)

    def descendants(self, code: str) -> frozenset[str]:
        """The code, and every code below it."""
        return self._row(self._below, self.children, code)

    def is_a(self, code: str, ancestor: str) -> bool:
        """Whether the code is the ancestor or below it."""
        return code == ancestor or ancestor in self.ancestors(code)

    def _row(self, rows: dict[str, frozenset[str]], edges: Edges, code: str) -> frozenset[str]:
        row = rows.get(code)
        if row is None:
            row = _reached(edges, code)
            self._kept += len(row)
            if self._kept <= MAX_KEPT:
                rows[code] = row
        return row


def _reached(edges: Edges, code: str) -> frozenset[str]:
    seen, waiting = {code}, [code]
    while waiting:
        for each in edges.get(waiting.pop(), ()):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return frozenset(seen)
