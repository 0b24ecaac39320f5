"""The element tables.

https://hl7.org/fhir/R4/resourcelist.html
"""

from __future__ import annotations

import pytest

from fhirserver.definitions import Binding, Definitions, Element, load

INHERITED = ("id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension")
WITHOUT_NARRATIVE = {"Binary", "Bundle", "Parameters"}
PRIMITIVES = {
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "xhtml",
}  # fmt: skip


@pytest.fixture(scope="module")
def r4() -> Definitions:
    return load()


def element(r4: Definitions, path: str) -> Element:
    return next(each for each in r4.structures[path.partition(".")[0]].elements if each.path == path)


def test_there_are_146_concrete_resource_types_and_145_have_an_end_point(r4: Definitions) -> None:
    assert len(r4.concrete_types) == 146
    assert len(r4.resource_types) == 145
    assert set(r4.concrete_types) - set(r4.resource_types) == {"Parameters"}
    assert list(r4.resource_types) == sorted(r4.resource_types)
    for name in r4.concrete_types:
        assert (r4.structures[name].kind, r4.structures[name].abstract) == ("resource", False)


def test_there_are_20_primitive_types_41_other_data_types_and_two_profiled_quantities(r4: Definitions) -> None:
    kinds = {name: structure.kind for name, structure in r4.structures.items()}
    assert {name for name, kind in kinds.items() if kind == "primitive-type"} == PRIMITIVES
    complex_types = {name for name, kind in kinds.items() if kind == "complex-type"}
    assert len(complex_types) == 41 + len({"SimpleQuantity", "MoneyQuantity"})
    assert {"Quantity", "Age", "HumanName", "Timing", "Dosage", "Extension", "BackboneElement"} <= complex_types
    assert {name for name in kinds if r4.structures[name].abstract} == {
        "BackboneElement", "DomainResource", "Element", "Resource",
    }  # fmt: skip


def test_every_resource_has_the_elements_it_inherits(r4: Definitions) -> None:
    for name in r4.concrete_types:
        names = tuple(child.name for child in r4.children(name))
        expected = INHERITED[:4] if name in WITHOUT_NARRATIVE else INHERITED
        assert names[: len(expected)] == expected


def test_every_backbone_element_has_the_elements_it_inherits(r4: Definitions) -> None:
    backbones = [
        each.path
        for structure in r4.structures.values()
        for each in structure.elements[1:]
        if any(type.code == "BackboneElement" for type in each.types)
    ]
    assert len(backbones) == 459
    for path in backbones:
        assert [child.name for child in r4.children(path)][:3] == ["id", "extension", "modifierExtension"]


def test_every_type_named_by_an_element_is_a_structure(r4: Definitions) -> None:
    for structure in r4.structures.values():
        for each in structure.elements:
            assert {type.code for type in each.types} <= set(r4.structures)
            assert {target for type in each.types for target in type.target_types} <= set(r4.structures)
            assert each.types or each.content_reference or each is structure.root


TYPES = [
    ("Patient.id", ["id"]),
    ("Patient.contact.id", ["string"]),
    ("HumanName.id", ["string"]),
    ("Extension.url", ["uri"]),
    ("boolean.value", ["boolean"]),
    ("decimal.value", ["decimal"]),
    ("instant.value", ["instant"]),
    ("xhtml.value", ["string"]),
    ("Narrative.div", ["xhtml"]),
    ("Patient.deceased[x]", ["boolean", "dateTime"]),
    ("Observation.effective[x]", ["dateTime", "Period", "Timing", "instant"]),
    ("Bundle.entry.resource", ["Resource"]),
    ("Observation.component.referenceRange", []),
]


@pytest.mark.parametrize(("path", "types"), TYPES)
def test_types_are_fhir_types(r4: Definitions, path: str, types: list[str]) -> None:
    assert [type.code for type in element(r4, path).types] == types


def test_an_open_choice_lists_all_its_types(r4: Definitions) -> None:
    assert len(element(r4, "Extension.value[x]").types) == 50
    assert len(element(r4, "Parameters.parameter.value[x]").types) == 50


CARDINALITIES = [
    ("Patient.active", 0, 1),
    ("Patient.name", 0, None),
    ("Observation.status", 1, 1),
    ("Consent.policyRule", 0, 1),
    ("Consent.scope", 1, 1),
    ("Consent.category", 1, None),
    ("SimpleQuantity.comparator", 0, 0),
    ("Binary.contentType", 1, 1),
]


@pytest.mark.parametrize(("path", "min", "max"), CARDINALITIES)
def test_cardinalities(r4: Definitions, path: str, min: int, max: int | None) -> None:
    assert (element(r4, path).min, element(r4, path).max) == (min, max)


TARGETS = [
    ("Observation.subject", ("Patient", "Group", "Device", "Location")),
    ("Observation.focus", ()),
    ("Appointment.slot", ("Slot",)),
    ("Questionnaire.derivedFrom", ("Questionnaire",)),
]


@pytest.mark.parametrize(("path", "targets"), TARGETS)
def test_reference_targets(r4: Definitions, path: str, targets: tuple[str, ...]) -> None:
    assert element(r4, path).types[0].target_types == targets


def test_a_quantity_without_comparator_names_its_profile(r4: Definitions) -> None:
    profile = "http://hl7.org/fhir/StructureDefinition/SimpleQuantity"
    assert element(r4, "Observation.referenceRange.low").types[0].profiles == (profile,)
    assert r4.structures["SimpleQuantity"].base == "Quantity"
    assert r4.structures["SimpleQuantity"].url == profile
    assert [child.path for child in r4.children("SimpleQuantity")][-1] == "SimpleQuantity.code"


BINDINGS = [
    ("Observation.status", Binding("required", "http://hl7.org/fhir/ValueSet/observation-status")),
    ("Observation.code", Binding("example", "http://hl7.org/fhir/ValueSet/observation-codes")),
    (
        "Patient.language",
        Binding("preferred", "http://hl7.org/fhir/ValueSet/languages", "http://hl7.org/fhir/ValueSet/all-languages"),
    ),
    ("Group.code", Binding("example", None)),
    ("Patient.birthDate", None),
]


@pytest.mark.parametrize(("path", "binding"), BINDINGS)
def test_bindings(r4: Definitions, path: str, binding: Binding | None) -> None:
    assert element(r4, path).binding == binding


FLAGS = [
    ("Patient.implicitRules", True, True),
    ("Patient.active", True, True),
    ("Patient.modifierExtension", True, False),
    ("Patient.gender", False, True),
    ("Patient.photo", False, False),
    ("Observation.component.modifierExtension", True, True),
]


@pytest.mark.parametrize(("path", "modifier", "summary"), FLAGS)
def test_modifier_and_summary_flags(r4: Definitions, path: str, modifier: bool, summary: bool) -> None:
    assert (element(r4, path).is_modifier, element(r4, path).is_summary) == (modifier, summary)


CONSTRAINTS = [
    ("Observation", "obs-6", "error", "dataAbsentReason.empty() or value.empty()"),
    ("Patient.contact", "pat-1", "error", "name.exists() or telecom.exists() or address.exists() or organization.exists()"),
    ("Period", "per-1", "error", "start.hasValue().not() or end.hasValue().not() or (start <= end)"),
    ("Patient", "dom-6", "warning", "text.`div`.exists()"),
    ("Patient.name", "ele-1", "error", "hasValue() or (children().count() > id.count())"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "key", "severity", "expression"), CONSTRAINTS)
def test_constraints(r4: Definitions, path: str, key: str, severity: str, expression: str) -> None:
    found = {each.key: each for each in element(r4, path).constraints}
    assert (found[key].severity, found[key].expression) == (severity, expression)


def test_a_content_reference_gives_the_children_of_what_it_names(r4: Definitions) -> None:
    assert element(r4, "Bundle.entry.link").content_reference == "Bundle.link"
    assert r4.children("Bundle.entry.link") == r4.children("Bundle.link") != ()
    assert r4.children("Questionnaire.item.item") == r4.children("Questionnaire.item")
    references = [each for structure in r4.structures.values() for each in structure.elements if each.content_reference]
    assert len(references) == 55
    for each in references:
        assert r4.children(each.path)


CHILDREN_OF_NOTHING = ["Patient.name", "Nothing", "Nothing.at.all", "Patient.nothing", ""]


@pytest.mark.parametrize("path", CHILDREN_OF_NOTHING)
def test_what_has_no_content_of_its_own_has_no_children(r4: Definitions, path: str) -> None:
    assert r4.children(path) == ()


def test_the_json_names_of_a_choice_carry_its_types(r4: Definitions) -> None:
    deceased = element(r4, "Patient.deceased[x]")
    assert [name for name, _ in deceased.json_names()] == ["deceasedBoolean", "deceasedDateTime"]
    assert (deceased.stem, deceased.is_choice, deceased.is_list) == ("deceased", True, False)
    name = element(r4, "Patient.name")
    assert [(each, type and type.code) for each, type in name.json_names()] == [("name", "HumanName")]
    assert (name.stem, name.is_choice, name.is_list) == ("name", False, True)
    assert element(r4, "Bundle.entry.link").json_names() == (("link", None),)


def test_the_longest_string_is_one_mebibyte(r4: Definitions) -> None:
    assert element(r4, "string.value").max_length == 1024 * 1024


def test_structures_are_made_once_and_only_when_known(r4: Definitions) -> None:
    assert r4.structures["Patient"] is r4.structures["Patient"]
    assert "Nothing" not in r4.structures
    assert r4.structures.get("Nothing") is None
    assert load() is r4
