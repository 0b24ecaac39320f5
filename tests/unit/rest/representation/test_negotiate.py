"""https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

import pytest

from fhirserver.model.outcome import NotAcceptable, UnsupportedMediaType
from fhirserver.rest.representation.negotiate import Preferences, is_xml, negotiate, preferences, sent_format

FHIR, PLAIN, TEXT = "application/fhir+json", "application/json", "text/json"
XML, PLAIN_XML, TEXT_XML = "application/fhir+xml", "application/xml", "text/xml"

ACCEPTED = [
    (None, None, FHIR),
    ("", None, FHIR),
    ("*/*", None, FHIR),
    ("application/*", None, FHIR),
    ("text/*", None, TEXT),
    (FHIR, None, FHIR),
    (PLAIN, None, PLAIN),
    (TEXT, None, TEXT),
    ("application/fhir+json; fhirVersion=4.0", None, FHIR),
    ("application/fhir+json;charset=utf-8", None, FHIR),
    ("Application/FHIR+JSON", None, FHIR),
    ("application/fhir+xml, application/fhir+json;q=0.1", None, XML),
    ("application/fhir+xml;q=0.1, application/fhir+json", None, FHIR),
    ("application/fhir+xml, application/fhir+json", None, FHIR),
    ("application/fhir+json;q=0, application/*", None, PLAIN),
    ("application/fhir+xml, */*;q=0.1", None, XML),
    (XML, None, XML),
    (PLAIN_XML, None, PLAIN_XML),
    (TEXT_XML, None, TEXT_XML),
    ("application/fhir+xml; fhirVersion=4.0", None, XML),
    ("application/fhir+xml; fhirVersion=3.0, application/json;q=0.1", None, PLAIN),
    ("text/*, text/json;q=0.1", None, TEXT_XML),
    (FHIR, "xml", XML),
    (FHIR, "application/fhir+xml", XML),
    (FHIR, "application/fhir xml", XML),
    (None, "application/xml", PLAIN_XML),
    (None, "text/xml", TEXT_XML),
    (None, "application/fhir+xml;fhirVersion=4.0.1", XML),
    ("application/json;q=0.9, application/fhir+json;q=0.2", None, PLAIN),
    ("application/fhir+json;q=0, application/json", None, PLAIN),
    ("application/json, */*;q=0.1", None, PLAIN),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None, PLAIN_XML),
    ("application/fhir+xml", "json", FHIR),
    ("application/fhir+xml", "application/fhir json", FHIR),
    ("application/fhir+xml", "application/fhir+json;fhirVersion=4.0", FHIR),
    (None, "application/json", PLAIN),
    (None, "text/json", TEXT),
    ("application/json+fhir", None, "application/json+fhir"),
    ("application/xml+fhir", None, "application/xml+fhir"),
    (None, "application/json+fhir", "application/json+fhir"),
    (None, "application/xml fhir", "application/xml+fhir"),
]

REFUSED = [
    ("application/fhir+xml;q=0", None),
    ("application/fhir+xml; fhirVersion=3.0", None),
    ("application/xhtml+xml", None),
    ("text/html", None),
    ("text/turtle", None),
    ("application/fhir+json;q=0", None),
    ("application/fhir+json; fhirVersion=3.0", None),
    ("*/*;q=0", None),
    ("application/fhir+json;q=2", None),
    ("json", None),
    (FHIR, "html/xml"),
    (FHIR, "text/turtle"),
    (FHIR, "application/fhir+xml;fhirVersion=5.0"),
    (FHIR, "ttl"),
    (FHIR, ""),
    (FHIR, "application/fhir+json;fhirVersion=5.0"),
]


@pytest.mark.parametrize(("accept", "format", "expected"), ACCEPTED)
def test_the_best_of_the_types_asked_for_is_served(accept: str | None, format: str | None, expected: str) -> None:
    assert negotiate(accept, format).decode() == f"{expected}; charset=utf-8"


@pytest.mark.parametrize(("accept", "format"), REFUSED)
def test_other_types_are_not_acceptable(accept: str, format: str | None) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept, format)


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", "application/fhir+json, application/fhir+xml"])
def test_who_sent_xml_and_leaves_the_choice_gets_xml(accept: str | None) -> None:
    assert negotiate(accept, None, sent_xml=True) == b"application/fhir+xml; charset=utf-8"
    assert negotiate(accept, "json", sent_xml=True) == b"application/fhir+json; charset=utf-8"
    assert negotiate(FHIR, None, sent_xml=True) == b"application/fhir+json; charset=utf-8"


def test_what_is_xml_is_known_by_its_type() -> None:
    assert [is_xml(negotiate(each, None)) for each in (FHIR, PLAIN, TEXT, XML, PLAIN_XML, TEXT_XML)] == [False] * 3 + [
        True
    ] * 3


SENT = [
    (FHIR, "json"),
    (PLAIN, "json"),
    (TEXT, "json"),
    ("application/fhir+json; charset=UTF-8", "json"),
    ('application/json;charset="utf-8"', "json"),
    (XML, "xml"),
    (PLAIN_XML, "xml"),
    (TEXT_XML, "xml"),
    ("Text/XML; charset=UTF-8", "xml"),
    ("application/fhir+xml;fhirVersion=4.0", "xml"),
    ("application/json+fhir", "json"),
    ("application/xml+fhir; charset=utf-8", "xml"),
]


@pytest.mark.parametrize(("content_type", "format"), SENT)
def test_fhirs_json_and_xml_are_taken(content_type: str, format: str) -> None:
    assert sent_format(content_type) == format


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/xhtml+xml",
        "text/xml; charset=utf-16",
        "application/fhir+xml; fhirVersion=3.0",
        "text/turtle",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json-patch+json",
        "application/fhir+json; charset=windows-1251",
        "application/fhir+json; fhirVersion=3.0",
    ],
)
def test_other_content_is_not(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        sent_format(content_type)


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("return=minimal", Preferences("minimal")),
        ("return=representation", Preferences("representation")),
        ("return=OperationOutcome", Preferences("OperationOutcome")),
        ('return="minimal"; handling=lenient', Preferences("minimal", lenient=True)),
        ("handling=lenient, return=minimal", Preferences("minimal", lenient=True)),
        ("handling=strict", Preferences()),
        ("return=everything, respond-async", Preferences()),
        ("return=minimal, return=representation", Preferences("minimal")),
        ("return=everything, return=minimal", Preferences()),
        ("handling=strict, handling=lenient", Preferences()),
        ("handling=lenient, handling=strict", Preferences(lenient=True)),
    ],
)
def test_preferences_are_read_and_unknown_ones_passed_over(prefer: str, expected: Preferences) -> None:
    assert preferences(prefer) == expected
