"""JSON to XML: the text that is written, and what XML has no form for.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.json import parse
from fhirserver.model.outcome import Issue, NotAcceptable, operation_outcome
from fhirserver.rest.representation.xml import write

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
DIV = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p a='1'>x &amp;&#160;y<br /></p></div>"

WRITTEN: list[tuple[str, dict[str, Any], str]] = [
    # type, content, what stands between its tags
    ("Patient", {"active": True}, '<active value="true"/>'),
    (
        "Patient",
        {"birthDate": "1980", "gender": "male", "id": "a"},
        '<id value="a"/><gender value="male"/><birthDate value="1980"/>',
    ),
    (
        "Patient",
        {"name": [{"given": ["a", "b"], "family": "f"}]},
        '<name><family value="f"/><given value="a"/><given value="b"/></name>',
    ),
    ("Patient", {"name": [{"id": "n", "text": "t"}]}, '<name id="n"><text value="t"/></name>'),
    (
        "Patient",
        {"_birthDate": {"extension": [{"valueCode": "c", "url": "u", "id": "e"}]}},
        '<birthDate><extension id="e" url="u"><valueCode value="c"/></extension></birthDate>',
    ),
    ("Patient", {"birthDate": "1980", "_birthDate": {"id": "b"}}, '<birthDate id="b" value="1980"/>'),
    (
        "Patient",
        {"name": [{"given": ["a", None, "c"], "_given": [None, {"id": "x"}]}]},
        '<name><given value="a"/><given id="x"/><given value="c"/></name>',
    ),
    ("Patient", {"name": [{"_given": [{"id": "x"}, {"id": "y"}]}]}, '<name><given id="x"/><given id="y"/></name>'),
    (
        "Patient",
        {"name": [{"text": "<&\"'>\n\t\r ё😀"}]},
        '<name><text value="&lt;&amp;&quot;\'>&#10;&#9;&#13; ё😀"/></name>',
    ),
    ("Patient", {"text": {"div": DIV, "status": "empty"}}, f'<text><status value="empty"/>{DIV}</text>'),
    (
        "Patient",
        {"contained": [{"resourceType": "Group", "id": "g"}, {"resourceType": "Group"}]},
        '<contained><Group><id value="g"/></Group></contained><contained><Group/></contained>',
    ),
    ("Patient", {"multipleBirthInteger": 2}, '<multipleBirthInteger value="2"/>'),
    ("Observation", {"valueBoolean": False}, '<valueBoolean value="false"/>'),
    ("Observation", parse(b'{"valueQuantity":{"value":1.50}}'), '<valueQuantity><value value="1.50"/></valueQuantity>'),
    ("Observation", parse(b'{"valueQuantity":{"value":-0}}'), '<valueQuantity><value value="-0"/></valueQuantity>'),
    (
        "Observation",
        parse(b'{"valueQuantity":{"value":1E-22}}'),
        '<valueQuantity><value value="1E-22"/></valueQuantity>',
    ),
    (
        "Observation",
        {"valueQuantity": {"value": Decimal("2.0")}},
        '<valueQuantity><value value="2.0"/></valueQuantity>',
    ),
    ("Bundle", {"entry": [{"resource": None, "fullUrl": "urn:a"}]}, '<entry><fullUrl value="urn:a"/></entry>'),
    (
        "Questionnaire",
        {"item": [{"item": [{"linkId": "1.1"}], "linkId": "1"}]},
        '<item><linkId value="1"/><item><linkId value="1.1"/></item></item>',
    ),
]


@pytest.mark.parametrize(("type", "content", "expected"), WRITTEN)
def test_a_resource_is_written(type: str, content: dict[str, Any], expected: str) -> None:
    text = write(load(), {"resourceType": type, **content}).decode()
    assert text == f'{HEAD}<{type} xmlns="http://hl7.org/fhir">{expected}</{type}>'


def test_a_resource_of_nothing_is_one_element() -> None:
    assert write(load(), {"resourceType": "Patient"}).decode() == f'{HEAD}<Patient xmlns="http://hl7.org/fhir"/>'


def test_pretty_text_has_a_line_for_each_element_and_leaves_the_narrative_alone() -> None:
    patient = {
        "resourceType": "Patient",
        "text": {"status": "empty", "div": DIV},
        "contained": [{"resourceType": "Group", "active": True}],
        "_birthDate": {"extension": [{"url": "u", "valueCode": "c"}]},
    }
    assert write(load(), patient, pretty=True).decode().splitlines() == [
        HEAD,
        '<Patient xmlns="http://hl7.org/fhir">',
        "  <text>",
        '    <status value="empty"/>',
        "    " + DIV,
        "  </text>",
        "  <contained>",
        "    <Group>",
        '      <active value="true"/>',
        "    </Group>",
        "  </contained>",
        "  <birthDate>",
        '    <extension url="u">',
        '      <valueCode value="c"/>',
        "    </extension>",
        "  </birthDate>",
        "</Patient>",
    ]


UNWRITABLE: list[tuple[Any, str]] = [
    # what nothing that was validated holds, and a load past the validator might
    ({"active": True}, "resourceType"),
    ([], "resourceType"),
    ({"resourceType": 5}, "resourceType"),
    ({"resourceType": "HumanName"}, "resourceType"),
    ({"resourceType": 'Patient x="'}, "resourceType"),
    ({"resourceType": "Patient", "colour": "red"}, "Patient"),
    ({"resourceType": "Patient", "_name": [{"id": "a"}]}, "Patient"),
    ({"resourceType": "Patient", "name": {"text": "a"}}, "name"),
    ({"resourceType": "Patient", "name": ["a"]}, "name"),
    ({"resourceType": "Patient", "active": [True]}, "active"),
    ({"resourceType": "Patient", "active": {"a": "b"}}, "active"),
    ({"resourceType": "Patient", "active": 1.5}, "active"),
    ({"resourceType": "Patient", "_active": "a"}, "_active"),
    ({"resourceType": "Patient", "contained": [{"id": "a"}]}, "resourceType"),
    ({"resourceType": "Patient", "name": [{"text": "a\x00"}]}, "text"),
    ({"resourceType": "Patient", "name": [{"text": "a\x1f"}]}, "text"),
    ({"resourceType": "Patient", "name": [{"text": "\uffff"}]}, "text"),
    ({"resourceType": "Patient", "name": [{"text": "\ud800"}]}, "text"),
    ({"resourceType": "Patient", "name": [{"id": "\ufffe"}]}, "id"),
    ({"resourceType": "Patient", "text": {"div": 5}}, "div"),
    ({"resourceType": "Patient", "text": {"div": "text"}}, "div"),
    ({"resourceType": "Patient", "text": {"div": DIV + "<script/>"}}, "div"),
    ({"resourceType": "Patient", "text": {"div": DIV[:-6] + "</div></text><active value='true'/><text><div>"}}, "div"),
    ({"resourceType": "Patient", "text": {"div": "<!DOCTYPE div>" + DIV}}, "div"),
    ({"resourceType": "Patient", "text": {"div": "<div>no namespace</div>"}}, "div"),
]


@pytest.mark.parametrize(("resource", "what"), UNWRITABLE)
def test_what_xml_has_no_form_for_is_not_written(resource: Any, what: str) -> None:
    with pytest.raises(NotAcceptable, match=f'XML: "{what}" .*Ask for application/fhir'):
        write(load(), resource)


def test_a_refusal_is_a_resource_too() -> None:
    outcome = operation_outcome([Issue("error", "invalid", 'a "quoted" <name>', "Patient.name[0]")])
    assert write(load(), outcome).decode() == (
        f'{HEAD}<OperationOutcome xmlns="http://hl7.org/fhir"><issue><severity value="error"/><code value="invalid"/>'
        '<diagnostics value="a &quot;quoted&quot; &lt;name>"/><expression value="Patient.name[0]"/></issue></OperationOutcome>'
    )
