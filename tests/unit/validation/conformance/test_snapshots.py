"""HL7's own profiles: read from their differentials, as they are shipped, they judge as read from the snapshots that HL7 made.

https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fhirserver.definitions import load, load_terminology
from fhirserver.definitions.compiling.package import read_package
from fhirserver.model.json import dump
from fhirserver.model.outcome import Issue
from fhirserver.terminology import Catalogue, Parsed
from fhirserver.terminology.knowledge import Known
from fhirserver.validation import Validator
from tests.data.examples import example_resources

CORE = os.environ.get("FHIRSERVER_R4_CORE")
VALIDATOR = Validator(load())
PARSED = Parsed()
TABLE = json.loads(Path(__file__).with_name("profiles.json").read_text("utf-8"))
WITH_CORE = pytest.mark.skipif(CORE is None, reason="FHIRSERVER_R4_CORE does not name HL7's hl7.fhir.r4.core tarball")
OF_EACH_TYPE = 2
SIZE = 6_000
"""Bytes of an example at most: each part of it is left out once."""

Resource = dict[str, Any]


class Published(Known):
    """One profile as HL7 published it, by its snapshot; what it leads to is as shipped, and so are its words: without any."""

    def __init__(self, profile: Resource) -> None:
        super().__init__(Catalogue(load_terminology(), PARSED, alone=True))
        self._profile = profile
        for element in profile.get("snapshot", {}).get("element", ()):
            for rule in element.get("constraint", ()):
                rule.pop("human", None)

    def profile(self, canonical: str) -> Any:
        return self._profile if canonical == self._profile["url"] else super().profile(canonical)


def broken(resource: Resource) -> Iterator[Resource]:
    """The resource, and it without or with twice each of its parts."""
    yield resource
    for name, value in resource.items():
        if name == "resourceType":
            continue
        yield {key: each for key, each in resource.items() if key != name}
        if isinstance(value, list) and isinstance(value[0], dict):
            yield resource | {name: [*value, value[0]]}
        for inner in value if isinstance(value, dict) else ():
            yield resource | {name: {key: each for key, each in value.items() if key != inner}}
        for index, item in enumerate(value if isinstance(value, list) else ()):
            for inner in item if isinstance(item, dict) else ():
                less = {key: each for key, each in item.items() if key != inner}
                yield resource | {name: [*value[:index], less, *value[index + 1 :]]}


def judged(resource: Resource, knowledge: Known, url: str) -> set[Issue]:
    return set(VALIDATOR.conformance(resource, [], knowledge, [url]))


def compare(examples: Mapping[str, list[Resource]]) -> tuple[int, int]:
    """How many pairs of a profile and a resource were judged the same both ways, and how much was said of them."""
    assert CORE is not None
    compared = said = 0
    for profile in read_package(Path(CORE)).of("StructureDefinition"):
        if profile.get("derivation") != "constraint" or profile["kind"] != "resource":
            continue
        for each in (one for example in examples.get(profile["type"], ()) for one in broken(example)):
            if any(issue.code == "structure" for issue in VALIDATOR.validate(each)):
                continue
            shipped = Known(Catalogue(load_terminology(), PARSED, alone=True))
            expected, found = (judged(each, known, profile["url"]) for known in (Published(profile), shipped))
            assert found == expected, profile["url"]
            compared, said = compared + 1, said + len(found)
    return compared, said


@WITH_CORE
def test_a_differential_judges_as_the_published_snapshot() -> None:
    (pressure,) = (row["resource"] for row in TABLE["rows"] if row["name"] == "blood pressure: kept")
    compared, said = compare({"Observation": [pressure]})
    assert compared > 200
    assert said > 300


@WITH_CORE
@pytest.mark.slow
def test_a_differential_judges_examples_as_the_published_snapshot() -> None:
    examples: dict[str, list[Resource]] = defaultdict(list)
    for _, resource in example_resources():
        if len(examples[resource["resourceType"]]) < OF_EACH_TYPE and len(dump(resource)) < SIZE:
            examples[resource["resourceType"]].append(resource)
    compared, said = compare(examples)
    assert compared > 1_000
    assert said > 5_000


@pytest.mark.slow
def test_the_official_examples_keep_what_they_claim() -> None:
    """Codes, extensions and profiles: of what HL7 published, nothing is an error."""
    for name, resource in example_resources():
        known = Known(Catalogue(load_terminology(), PARSED, alone=True))
        found = VALIDATOR.conformance(resource, [], known)
        assert [each for each in found if each.severity == "error"] == [], name
