"""The tables under construction: each distinct value gets a number when it is first met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from fhirserver.definitions.wire import WireTables

K = TypeVar("K")


class _Table(Generic[K]):
    """Values in the order in which they were first met."""

    def __init__(self) -> None:
        self._numbers: dict[K, int] = {}

    def number(self, value: K) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def values(self) -> list[K]:
        return list(self._numbers)


class Tables:
    """The tables of a file."""

    def __init__(self) -> None:
        self._types: _Table[tuple[str, tuple[str, ...], tuple[str, ...]]] = _Table()
        self._bindings: _Table[tuple[str, str | None, str | None]] = _Table()
        self._constraints: _Table[tuple[str, str, str]] = _Table()
        self._constraint_lists: _Table[tuple[int, ...]] = _Table()
        self._names: _Table[tuple[str, ...]] = _Table()

    def type(self, code: str, targets: Sequence[str], profiles: Sequence[str]) -> int:
        """The number of an element type."""
        return self._types.number((code, tuple(targets), tuple(profiles)))

    def binding(self, strength: str, value_set: str | None, maximum: str | None) -> int:
        """The number of a binding."""
        return self._bindings.number((strength, value_set, maximum))

    def constraint_list(self, constraints: Sequence[tuple[str, str, str]]) -> int:
        """The number of a list of constraints."""
        return self._constraint_lists.number(tuple(self._constraints.number(each) for each in constraints))

    def names(self, names: Sequence[str]) -> int:
        """The number of a list of resource type names."""
        return self._names.number(tuple(names))

    def bound_value_sets(self) -> list[str]:
        """The value sets that no value may leave: of required bindings, and the maximum of the others."""
        bound = {value_set for strength, value_set, _ in self._bindings.values() if strength == "required"}
        bound |= {maximum for _, _, maximum in self._bindings.values()}
        return sorted(each for each in bound if each)

    def wire(self) -> WireTables:
        """The tables in the form of the file."""
        return WireTables(
            types=[(code, list(targets), list(profiles)) for code, targets, profiles in self._types.values()],
            bindings=self._bindings.values(),
            constraints=self._constraints.values(),
            constraint_lists=[list(each) for each in self._constraint_lists.values()],
            names=[list(each) for each in self._names.values()],
        )
