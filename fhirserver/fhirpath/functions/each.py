"""How the items of a collection become the focus of an inner expression.

https://hl7.org/fhirpath/N1/#expressions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhirserver.fhirpath.compiling.elements import ANY, Static
from fhirserver.fhirpath.values.nodes import Node

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler


@dataclass(frozen=True, slots=True)
class Each:
    """The type of the inner focus, and the value that stands for a node."""

    focus: Static
    value: Callable[[Node], Any]


def each(compiler: Compiler, types: Mapping[str, None]) -> Each:
    """For items of these types: bare values, if they are all of one."""
    if len(types) == 1 and "" not in types:
        return Each(Static(next(iter(types))), lambda node: node[1])
    return Each(ANY, lambda node: node)
