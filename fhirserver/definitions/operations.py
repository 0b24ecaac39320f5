"""Operations and compartments.

https://hl7.org/fhir/R4/operationdefinition.html
https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """A parameter of an operation; `max` None means unbounded, `parts` are those of a parameter without a type."""

    name: str
    use: Literal["in", "out"]
    min: int
    max: int | None
    type: str | None
    search_type: str | None
    target_profiles: tuple[str, ...]
    parts: tuple[OperationParameter, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: its code, the levels it may be asked at, and the types it is for.

    `affects_state` is None where the definition does not say.
    """

    id: str
    url: str
    code: str
    system: bool
    type: bool
    instance: bool
    affects_state: bool | None
    resources: tuple[str, ...]
    parameters: tuple[OperationParameter, ...]


@dataclass(frozen=True, slots=True)
class Compartment:
    """A compartment: for each resource type that can be in it, the search parameters that put it there.

    The code `{def}` stands for the record that defines the compartment.
    """

    code: str
    resources: Mapping[str, tuple[str, ...]]
