"""The way of a candidate past the gate: what it was admitted for is what it may replace.

https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fhirserver.access.security.compartments import CONFIDENTIALITY_SYSTEM
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.candidate import Examined, let_in
from fhirserver.search.match import match
from fhirserver.store import Derived
from tests.fakes.facts import derive
from tests.fakes.gate import LABORATORY, World
from tests.fakes.records import observation


def labelled(code: str) -> dict[str, Any]:
    return observation("1", "a", meta={"security": [{"system": CONFIDENTIALITY_SYSTEM, "code": code}]})


@pytest.mark.parametrize(("meanwhile", "may_replace"), [("R", True), ("N", True), ("V", False)])
async def test_a_confidentiality_raised_meanwhile_is_not_lowered(meanwhile: str, may_replace: bool) -> None:
    """The race: an update that states what was so when it was decided, and another that raised it before the commit."""
    world = World()
    world.facts.put(labelled("R"), by="Organization/lab")
    services: Any = SimpleNamespace(
        gate=world.gate, parameters=None, derive=lambda kind, resource, _=None: Derived({}, {}, derive(kind, resource))
    )
    found = Examined(labelled("R"), services.derive("Observation", labelled("R")))
    context = Context(services, LABORATORY, "request")
    services.store = SimpleNamespace(pace=SimpleNamespace(step=_step))
    admitted = await let_in(context, "update", found, exists=True)
    stored = world.facts.put(labelled(meanwhile), by="Organization/lab")
    assert match(admitted.permit.writes("Observation"), stored) is may_replace


async def _step() -> None:
    pass
