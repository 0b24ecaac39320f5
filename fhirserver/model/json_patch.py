"""JSON Patch and the JSON Pointers in it, over parsed JSON with exact decimals.

A patch is read once, with everything that is wrong in it, and then applied as a whole: the first operation that cannot be done
ends it. What it copies is bounded, because a patch of a few hundred bytes can double a document a thousand times.

https://www.rfc-editor.org/rfc/rfc6902 and https://www.rfc-editor.org/rfc/rfc6901
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fhirserver.model.json import NESTING_LIMIT, RESOURCE_LIMIT, dump
from fhirserver.model.outcome import BadRequest, Issue, TooLarge, Unprocessable

OPERATIONS_LIMIT: Final = 1_000
"""Operations of one patch."""

_WITH_VALUE: Final = frozenset(("add", "replace", "test"))
_WITH_SOURCE: Final = frozenset(("move", "copy"))
_OPERATIONS: Final = ("add", "remove", "replace", "move", "copy", "test")
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SHOWN: Final = 120
_END: Final = "-"
"""Stands for the place behind the last element of an array."""

Pointer = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, its pointers taken apart."""

    number: int
    op: str
    path: Pointer
    source: Pointer = ()
    value: Any = None


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """A patch that can be read; whether it can be applied depends on the document."""

    operations: tuple[Operation, ...]

    @classmethod
    def read(cls, document: Any) -> JsonPatch:
        """The patch that this parsed JSON is. Raises BadRequest with everything that is wrong in it."""
        if not isinstance(document, list):
            raise BadRequest("A JSON Patch is an array of operations.", expression="$this", code="structure")
        if len(document) > OPERATIONS_LIMIT:
            raise BadRequest(f"The patch has more than {OPERATIONS_LIMIT} operations.", code="too-long")
        issues = [issue for number, each in enumerate(document) for issue in _faults(number, each)]
        if issues:
            raise BadRequest.of(issues)
        return cls(tuple(_operation(number, each) for number, each in enumerate(document)))

    def apply(self, document: Any, *, root: str = "$this", limit: int = RESOURCE_LIMIT) -> Any:
        """The patched document; the one that is given may be changed. `root` begins the places of what cannot be done.

        Raises Unprocessable where a test fails or a place does not exist, TooLarge where more than `limit` bytes are copied.
        """
        under_way = _UnderWay(document, limit)
        for operation in self.operations:
            try:
                under_way.do(operation)
            except _CannotBeDone as error:
                raise _refusal(operation, error, root) from None
            except RecursionError:
                reason = f"nests deeper than {NESTING_LIMIT} levels"
                raise _refusal(operation, _CannotBeDone(operation.path, reason), root) from None
        if _ROOT not in under_way.holder:
            raise Unprocessable("The patch removes the whole document.", expression=root)
        return under_way.holder[_ROOT]


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal as `test` wants it: numbers by value, never a number and a boolean."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and bool(one == other)


# The document hangs in an object under this key, so that the whole of it can be added and removed as any other value.
_ROOT: Final = ""
_ABSENT: Final = "does not exist"


class _CannotBeDone(Exception):
    """An operation that cannot be done: at which place, and why, as the end of a sentence."""

    def __init__(self, path: Pointer, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class _UnderWay:
    """A document that is being patched, and how much may still be copied."""

    def __init__(self, document: Any, limit: int) -> None:
        self.holder: dict[str, Any] = {_ROOT: document}
        self._limit = self._left = limit

    def do(self, operation: Operation) -> None:
        path = (_ROOT, *operation.path)
        match operation.op:
            case "add":
                self._add(path, self._copied(operation.value))
            case "remove":
                self._remove(path)
            case "replace":
                container, key = self._existing(path)
                container[key] = self._copied(operation.value)
            case "move":
                self._add(path, self._remove((_ROOT, *operation.source)))
            case "copy":
                container, key = self._existing((_ROOT, *operation.source))
                self._add(path, self._copied(container[key]))
            case _:
                container, key = self._existing(path)
                if not equal(container[key], operation.value):
                    raise _CannotBeDone(operation.path, "is not equal to the value that the test names")

    def _add(self, path: Pointer, value: Any) -> None:
        container = self._container(path)
        if isinstance(container, list):
            at = len(container) if path[-1] == _END else _index(path, len(path) - 1, len(container) + 1)
            container.insert(at, value)
        else:
            container[path[-1]] = value

    def _remove(self, path: Pointer) -> Any:
        container, key = self._existing(path)
        return container.pop(key)

    def _existing(self, path: Pointer) -> tuple[Any, Any]:
        """The container of a value that is there, and the value's key or index in it."""
        container = self._container(path)
        if isinstance(container, list):
            return container, _index(path, len(path) - 1, len(container))
        if path[-1] not in container:
            raise _CannotBeDone(path[1:], _ABSENT)
        return container, path[-1]

    def _container(self, path: Pointer) -> dict[str, Any] | list[Any]:
        found: Any = self.holder
        for depth, token in enumerate(path[:-1]):
            if isinstance(found, list):
                found = found[_index(path, depth, len(found))]
            elif isinstance(found, dict) and token in found:
                found = found[token]
            else:
                raise _CannotBeDone(path[1 : depth + 1], _ABSENT)
        if not isinstance(found, dict | list):
            raise _CannotBeDone(path[1:], "lies inside a value that is neither an object nor an array")
        return found

    def _copied(self, value: Any) -> Any:
        """A copy that shares nothing with the original: later operations may change either."""
        self._left -= 1 + len(value) if isinstance(value, str | dict | list) else 1
        if self._left < 0:
            raise TooLarge(f"The patch adds and copies more than {self._limit} bytes.")
        if isinstance(value, dict):
            return {key: self._copied(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copied(item) for item in value]
        return value


def _index(path: Pointer, depth: int, size: int) -> int:
    """The index that stands at this depth of a path, below the size."""
    if _INDEX.fullmatch(path[depth]) is None:
        raise _CannotBeDone(path[1 : depth + 1], f"{_ABSENT}: an array is indexed by a whole number")
    if int(path[depth]) >= size:
        raise _CannotBeDone(path[1 : depth + 1], f"{_ABSENT}: the array is shorter")
    return int(path[depth])


def _faults(number: int, sent: Any) -> Iterator[Issue]:
    """What is wrong with an operation, whatever the document."""
    here = f"$this[{number}]"
    if not isinstance(sent, dict):
        yield Issue("error", "structure", "An operation is an object.", here)
        return
    op = sent.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        sentence = "is missing" if "op" not in sent else "is not one of them"
        yield Issue("error", "value", f"The op {sentence}: {', '.join(_OPERATIONS)}.", f"{here}.op")
        return
    for name in ("path", "from") if op in _WITH_SOURCE else ("path",):
        if (fault := _pointer_fault(sent.get(name))) is not None:
            yield Issue("error", "value", f"The {name} {fault}.", f"{here}.{name}")
            return
    if op in _WITH_VALUE and "value" not in sent:
        yield Issue("error", "required", "The value is missing.", f"{here}.value")
    if op == "move":
        source, path = _pointer(sent["from"]), _pointer(sent["path"])
        if len(path) > len(source) and path[: len(source)] == source:
            yield Issue("error", "value", "A value cannot be moved into itself.", f"{here}.path")


def _pointer_fault(text: Any) -> str | None:
    if not isinstance(text, str):
        return "is missing, or not a string" if text is None else "is not a string"
    if text and not text.startswith("/"):
        return "is not a JSON Pointer: it begins with a slash, as in /name/0/family"
    if _BAD_ESCAPE.search(text):
        return "is not a JSON Pointer: a tilde is written ~0, a slash inside a name ~1"
    if text.count("/") > NESTING_LIMIT:
        return f"goes deeper than {NESTING_LIMIT} levels"
    return None


def _operation(number: int, sent: Mapping[str, Any]) -> Operation:
    source = _pointer(sent["from"]) if sent["op"] in _WITH_SOURCE else ()
    return Operation(number, sent["op"], _pointer(sent["path"]), source, sent.get("value"))


def _pointer(text: str) -> Pointer:
    return tuple([token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]])


def _refusal(operation: Operation, error: _CannotBeDone, root: str) -> Unprocessable:
    shown = dump("/".join(("", *error.path))[:_SHOWN]).decode()
    sentence = f"Operation {operation.number + 1} of the patch ({operation.op}) cannot be done: {shown} {error.reason}."
    return Unprocessable(sentence, expression=_expression(root, error.path))


def _expression(root: str, path: Sequence[str]) -> str | None:
    """The place as FHIRPath, where it has such a form."""
    for token in path:
        if _INDEX.fullmatch(token):
            root = f"{root}[{token}]"
        elif _NAME.fullmatch(token):
            root = f"{root}.{token}"
        elif token != _END:
            return None
    return root
