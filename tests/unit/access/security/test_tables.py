"""The reviewed tables are whole: every type has a class, and every place that may name a Patient a group.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

import re
from pathlib import Path

from fhirserver.access.security.classes import ACCESS_CLASS, BY_NAME, PATIENT_SAYS
from fhirserver.access.security.ownership import COMPARTMENT, MENTIONS, OUTSIDE, PARTICIPANTS, SUBJECTS
from fhirserver.definitions import Definitions, load
from fhirserver.search.registry import registry
from fhirserver.store.layout import indexes

FROZEN = Path(__file__).parents[3] / "data" / "access_classes.txt"


def test_every_type_has_the_class_that_was_reviewed() -> None:
    frozen = dict(line.split() for line in FROZEN.read_text(encoding="utf-8").splitlines())
    assert frozen == dict(ACCESS_CLASS)
    assert set(load().resource_types) == set(ACCESS_CLASS)
    assert len(ACCESS_CLASS) == 145


def test_the_tables_of_writing_name_types() -> None:
    assert set(ACCESS_CLASS) >= BY_NAME
    assert set(ACCESS_CLASS) >= PATIENT_SAYS
    assert not BY_NAME & PATIENT_SAYS


def test_every_parameter_of_the_patient_compartment_has_a_group() -> None:
    compartment = load().compartments["Patient"]
    wanted = {
        (resource_type, code)
        for resource_type, codes in compartment.resources.items()
        for code in codes
        if code != "{def}"
    }
    assert wanted == set(COMPARTMENT)


def test_a_search_is_narrowed_to_a_patient_only_by_parameters_that_make_her_an_owner() -> None:
    """Otherwise a permitted record is not found: its own patient was never asked about."""
    wrong = {
        (resource_type, code)
        for (resource_type, code), (group, _) in COMPARTMENT.items()
        if (code in registry(load(), resource_type).owners) == (group == "mention")
    }
    assert wrong == set()


def test_types_that_can_be_in_a_compartment_without_being_the_patients_have_an_index_for_that() -> None:
    """A patient's link to another makes nobody an owner, and her compartment of Patients is searched by who permits at all."""
    mentioning = {resource_type for (resource_type, _), (group, _) in COMPARTMENT.items() if group == "mention"}
    assert mentioning - {"Patient"} == indexes.MENTIONING


def test_the_table_reads_the_elements_that_the_parameters_read() -> None:
    definitions = load()
    wrong = {}
    for (resource_type, code), (_, paths) in COMPARTMENT.items():
        expression = definitions.search_parameters(resource_type)[code].expression
        read = set(re.findall(rf"\b{resource_type}\.([A-Za-z.]+?)(?:\.where\b|[\s|)]|$)", expression))
        if read != set(paths):
            wrong[resource_type, code] = (read, paths)
    assert wrong == {}


def test_every_element_that_may_name_a_patient_was_reviewed() -> None:
    definitions = load()
    reviewed = {
        (resource_type, path)
        for table in (SUBJECTS, PARTICIPANTS, MENTIONS)
        for resource_type, paths in table.items()
        for path in paths
    }
    found = set(_naming_patients(definitions))
    assert found - reviewed == set()
    # Any type may be in the focus of an Observation; a Patient there is a subject.
    assert {key for key in OUTSIDE if key not in found} == {("Observation", "focus")}


def test_no_element_is_in_two_groups() -> None:
    for first, second in ((SUBJECTS, PARTICIPANTS), (SUBJECTS, MENTIONS), (PARTICIPANTS, MENTIONS)):
        for resource_type in first.keys() & second.keys():
            assert not first[resource_type] & second[resource_type], resource_type


def _naming_patients(definitions: Definitions) -> list[tuple[str, str]]:
    found = []
    for resource_type in definitions.resource_types:
        for element in definitions.structures[resource_type].elements:
            for each in element.types:
                if each.code == "Reference" and "Patient" in each.target_types:
                    path = element.path.partition(".")[2].replace("[x]", "Reference")
                    found.append((resource_type, path))
    return found
