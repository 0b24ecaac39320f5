"""A route: what a method at a kind of address stands for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fhirserver.rest.address import Kind
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer

Handle = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """An interaction, by the specification's name, and the function that speaks HTTP for it."""

    interaction: str
    handle: Handle
    by_itself: bool = False
    """Whether the name of the interaction does not say which scope it needs, and it looks at the token by itself."""


Routes = Mapping[Kind, Mapping[str, Route]]
"""The routes by method, for each kind of address."""
