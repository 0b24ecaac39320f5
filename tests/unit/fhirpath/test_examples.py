"""HL7's official examples through every search expression of R4, against fhirpathpy.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from fhirserver.definitions import load
from fhirserver.fhirpath import Node, Plan, compile_path
from tests.data.examples import example_resources, sample

SAMPLE = 3
"""Examples of a type in the small form."""

DIFFERENCES = {
    # Resolving `#x` gives the contained resource, here a Patient. The oracle only sees the text of the reference.
    ("Observation", "patient"): {
        "Observation-10minute-apgar-score.json",
        "Observation-1minute-apgar-score.json",
        "Observation-20minute-apgar-score.json",
        "Observation-2minute-apgar-score.json",
        "Observation-5minute-apgar-score.json",
    },
    ("QuestionnaireResponse", "patient"): {"QuestionnaireResponse-3141.json"},
    # A union leaves out what equals an earlier item, and by N1 trailing zeros do not tell decimals apart; fhirpathpy keeps
    # both 1.0 g and 1.00 g.
    ("Observation", "combo-value-quantity"): {"Observation-decimal.json"},
    ("Observation", "component-value-quantity"): {"Observation-decimal.json"},
    ("Observation", "combo-code-value-concept"): {"Observation-decimal.json"},
    ("Observation", "combo-code-value-quantity"): {"Observation-decimal.json"},
}
"""Where we and fhirpathpy differ, by parameter and file. Each was looked at by hand: we are right in all."""


def rewritten(expression: str, resource_type: str) -> str:
    """The expression in the words that fhirpathpy knows.

    It has no `resolve` and no `hasExtension`, knows no ancestors of the root, and applies `as` to single items only.
    """
    expression = re.sub(r"\bResource\.", f"{resource_type}.", expression)
    expression = re.sub(
        r"where\(resolve\(\) is (\w+)\)",
        r"where(reference.startsWith('\1/') or reference.contains('/\1/') or (reference.empty() and type = '\1'))",
        expression,
    )
    expression = re.sub(r"hasExtension\(([^)]*)\)", r"extension(\1).exists()", expression)
    expression = re.sub(
        r"\.as\((\w+)\)", lambda match: f".select($this as {match[1].replace('DateTime', 'dateTime')})", expression
    )
    return re.sub(r"\(([\w.]+) as (\w+)\)", r"\1.select($this as \2)", expression)


Path = Callable[[dict[str, Any]], list[Any]]


@cache
def paths(resource_type: str) -> dict[str, tuple[Path, Path]]:
    """Our path and the oracle's for each parameter of the type, and for each component of the composite ones."""
    found = {}
    for code, parameter in load().search_parameters(resource_type).items():
        if not parameter.expression:
            continue
        found[code] = (
            ours(parameter.expression, resource_type),
            oracle(rewritten(parameter.expression, resource_type)),
        )
        for component in parameter.components:
            part = rewritten(component.expression, resource_type)
            # One by one, for in a union the oracle forgets where its items came from.
            contexts = rewritten(parameter.expression, resource_type).split(" | ")
            found[f"{code}: {component.expression}"] = (
                component_path(parameter.expression, component.expression, resource_type),
                oracle(" | ".join(f"{context}.select({part})" for context in contexts)),
            )
    return found


def ours(expression: str, resource_type: str) -> Path:
    path = compile_path(load(), expression, resource_type)
    return lambda resource: [value for _, value in path(resource)]


def component_path(expression: str, component: str, resource_type: str) -> Path:
    """All that a component selects, each once, from each node that the composite selects."""
    path = compile_path(load(), expression, resource_type)

    def values(resource: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for type, node in path(resource):
            found += [value for _, value in compile_path(load(), component, type)(node, resource)]
        return found

    return values


def oracle(expression: str) -> Path:
    path = fhirpathpy.compile(expression, model=models["r4"])
    return lambda resource: list(path(resource, {"resource": resource}))


def each_once(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def differences(examples: Iterator[tuple[str, dict[str, Any]]]) -> tuple[dict[tuple[str, str], set[str]], int]:
    """The files in which we and the oracle select differently, by parameter; and how often something was selected."""
    found = defaultdict(set)
    selected = 0
    for file, resource in examples:
        resource_type = resource["resourceType"]
        for code, (our, their) in paths(resource_type).items():
            expected, actual = their(resource), our(resource)
            selected += bool(actual)
            if ":" in code:
                expected, actual = each_once(expected), each_once(actual)
            if expected != actual:
                found[resource_type, code].add(file)
    return dict(found), selected


def test_a_sample_of_the_examples_selects_what_fhirpathpy_selects() -> None:
    found, selected = differences(sample(SAMPLE))
    assert {
        key: files - DIFFERENCES.get(key, set()) for key, files in found.items() if files - DIFFERENCES.get(key, set())
    } == {}
    assert selected > 2000


@pytest.mark.slow
def test_every_example_selects_what_fhirpathpy_selects() -> None:
    found, selected = differences(example_resources(bulk=True))
    assert found == DIFFERENCES
    assert selected > 60_000


def test_a_plan_selects_what_its_expressions_select_one_by_one() -> None:
    plans: dict[str, tuple[Plan, dict[str, Callable[..., list[Node]]]]] = {}
    for file, resource in example_resources():
        resource_type = resource["resourceType"]
        if resource_type not in plans:
            expressions = {
                code: parameter.expression
                for code, parameter in load().search_parameters(resource_type).items()
                if parameter.expression
            }
            plans[resource_type] = (
                Plan(load(), resource_type, expressions),
                {code: compile_path(load(), expression, resource_type) for code, expression in expressions.items()},
            )
        plan, single = plans[resource_type]
        assert plan(resource) == {code: nodes for code, path in single.items() if (nodes := path(resource))}, file
