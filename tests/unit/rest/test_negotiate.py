"""https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

import pytest

from fhirserver.model.outcome import NotAcceptable, UnsupportedMediaType
from fhirserver.rest.negotiate import Preferences, check_content_type, negotiate, preferences

FHIR, PLAIN, TEXT = "application/fhir+json", "application/json", "text/json"

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
    ("application/fhir+xml, application/fhir+json;q=0.1", None, FHIR),
    ("application/json;q=0.9, application/fhir+json;q=0.2", None, PLAIN),
    ("application/fhir+json;q=0, application/json", None, PLAIN),
    ("application/json, */*;q=0.1", None, PLAIN),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None, FHIR),
    ("application/fhir+xml", "json", FHIR),
    ("application/fhir+xml", "application/fhir json", FHIR),
    ("application/fhir+xml", "application/fhir+json;fhirVersion=4.0", FHIR),
    (None, "application/json", PLAIN),
    (None, "text/json", TEXT),
]

REFUSED = [
    ("application/fhir+xml", None),
    ("text/html", None),
    ("text/turtle", None),
    ("application/fhir+json;q=0", None),
    ("application/fhir+json; fhirVersion=3.0", None),
    ("*/*;q=0", None),
    ("application/fhir+json;q=2", None),
    ("json", None),
    (FHIR, "xml"),
    (FHIR, "application/fhir+xml"),
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


@pytest.mark.parametrize(
    "content_type", [FHIR, PLAIN, TEXT, "application/fhir+json; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_fhirs_json_is_taken(content_type: str) -> None:
    check_content_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/fhir+xml",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json-patch+json",
        "application/fhir+json; charset=windows-1251",
        "application/fhir+json; fhirVersion=3.0",
    ],
)
def test_other_content_is_not(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_content_type(content_type)


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
    ],
)
def test_preferences_are_read_and_unknown_ones_passed_over(prefer: str, expected: Preferences) -> None:
    assert preferences(prefer) == expected
