"""Whatever a resource or a stored profile holds, conformance answers.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.validation.conformance.test_profiles import ROWS, TABLE, VALIDATOR, Shelf

ODD: list[Any] = [
    *(None, True, 0, 1.5, "", "x", "a b", "urn:x", "#", [], {}, ["x"], [None], [{}], {"id": "a"}, {"coding": []}),
    *({"coding": [{}]}, {"extension": [{"url": "urn:p:ext"}]}, {"reference": "#"}, {"reference": "Patient/1"}, "*", "99999999999999"),
]  # fmt: skip
KEYS = ["extension", "id", "url", "system", "code", "coding", "valueString", "slicing", "type", "binding"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(each, (*path, key))


def changed(value: dict[str, Any], random: Random) -> dict[str, Any]:
    """The same with something odd in it, without something, or with something twice."""
    value = copy.deepcopy(value)
    path = random.choice(list(places(value)))
    holder: Any = value
    for key in path[:-1]:
        holder = holder[key]
    odd = copy.deepcopy(random.choice(ODD))
    match random.choice(["odd", "less", "beside", "more"]):
        case "odd":
            holder[path[-1]] = odd
        case "less":
            del holder[path[-1]]
        case "beside" if isinstance(holder, dict):
            holder[f"_{path[-1]}"] = odd
        case _ if isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        case _:
            holder[random.choice(KEYS)] = odd
    return value


@given(row=st.sampled_from(ROWS), random=st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_nothing_that_can_be_read_is_too_odd(row: dict[str, Any], random: Random) -> None:
    profiles = dict(TABLE["profiles"])
    name = row["profile"]
    if name in profiles and random.random() < 0.5:
        profile = changed(profiles[name], random)
        if all(each.severity != "error" for each in VALIDATOR.validate(profile, resource_type="StructureDefinition")):
            profiles[name] = profile | {"url": f"urn:p:{name}"}
    resource = changed(row["resource"], random)
    asked = [] if name is None else [name if ":" in name else f"urn:p:{name}"]
    issues = VALIDATOR.validate(resource)
    for each in VALIDATOR.conformance(resource, issues, Shelf(profiles), asked):
        assert each.diagnostics
        assert each.severity in ("error", "warning", "information")
