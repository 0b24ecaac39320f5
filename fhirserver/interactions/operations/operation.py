"""What an operation is: a code, the levels at which it stands, its definition, and the function that does it.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fhirserver.interactions.context import Context
from fhirserver.model.resource import Resource


class Level(StrEnum):
    """Where an operation can be invoked."""

    SYSTEM = "system"
    TYPE = "type"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Invocation:
    """What is invoked: at which level, on what, with which parameters by name."""

    level: Level
    resource_type: str = ""
    id: str = ""
    parameters: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of this server. Only one that does not change anything (`affects_state`) can be invoked by GET."""

    code: str
    definition: str
    levels: frozenset[Level]
    handle: Callable[[Context, Invocation], Awaitable[Resource]]
    parameters: frozenset[str] = frozenset()
    affects_state: bool = False
