"""Value sets and the grammars of code systems.

https://hl7.org/fhir/R4/terminologies-valuesets.html
"""

from __future__ import annotations

import pytest

from fhirserver.definitions import Definitions, load
from fhirserver.definitions.codes import currencies
from fhirserver.definitions.codes.grammars import is_language, is_media_type, is_unit
from fhirserver.definitions.compiling.values import CannotExpandError, Expander

HL7 = "http://hl7.org/fhir/ValueSet/"


@pytest.fixture(scope="module")
def r4() -> Definitions:
    return load()


def test_every_required_binding_is_expanded_or_said_not_to_be(r4: Definitions) -> None:
    bound = {
        each.binding.value_set
        for structure in r4.structures.values()
        for each in structure.elements
        if each.binding and each.binding.strength == "required"
    }
    assert len(bound) == 224
    assert {url for url in bound if url and r4.value_set(url) is None} == {"http://loinc.org/vs/LL379-9"}
    assert set(r4.unexpanded) == {
        "http://loinc.org/vs/LL379-9",
        HL7 + "all-distance-units",
        HL7 + "all-time-units",
    }
    assert all(r4.value_set(url) is None for url in r4.unexpanded)


def test_no_expansion_is_empty(r4: Definitions) -> None:
    for value_set in r4.value_sets.values():
        assert value_set.codes or value_set.grammars


CODES = [
    ("administrative-gender", {"male", "female", "other", "unknown"}),
    ("publication-status", {"draft", "active", "retired", "unknown"}),
    ("narrative-status", {"generated", "extensions", "additional", "empty"}),
    ("identifier-use", {"usual", "official", "temp", "secondary", "old"}),
    ("slotstatus", {"busy", "free", "busy-unavailable", "busy-tentative", "entered-in-error"}),
    ("consent-state-codes", {"draft", "proposed", "active", "rejected", "inactive", "entered-in-error"}),
]


@pytest.mark.parametrize(("name", "codes"), CODES)
def test_codes_of_a_value_set(r4: Definitions, name: str, codes: set[str]) -> None:
    value_set = r4.value_set(HL7 + name)
    assert value_set is not None
    assert value_set.codes == codes
    assert len(value_set.systems) == 1
    assert all(value_set.contains(code) and value_set.contains(code, value_set.systems[0]) for code in codes)
    assert not value_set.contains("no-such-code")
    assert not value_set.contains(next(iter(codes)), "http://example.org/other")


MEMBERS = [
    ("resource-types", "Patient", True),
    ("resource-types", "Nothing", False),
    ("all-types", "HumanName", True),
    ("all-types", "Any", True),
    ("defined-types", "Any", False),
    ("http://terminology.hl7.org/ValueSet/v3-ConfidentialityClassification", "V", True),
    ("days-of-week", "MON", False),
    ("days-of-week", "mon", True),
    ("currencies", "RUB", True),
    ("currencies", "XCG", True),
    ("currencies", "HRK", True),
    ("currencies", "rub", False),
    ("currencies", "XYZ", False),
    ("mimetypes", "application/fhir+json", True),
    ("mimetypes", "pdf", False),
    ("http://www.rfc-editor.org/bcp/bcp13.txt", "text/plain", True),
    ("ucum-units", "mmol/L", True),
    ("ucum-units", "mmol per L", False),
    ("all-languages", "ru-RU", True),
    ("all-languages", "Russian language", False),
    ("observation-status|4.0.1", "final", True),
]


@pytest.mark.parametrize(("name", "code", "expected"), MEMBERS)
def test_membership(r4: Definitions, name: str, code: str, expected: bool) -> None:
    value_set = r4.value_set(name if name.startswith("http") else HL7 + name)
    assert value_set is not None
    assert value_set.contains(code) is expected


def test_the_system_of_a_code_is_known_where_only_one_has_it(r4: Definitions) -> None:
    status = r4.value_set(HL7 + "observation-status")
    languages = r4.value_set(HL7 + "all-languages")
    assert status
    assert languages
    assert status.system_of("final") == "http://hl7.org/fhir/observation-status"
    assert status.system_of("nothing") is None
    assert languages.system_of("ru") == "urn:ietf:bcp:47"
    assert languages.contains("ru", "urn:ietf:bcp:47")
    assert not languages.contains("ru", "urn:ietf:bcp:13")


def test_a_value_set_that_is_not_bound_firmly_is_not_here(r4: Definitions) -> None:
    assert r4.value_set(HL7 + "observation-codes") is None
    assert r4.value_set("http://example.org/nothing") is None


def test_case_sensitive_code_systems(r4: Definitions) -> None:
    systems = r4.case_sensitive_systems
    assert {"http://unitsofmeasure.org", "http://hl7.org/fhir/observation-status"} <= systems
    assert "http://loinc.org" not in systems
    assert len(systems) > 600


def test_the_currencies_in_force() -> None:
    assert len(currencies.CURRENT) == 178
    assert {"RUB", "USD", "EUR", "ZWG", "SLE", "VED", "XAD"} <= currencies.CURRENT
    assert not {"HRK", "SLL", "BGN"} & currencies.CURRENT
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in currencies.CODES)


UNITS = [
    ("mg", True), ("mg/dL", True), ("10*3/uL", True), ("10*-3", True), ("10^9/L", True), ("mm[Hg]", True), ("1", True),
    ("m[IU]/mL", True), ("/min", True), ("%", True), ("[in_i]", True), ("kg/m2", True), ("m-2", True), ("{score}", True),
    ("mL/min/{1.73_m2}", True), ("g/(kg.d)", True), ("ng/(8.h.kg)", True), ("(8.h){shift}", True), ("(m)2", True),
    ("[m/s2/Hz^(1/2)]", True), ("[arb'U]", True), ("B[10.nV]", True), ("{clock time}", True), ("{(x}", True),
    ("", False), ("m g", False), ("(mg", False), ("mg)", False), ("mg//dL", False), ("mg/", False), (".m", False),
    ("{a", False), ("[in", False), ("m(H)", False), ("2(m)", False), ("(m)(n)", False), ("m+", False), ("()", False),
    ("µg", False), ("г", False), ("m" * 256, False),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), UNITS)
def test_units(code: str, expected: bool) -> None:
    """UCUM, section 2.2."""
    assert is_unit(code) is expected


LANGUAGES = [
    ("ru", True), ("en-US", True), ("zh-Hant-TW", True), ("es-419", True), ("de-CH-1996", True), ("x-own", True),
    ("i-klingon", True), ("en-x-own", True), ("de-DE-u-co-phonebk", True), ("art-lojban", True), ("EN-gb-OED", True),
    ("", False), ("e", False), ("en_US", False), ("en-", False), ("en US", False), ("en-ſs", False), ("ру", False),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), LANGUAGES)
def test_languages(code: str, expected: bool) -> None:
    """RFC 5646, section 2.1."""
    assert is_language(code) is expected


MEDIA_TYPES = [
    ("text/plain", True), ("application/fhir+json", True), ("text/html; charset=utf-8", True), ("json", True),
    ("application/fhir+xml;fhirVersion=4.0", True), ('multipart/related; type="a/b"; start="x y"', True),
    ("application/dicom; variant=DICOM STOW-RS", True), ("application/vnd.openxmlformats-officedocument.x", True),
    ("", False), ("text", False), ("text/", False), ("/plain", False), ("text/plain;", False), ("text/plain/x", False),
    ("text/*", False), ("text /plain", False), ("yaml", False), ("text/plain; charset", False),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), MEDIA_TYPES)
def test_media_types(code: str, expected: bool) -> None:
    """RFC 6838, section 4.2."""
    assert is_media_type(code) is expected


TREE = {
    "url": "urn:tree",
    "content": "complete",
    "concept": [
        {
            "code": "animal",
            "concept": [
                {"code": "cat", "concept": [{"code": "kitten"}], "property": [{"code": "legs", "valueInteger": 4}]},
                {"code": "bird", "property": [{"code": "legs", "valueInteger": 2}, {"code": "flies", "valueBoolean": True}]},
            ],
        },
        {"code": "tomcat", "property": [{"code": "subsumedBy", "valueCode": "cat"}]},
        {"code": "plant"},
    ],
}  # fmt: skip
OTHER = {"url": "urn:other", "content": "fragment", "concept": [{"code": "x"}]}


def filtered(property: str, op: str, value: str) -> dict[str, object]:
    return {"system": "urn:tree", "filter": [{"property": property, "op": op, "value": value}]}


TREE_FILE = {"system": "urn:tree"}
CATS = filtered("concept", "is-a", "cat")
ANIMALS = filtered("concept", "is-a", "animal")
EXPANSIONS = [
    ([TREE_FILE], [], "animal bird cat kitten plant tomcat"),
    ([{"system": "urn:tree", "concept": [{"code": "cat"}, {"code": "not-listed-there"}]}], [], "cat not-listed-there"),
    ([CATS], [], "cat kitten tomcat"),
    ([filtered("concept", "descendent-of", "cat")], [], "kitten tomcat"),
    ([filtered("concept", "is-not-a", "animal")], [], "plant"),
    ([filtered("legs", "=", "4")], [], "cat"),
    ([filtered("legs", "in", "2, 4")], [], "bird cat"),
    ([filtered("legs", "not-in", "2,4")], [], "animal kitten plant tomcat"),
    ([filtered("flies", "=", "true")], [], "bird"),
    ([filtered("flies", "exists", "false"), CATS], [], "animal cat kitten plant tomcat"),
    ([filtered("code", "in", "cat,plant")], [], "cat plant"),
    ([ANIMALS], [CATS], "animal bird"),
    ([{"valueSet": ["urn:cats"]}], [], "cat kitten tomcat"),
    ([{"valueSet": ["urn:cats|1"], **filtered("legs", "exists", "true")}], [], "cat"),
    ([{"valueSet": ["urn:cats", "urn:legs"]}], [], "cat"),
    ([{"valueSet": ["urn:cats"]}, filtered("legs", "=", "2")], [{"valueSet": ["urn:legs"]}], "kitten tomcat"),
]


def expander(*composes: tuple[str, dict[str, object]]) -> Expander:
    value_sets = [{"url": url, "compose": compose} for url, compose in composes]
    cats = {"url": "urn:cats", "compose": {"include": [CATS]}}
    legs = {"url": "urn:legs", "compose": {"include": [filtered("legs", "exists", "true")]}}
    loop = {"url": "urn:loop", "compose": {"include": [{"valueSet": ["urn:loop"]}]}}
    return Expander([*value_sets, cats, legs, loop], [TREE, OTHER])


@pytest.mark.parametrize(("include", "exclude", "codes"), EXPANSIONS)
def test_a_composition_is_expanded(
    include: list[dict[str, object]], exclude: list[dict[str, object]], codes: str
) -> None:
    expansion = expander(("urn:asked", {"include": include, "exclude": exclude})).expand("urn:asked")
    assert sorted(code for _, code in expansion.codes) == codes.split()
    assert not expansion.grammars


IMPOSSIBLE = [
    ({"include": [{"system": "urn:unknown"}]}, "urn:unknown"),
    ({"include": [{"system": "urn:other"}]}, "urn:other"),
    ({"include": [{"valueSet": ["urn:nothing"]}]}, "urn:nothing"),
    ({"include": [{"valueSet": ["urn:loop"]}]}, "urn:loop"),
    ({"include": [filtered("legs", "regex", ".*")]}, "filter regex"),
    ({"include": [{"system": "http://unitsofmeasure.org"}], "exclude": [CATS]}, "urn:asked"),
    ({"include": [{"system": "urn:ietf:bcp:47", "valueSet": ["urn:cats"]}]}, "urn:asked"),
]


@pytest.mark.parametrize(("compose", "missing"), IMPOSSIBLE)
def test_what_cannot_be_expanded_says_what_is_missing(compose: dict[str, object], missing: str) -> None:
    with pytest.raises(CannotExpandError, match=missing):
        expander(("urn:asked", compose)).expand("urn:asked")
