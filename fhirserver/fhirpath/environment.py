"""What an expression can see apart from its focus, and how much it may still do.

https://hl7.org/fhirpath/N1/#environment-variables and https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.values.nodes import Node, plain

STEPS = 1_000_000
"""Items that one evaluation may look at, those of inner expressions each time. Of a long text a piece counts as an item."""
_PIECE_BITS = 8


def weight(nodes: Sequence[Node]) -> int:
    """The items that a single text counts for beside itself: what is done with one takes as long as it is."""
    if len(nodes) != 1:
        return 0
    text = plain(nodes[0][1])
    return len(text) >> _PIECE_BITS if isinstance(text, str) else 0


def extent(nodes: Sequence[Node], *, each_with_each: bool = False) -> int:
    """All that elements hold, which is what comparing them looks at; with `each_with_each` also the items of their lists."""
    found = 0
    pending = [node[1] for node in nodes]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
            found += len(value)
        elif isinstance(value, list):
            pending += value
            found += len(value) ** 2 if each_with_each else len(value)
        elif isinstance(value, str):
            found += len(value) >> _PIECE_BITS
    return found


@dataclass(frozen=True, slots=True)
class Host:
    """What other rooms lend: functions that need more than the resource. What is None is an error when it is called.

    A `resolve` that finds nothing gives None; the others give None where they cannot decide.
    """

    resolve: Callable[[str], Mapping[str, Any] | None] | None = None
    member_of: Callable[[Node, str], bool | None] | None = None
    conforms_to: Callable[[Node, str], bool | None] | None = None
    subsumes: Callable[[Node, Node], bool | None] | None = None
    element_definition: Callable[[Node], Mapping[str, Any] | None] | None = None
    slice: Callable[[Node, str, str], bool] | None = None
    check_modifiers: Callable[[Node, Sequence[str]], bool] | None = None
    trace: Callable[[str, Sequence[Node]], None] | None = None


NOTHING_LENT = Host()


class Environment:
    """One evaluation. Attributes of the class are what holds when nothing else is said: making one is cheap."""

    root: Any = None
    """`%rootResource`, where it is not `%resource`."""
    context: Node | None = None
    variables: Mapping[str, Sequence[Node]] = {}
    host: Host = NOTHING_LENT
    now: datetime | None = None
    index: int | None = None
    total: Sequence[Node] = ()
    steps: int = STEPS

    def __init__(self, resource: Any) -> None:
        self.resource = resource

    @property
    def container(self) -> Any:
        """The resource that `#` references are of."""
        return self.resource if self.root is None else self.root

    def spend(self, steps: int) -> None:
        """Count what is done against what may be done."""
        self.steps -= steps
        if self.steps < 0:
            raise Misuse("The expression does more than one evaluation may do.")
