"""XML to JSON: what is read, and what is refused at which place.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.json import Number, dump
from fhirserver.model.outcome import BadRequest, TooLarge
from fhirserver.rest.representation.xml import read, root_of

XHTML = "http://www.w3.org/1999/xhtml"


def of(type: str, content: str) -> bytes:
    """A resource's element with this content."""
    return f'<{type} xmlns="http://hl7.org/fhir">{content}</{type}>'.encode()


READ: dict[str, tuple[bytes, dict[str, Any]]] = {
    "primitives": (
        of("Patient", '<id value="a"/><active value="true"/><birthDate value="1980-02"/>'),
        {"id": "a", "active": True, "birthDate": "1980-02"},
    ),
    "nothing but the type": (of("Patient", ""), {}),
    "where the schema lies is no content": (
        b'<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        b'xsi:schemaLocation="http://hl7.org/fhir ../patient.xsd"><active value="true"/></Patient>',
        {"active": True},
    ),
    "lists and objects": (
        of(
            "Patient",
            '<name><family value="f"/><given value="a"/><given value="b"/></name><name><text value="t"/></name>',
        ),
        {"name": [{"family": "f", "given": ["a", "b"]}, {"text": "t"}]},
    ),
    "an extension and an id beside a value": (
        of(
            "Patient",
            '<birthDate id="b" value="1980"><extension url="u"><valueInteger value="7"/></extension></birthDate>',
        ),
        {"birthDate": "1980", "_birthDate": {"id": "b", "extension": [{"url": "u", "valueInteger": 7}]}},
    ),
    "an extension instead of a value": (
        of("Patient", '<birthDate><extension url="u"><valueCode value="c"/></extension></birthDate>'),
        {"_birthDate": {"extension": [{"url": "u", "valueCode": "c"}]}},
    ),
    "a list in which some have extensions and some values": (
        of(
            "Patient",
            '<name><given value="a"/><given id="x"/><given value="c" id="y"/><given value="d"/></name>',
        ),
        {"name": [{"given": ["a", None, "c", "d"], "_given": [None, {"id": "x"}, {"id": "y"}, None]}]},
    ),
    "a list of extensions alone": (
        of("Patient", '<name><given id="x"/><given id="y"/></name>'),
        {"name": [{"_given": [{"id": "x"}, {"id": "y"}]}]},
    ),
    "ids of elements": (of("Patient", '<name id="n"><text value="t"/></name>'), {"name": [{"id": "n", "text": "t"}]}),
    "a nested extension": (
        of(
            "Patient",
            '<extension id="e" url=" u "><extension url="v"><valueString value=" s "/></extension></extension>',
        ),
        {"extension": [{"id": "e", "url": "u", "extension": [{"url": "v", "valueString": " s "}]}]},
    ),
    "contained resources": (
        of(
            "Patient",
            '<contained><Organization><id value="o"/></Organization></contained><contained><Group/></contained>',
        ),
        {"contained": [{"resourceType": "Organization", "id": "o"}, {"resourceType": "Group"}]},
    ),
    "a bundle": (
        of("Bundle", '<type value="batch"/><entry><resource><Patient><id value="p"/></Patient></resource></entry>'),
        {"type": "batch", "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}]},
    ),
    "shared content": (
        of("Questionnaire", '<item><linkId value="1"/><item><linkId value="1.1"/></item></item>'),
        {"item": [{"linkId": "1", "item": [{"linkId": "1.1"}]}]},
    ),
    "escapes": (
        of("Patient", '<name><text value="&lt;&amp;&quot;&apos;&gt;&#10;&#x9;&#x1F600; ё&#xd;"/></name>'),
        {"name": [{"text": "<&\"'>\n\t😀 ё\r"}]},
    ),
    "white space that cannot be part of the value": (
        of("Patient", '<active value=" true\n"/><birthDate value=" 1980 "/>'),
        {"active": True, "birthDate": "1980"},
    ),
    "comments and instructions": (
        b"<?xml version='1.0' encoding='UTF-8'?>\n<?style x?><!-- <!DOCTYPE a> -->"
        + of("Patient", "<!-- a --><active value='true'><!-- b --></active><?x y?>")
        + b"<!-- c -->",
        {"active": True},
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + of("Patient", '<id value="a"/>'), {"id": "a"}),
    "prefixes": (
        b'<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>',
        {"active": True},
    ),
    "a narrative as it is": (
        of(
            "Patient",
            f'<text><status value="empty"/><div xmlns="{XHTML}" >\r\n<p  a=\'1\'>x &amp; y<!-- z --><br /></p></div\n></text>',
        ),
        {
            "text": {
                "status": "empty",
                "div": f"<div xmlns=\"{XHTML}\" >\r\n<p  a='1'>x &amp; y<!-- z --><br /></p></div\n>",
            }
        },
    ),
    "an empty narrative": (
        of("Patient", f'<text><div xmlns="{XHTML}"/></text>'),
        {"text": {"div": f'<div xmlns="{XHTML}"/>'}},
    ),
    "a narrative by prefix": (
        b'<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><h:div xml:lang="ru" title="&lt;">'
        b"a &lt; b<h:br/><h:p><![CDATA[<]]></h:p><!-- c --></h:div></text></Patient>",
        {"text": {"div": f'<div xmlns="{XHTML}" xml:lang="ru" title="&lt;">a &lt; b<br/><p>&lt;</p></div>'}},
    ),
    "a narrative whose namespace is declared further out": (
        b'<f:Patient xmlns:f="http://hl7.org/fhir" xmlns="http://www.w3.org/1999/xhtml"><f:text><div><p/></div></f:text></f:Patient>',
        {"text": {"div": f'<div xmlns="{XHTML}"><p></p></div>'}},
    ),
    "a narrative whose prefix begins like its name": (
        b'<Patient xmlns="http://hl7.org/fhir" xmlns:div="http://www.w3.org/1999/xhtml"><text><div:div/></text></Patient>',
        {"text": {"div": f'<div xmlns="{XHTML}"></div>'}},
    ),
}


@pytest.mark.parametrize("case", READ)
def test_a_text_is_read(case: str) -> None:
    data, expected = READ[case]
    resource = read(load(), data)
    resource.pop("resourceType")
    assert resource == expected


NUMBERS = [
    "0",
    "-0",
    "1",
    "12",
    "-5",
    "1.50",
    "0.0",
    "-0.00",
    "1e3",
    "1E-22",
    "3.14159265358979323846264338327",
    "9" * 30,
]


@pytest.mark.parametrize("text", NUMBERS)
def test_a_decimal_keeps_its_digits(text: str) -> None:
    read_back = read(load(), of("Observation", f'<valueQuantity><value value=" {text} "/></valueQuantity>'))
    assert dump(read_back["valueQuantity"]) == f'{{"value":{text}}}'.encode()
    value = read_back["valueQuantity"]["value"]
    assert type(value) is (int if text.lstrip("-").isdigit() and text != "-0" else Number)


REFUSED: dict[str, tuple[bytes, str | None, str]] = {
    # what is sent, the place, words of the sentence
    "no XML": (b"{}", None, "not XML"),
    "nothing": (b" ", None, "not XML"),
    "an end too early": (
        b'<Patient xmlns="http://hl7.org/fhir"><name>',
        "Patient.name[0]",
        "not XML: no element found at line 1",
    ),
    "two roots": (of("Patient", "") * 2, None, "not XML"),
    "no namespace": (b"<Patient/>", None, '"Patient" is not a resource type'),
    "another namespace": (b'<Patient xmlns="http://hl7.org/fhir/"/>', None, '"Patient" is not a resource type'),
    "a namespace with a space": (b'<x:a xmlns:x="http://hl7.org/fhir Patient"/>', None, ""),
    "no resource type": (of("HumanName", ""), None, '"HumanName" is not a resource type'),
    "an abstract type": (of("DomainResource", ""), None, '"DomainResource" is not a resource type'),
    "a name that cannot be shown": (of("x" * 100, ""), None, "with that name is not a resource type"),
    "an unknown element": (of("Patient", "<names><x><y/></x></names>"), "Patient.names", '"names" is unknown here'),
    "an element in another namespace": (
        of("Patient", '<name xmlns="urn:x"/>'),
        "Patient.name",
        "namespace http://hl7.org/fhir.",
    ),
    "an unknown element inside": (of("Patient", "<name><x/></name>"), "Patient.name[0].x", '"x" is unknown'),
    "inside a primitive": (of("Patient", '<active value="true"><x/></active>'), "Patient.active.x", '"x" is unknown'),
    "the id of an element as an element": (
        of("Patient", '<name><id value="x"/></name>'),
        "Patient.name[0].id",
        "unknown",
    ),
    "the id of a resource as an attribute": (
        b'<Patient xmlns="http://hl7.org/fhir" id="a"/>',
        "Patient",
        'attribute "id"',
    ),
    "an unknown attribute": (of("Patient", '<active valeu="true"/>'), "Patient.active", 'attribute "valeu" is unknown'),
    "a value where none belongs": (
        of("Patient", '<name value="x"/>'),
        "Patient.name[0]",
        'attribute "value" is unknown',
    ),
    "a url where none belongs": (of("Patient", '<name url="x"/>'), "Patient.name[0]", 'attribute "url" is unknown'),
    "an attribute with a namespace": (
        b'<Patient xmlns="http://hl7.org/fhir" xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:nil="true"/>',
        "Patient",
        '"nil" is unknown',
    ),
    "a schema's place where no document begins": (
        b'<Patient xmlns="http://hl7.org/fhir" xmlns:x="http://www.w3.org/2001/XMLSchema-instance"><active value="true"'
        b' x:schemaLocation="a b"/></Patient>',
        "Patient.active",
        '"schemaLocation" is unknown',
    ),
    "text": (of("Patient", '<active value="true">yes</active>'), "Patient.active", "Text cannot stand here"),
    "text in a CDATA section": (of("Patient", "<![CDATA[x]]>"), "Patient", "Text cannot stand here"),
    "the wrong order": (of("Patient", '<birthDate value="1980"/><gender value="male"/>'), "Patient.gender", "too late"),
    "a list in two parts": (
        of("Patient", '<name><text value="a"/></name><gender value="male"/><name><text value="b"/></name>'),
        "Patient.name[1]",
        "too late",
    ),
    "an element twice": (
        of("Patient", '<active value="true"/><active value="true"/>'),
        "Patient.active",
        "more than once",
    ),
    "an extended element twice": (
        of("Patient", '<active id="a"/><active id="b"/>'),
        "Patient.active",
        "more than once",
    ),
    "an empty element": (of("Patient", "<active/>"), "Patient.active", "is empty"),
    "an empty object": (of("Patient", "<name/>"), "Patient.name[0]", "is empty"),
    "an empty place for a resource": (of("Patient", "<contained/>"), "Patient.contained[0]", "is empty"),
    "two resources in one place": (
        of("Patient", "<contained><Group/><Group/></contained>"),
        "Patient.contained[0]",
        "Only one resource",
    ),
    "an element beside a resource": (
        of("Patient", '<contained><Group/><active value="true"/></contained>'),
        "Patient.contained[0]",
        "not a resource type",
    ),
    "something else than a resource": (
        of("Patient", "<contained><name/></contained>"),
        "Patient.contained[0]",
        "not a resource type",
    ),
    "an attribute of a place for a resource": (
        of("Patient", '<contained id="a"><Group/></contained>'),
        "Patient.contained[0]",
        'attribute "id"',
    ),
    "an error in a contained resource": (
        of("Bundle", "<entry><resource><Patient><x/></Patient></resource></entry>"),
        "Bundle.entry[0].resource.x",
        "unknown",
    ),
    "a boolean in letters of another case": (
        of("Patient", '<active value="True"/>'),
        "Patient.active",
        "true or false",
    ),
    "a boolean in digits": (of("Patient", '<active value="1"/>'), "Patient.active", "true or false"),
    "an integer with a point": (
        of("Patient", '<multipleBirthInteger value="1.0"/>'),
        "Patient.multipleBirthInteger",
        "whole",
    ),
    "an integer with a plus": (
        of("Patient", '<multipleBirthInteger value="+1"/>'),
        "Patient.multipleBirthInteger",
        "whole",
    ),
    "an integer with a zero before it": (
        of("Patient", '<multipleBirthInteger value="01"/>'),
        "Patient.multipleBirthInteger",
        "whole",
    ),
    "Arabic digits": (of("Patient", '<multipleBirthInteger value="١"/>'), "Patient.multipleBirthInteger", "whole"),
    "a decimal that is none": (
        of("RiskAssessment", '<prediction><probabilityDecimal value=".5"/></prediction>'),
        "RiskAssessment.prediction[0].probabilityDecimal",
        "decimal",
    ),
    "not a number": (
        of("Observation", '<valueQuantity><value value="NaN"/></valueQuantity>'),
        "Observation.valueQuantity.value",
        "decimal",
    ),
    "too many digits": (
        of("Observation", f'<valueQuantity><value value="{"1" * 31}"/></valueQuantity>'),
        "Observation.valueQuantity.value",
        "30 digits",
    ),
    "too large an exponent": (
        of("Observation", '<valueQuantity><value value="1e9999999999"/></valueQuantity>'),
        "Observation.valueQuantity.value",
        "30 digits",
    ),
    "a div that is not xhtml": (of("Patient", "<text><div>x</div></text>"), "Patient.text.div", f"namespace {XHTML}."),
    "xhtml elsewhere": (of("Patient", f'<name xmlns="{XHTML}"/>'), "Patient.name", "namespace"),
    "another namespace in a narrative by prefix": (
        b'<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><h:div><svg xmlns="urn:s"/></h:div></text></Patient>',
        "Patient.text.div",
        "not in the XHTML namespace",
    ),
    "another attribute in a narrative by prefix": (
        b'<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><h:div xmlns:a="urn:a" a:b="c"/></text></Patient>',
        "Patient.text.div",
        "not in the XHTML namespace",
    ),
    "an entity that nobody declared": (
        of("Patient", f'<text><div xmlns="{XHTML}">&nbsp;</div></text>'),
        "Patient.text.div",
        "undefined entity",
    ),
    "another encoding": (b'<?xml version="1.0" encoding="windows-1251"?>' + of("Patient", ""), None, "always UTF-8"),
    "another version": (b'<?xml version="1.1"?>' + of("Patient", ""), None, "version 1.0"),
    "bytes that are not UTF-8": (of("Patient", "").replace(b"http", b"\xff"), None, "not UTF-8"),
    "UTF-16": (of("Patient", "").decode().encode("utf-16"), None, "not UTF-8"),
    "UTF-16 without a mark": (of("Patient", "").decode().encode("utf-16-le"), None, "not UTF-8"),
    "a control character": (of("Patient", '<active value="&#1;"/>'), "Patient", "not XML"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_with_its_place(case: str) -> None:
    data, place, words = REFUSED[case]
    with pytest.raises(BadRequest) as caught:
        read(load(), data)
    [issue] = caught.value.issues
    assert (issue.expression, issue.code, issue.severity) == (place, "structure", "error")
    assert words in issue.diagnostics


def test_everything_that_is_wrong_is_reported_with_its_line() -> None:
    text = '\n<foo/>\n <active value="maybe"/>\n<name><given x="1"/></name>'
    with pytest.raises(BadRequest) as caught:
        read(load(), of("Patient", text))
    assert [(issue.expression, issue.diagnostics.partition("(")[2]) for issue in caught.value.issues] == [
        ("Patient.foo", "line 2, column 1)"),
        ("Patient.active", "line 3, column 2)"),
        ("Patient.name[0].given[0]", "line 4, column 7)"),
    ]


def test_not_more_is_reported_than_anybody_reads() -> None:
    with pytest.raises(BadRequest) as caught:
        read(load(), of("Patient", "<x/>" * 1000))
    assert len(caught.value.issues) == 50


def test_a_text_past_the_bound_is_too_large() -> None:
    with pytest.raises(TooLarge):
        read(load(), of("Patient", ""), limit=10)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (of("Binary", "<x"), "http://hl7.org/fhir Binary"),
        (b"<?xml version='1.0'?><!-- " + b"c" * 5000 + b" --><a/>", "a"),
        (b"", None),
        (b"text", None),
        (b"<!DOCTYPE a><a/>", None),
        (b"\xff\xfe<\0a\0/\0>\0", None),
    ],
)
def test_the_root_is_known_without_reading_the_rest(data: bytes, expected: str | None) -> None:
    assert root_of(data) == expected
