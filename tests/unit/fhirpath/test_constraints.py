"""Every constraint of R4 compiles; on HL7's official examples the results are those of fhirpathpy, or are explained.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from fhirserver.definitions import load
from fhirserver.fhirpath import Engine, Environment, FhirPathError, Host
from tests.data.examples import example_resources, sample

ENGINE = Engine(load(), Host(resolve=lambda address: None))
SAMPLE = 3

WRONG_IN_R4 = {
    # There is no name in a ChargeItemDefinition, and no low end in a number.
    ("cid-0", "ChargeItemDefinition"),
    ("ras-1", "decimal"),
}


def contexts() -> Iterator[tuple[str, str, str]]:
    """Key, expression and the type of the context of each constraint."""
    definitions = load()
    seen = set()
    for structure in definitions.structures.values():
        for element in structure.elements:
            is_own = "." not in element.path or bool(definitions.children(element.path))
            types = [element.path] if is_own else [type.code for type in element.types]
            for constraint in element.constraints:
                for type in types:
                    row = (constraint.key, constraint.expression, type)
                    if row not in seen:
                        seen.add(row)
                        yield row


def test_every_constraint_compiles_in_each_of_its_contexts() -> None:
    refused = set()
    count = 0
    for key, expression, type in contexts():
        count += 1
        try:
            ENGINE.rule(expression, type)
        except FhirPathError:
            refused.add((key, type))
    assert refused == WRONG_IN_R4
    assert count > 1000


Rule = Callable[[dict[str, Any]], bool | None]

WITHOUT = ("resolve(", "hasValue(", "trace(", "htmlChecks(", "as(canonical)", "matches(")
"""What fhirpathpy does not have, or has by another reading: it matches regular expressions from the text's beginning."""

DIFFERENCES: dict[str, str] = {
    "ext-1 Extension": "of an element that is not in a resource, fhirpathpy does not know that valueString is its value",
}
"""The keys where we and fhirpathpy differ, and why we are right."""


@cache
def rules(resource_type: str) -> dict[str, tuple[Rule, Rule]]:
    """Our rule and the oracle's for each constraint of a resource type and of its nested elements, as one expression
    from the resource on."""
    found = {}
    definitions = load()
    for element in definitions.structures[resource_type].elements:
        if element.content_reference is not None or ("." in element.path and not definitions.children(element.path)):
            continue
        for constraint in element.constraints:
            if any(word in constraint.expression for word in WITHOUT) or constraint.key in ("ele-1", "ext-1"):
                continue
            path = element.path.partition(".")[2].replace("[x]", "")
            expression = f"{path}.all({constraint.expression})" if path else constraint.expression
            if "%context" in expression or "%resource" in expression:
                continue
            found[f"{constraint.key} {element.path}"] = ours(expression, resource_type), oracle(expression)
    return found


def ours(expression: str, resource_type: str) -> Rule:
    rule = ENGINE.rule(expression, resource_type)
    return lambda resource: rule(resource, Environment(resource))


def oracle(expression: str) -> Rule:
    path = fhirpathpy.compile(expression, model=models["r4"])

    def rule(resource: dict[str, Any]) -> bool | None:
        found = path(resource, {"resource": resource})
        return bool(found[0]) if found else None

    return rule


GIVEN_UP = "given up"


def answer(rule: Rule, value: dict[str, Any]) -> bool | str | None:
    """What the oracle says; it gives up in many ways, as where quantities are compared."""
    try:
        return rule(value)
    except Exception:
        return GIVEN_UP


def differences(examples: Iterator[tuple[str, dict[str, Any]]]) -> tuple[dict[str, set[str]], int]:
    found = defaultdict(set)
    asked = 0
    for file, resource in examples:
        if resource["resourceType"] not in load().concrete_types:
            continue
        for key, (our, their) in rules(resource["resourceType"]).items():
            expected = answer(their, resource)
            asked += expected is not GIVEN_UP
            if expected not in (our(resource), GIVEN_UP):
                found[key].add(file)
    return dict(found), asked


@cache
def rules_of_data_type(type: str) -> dict[str, tuple[Rule, Rule]]:
    """The same for a data type's own constraints, on its values."""
    structure = load().structures.get(type)
    if structure is None or structure.kind != "complex-type":
        return {}
    return {
        f"{each.key} {type}": (ours(each.expression, type), oracle(each.expression))
        for each in structure.root.constraints
        if not any(word in each.expression for word in (*WITHOUT, "%resource", "%root")) and each.key != "ele-1"
    }


def differences_of_data_types(examples: Iterator[tuple[str, dict[str, Any]]]) -> tuple[dict[str, set[str]], int]:
    found = defaultdict(set)
    asked = 0
    for file, resource in examples:
        for type, value in ENGINE.evaluate("descendants()", resource):
            for key, (our, their) in rules_of_data_type(type).items():
                expected = answer(their, value)
                asked += expected is not GIVEN_UP
                if expected not in (our(value), GIVEN_UP):
                    found[key].add(file)
    return dict(found), asked


def test_on_a_sample_of_the_examples_constraints_are_what_fhirpathpy_says() -> None:
    found, asked = differences(sample(SAMPLE))
    assert {key: files for key, files in found.items() if key not in DIFFERENCES} == {}
    assert asked > 400
    found, asked = differences_of_data_types(sample(SAMPLE))
    assert {key: files for key, files in found.items() if key not in DIFFERENCES} == {}
    assert asked > 400


@pytest.mark.slow
def test_on_every_example_constraints_are_what_fhirpathpy_says() -> None:
    found, asked = differences(example_resources())
    assert {key: files for key, files in found.items() if key not in DIFFERENCES} == {}
    assert asked > 3000
    of_types, asked = differences_of_data_types(example_resources())
    assert {key: files for key, files in of_types.items() if key not in DIFFERENCES} == {}
    assert set(DIFFERENCES) == {*found, *of_types}
    assert asked > 3000
