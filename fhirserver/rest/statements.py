"""What the server says of itself: long texts, made when they are first asked for.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache

from fhirserver.definitions import Definitions
from fhirserver.interactions.capabilities import Instance, capabilities
from fhirserver.interactions.terminology.capabilities import terminology_capabilities
from fhirserver.model.json import dump
from fhirserver.rest.messages.request import Statement
from fhirserver.rest.routes import SYSTEM_INTERACTIONS, TYPE_INTERACTIONS


def statement(definitions: Callable[[], Definitions], instance: Instance) -> Statement:
    """The statement of capabilities, by the search parameters of the moment, and that of terminology."""
    of_terminology = made_once(lambda: dump(terminology_capabilities(instance)))

    @lru_cache(maxsize=1)
    def of(definitions: Definitions) -> Callable[[], Awaitable[bytes]]:
        return made_once(lambda: dump(capabilities(definitions, TYPE_INTERACTIONS, SYSTEM_INTERACTIONS, instance)))

    async def stated(mode: str | None) -> bytes:
        return await (of_terminology if mode == "terminology" else of(definitions()))()

    return stated


def made_once(make: Callable[[], bytes]) -> Callable[[], Awaitable[bytes]]:
    """What is made when it is first asked for, beside the loop: it goes through every type. What failed is tried again."""
    making: list[asyncio.Task[bytes]] = []

    async def made() -> bytes:
        if not making or (making[0].done() and making[0].exception()):
            making[:] = [asyncio.create_task(asyncio.to_thread(make))]
        return await asyncio.shield(making[0])

    return made
