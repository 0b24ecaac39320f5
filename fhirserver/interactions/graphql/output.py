"""The directives of R4: what is selected takes another shape in the answer.

`@flatten` puts what is below a field in its place, `@first` keeps one item, `@singleton` makes no list of it, and `@slice` gives
each item a name of its own. Shapes are made when all is there, from the inside out.

https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import FieldNode, GraphQLDirective, get_directive_values

from fhirserver.interactions.graphql.schema import FIRST, FLATTEN, SINGLETON, SLICE
from fhirserver.model.outcome import BadRequest, FhirError

Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of a field."""

    flatten: bool = False
    first: bool = False
    singleton: bool = False
    slice: str | None = None

    @classmethod
    def of(cls, node: FieldNode, variables: dict[str, Any]) -> Directives:
        """Those that stand on the field. Raises GraphQLError."""
        if not node.directives:
            return _NONE

        def stands(directive: GraphQLDirective) -> bool:
            return get_directive_values(directive, node, variables) is not None

        named = get_directive_values(SLICE, node, variables)
        return cls(stands(FLATTEN), stands(FIRST), stands(SINGLETON), None if named is None else named["path"])

    @property
    def shapes(self) -> bool:
        """Whether the answer takes another shape by them."""
        return self.flatten or self.singleton or self.slice is not None


_NONE = Directives()


@dataclass(frozen=True, slots=True)
class _Shape:
    object: dict[str, Any]
    key: str
    directives: Directives
    names: Sequence[str]
    path: Path
    is_list: bool


@dataclass(slots=True)
class Output:
    """The shapes that are still to be made, in the order in which their objects were."""

    _shapes: list[_Shape] = field(default_factory=list)
    _single: dict[int, set[str]] = field(default_factory=dict)

    def note(
        self,
        object: dict[str, Any],
        key: str,
        directives: Directives,
        names: Sequence[str],
        path: Path,
        *,
        is_list: bool,
    ) -> None:
        """Remember that the field of this name takes another shape; `names` are those of its items."""
        self._shapes.append(_Shape(object, key, directives, names, path, is_list))

    def shape(self) -> Iterator[tuple[Path, FhirError]]:
        """Make the shapes; the errors of those that cannot be made, with their places."""
        for each in reversed(self._shapes):
            try:
                self._make(each)
            except BadRequest as error:
                yield each.path, error

    def _make(self, shape: _Shape) -> None:
        object, key, directives = shape.object, shape.key, shape.directives
        value = object[key]
        items = value if isinstance(value, list) else [value]
        if directives.flatten and all(isinstance(each, dict | None) for each in items):
            del object[key]
            self._flatten(shape, [each or {} for each in items])
        elif directives.slice is not None:
            del object[key]
            for number, each in enumerate(items):
                _add(object, _named(key, shape.names, number), each, as_list=False)
        elif directives.singleton:
            self._single.setdefault(id(object), set()).add(key)
            object[key] = None
            object[key] = _only(items)

    def _flatten(self, shape: _Shape, items: Sequence[Mapping[str, Any]]) -> None:
        object = shape.object
        as_list = shape.is_list and shape.directives.slice is None
        for number, item in enumerate(items):
            single = self._single.get(id(item), ())
            for name, value in item.items():
                key = _named(name, shape.names, number)
                if name in single:
                    self._single.setdefault(id(object), set()).add(key)
                    object[key] = _only([each for each in (object.get(key), value) if each is not None])
                else:
                    _add(object, key, value, as_list=as_list)


def _named(key: str, names: Sequence[str], number: int) -> str:
    return f"{key}.{names[number]}" if number < len(names) else key


def _add(object: dict[str, Any], key: str, value: Any, *, as_list: bool) -> None:
    """Put a value beside those that are there under this name."""
    if not as_list and key not in object:
        object[key] = value
        return
    there = object.get(key)
    joined = there if isinstance(there, list) else [] if there is None else [there]
    object[key] = [*joined, *(value if isinstance(value, list) else [] if value is None else [value])]


def _only(items: Sequence[Any]) -> Any:
    if len(items) > 1:
        raise BadRequest("There is more than one value where '@singleton' says there is one.")
    return items[0] if items else None
