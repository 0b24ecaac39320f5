"""The identifiers of a resource alone: the same as what is stored of it whole.

https://hl7.org/fhir/R4/resource.html#identification
"""

from __future__ import annotations

import pytest

from fhirserver.definitions import load
from fhirserver.search.index.extract import Extractor
from fhirserver.search.index.identifiers import identifiers
from tests.data.examples import example_resources

BASE = "https://fhir.example.org/r4"


def test_of_every_example_they_are_what_is_stored() -> None:
    read, extract = identifiers(load(), BASE), Extractor(load(), BASE).extract
    told = 0
    for name, resource in example_resources():
        found = read(resource["resourceType"], resource)
        if found is not None:
            index, _ = extract(resource["resourceType"], resource)
            assert sorted(found) == sorted(index.get("identifier", ())), name
            told += bool(found)
    assert told > 300


@pytest.mark.parametrize("resource_type", ["Binary", "CapabilityStatement"])
def test_a_type_that_is_not_asked_by_identifier_has_none(resource_type: str) -> None:
    assert identifiers(load(), BASE)(resource_type, {"resourceType": resource_type}) is None
