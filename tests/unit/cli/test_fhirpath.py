"""`fhirserver fhirpath`: results of an expression on files, a line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirserver.cli import main

PATIENT = """{"resourceType": "Patient", "active": true, "name": [{"family": "Иванова", "given": ["Anna", "Maria"]}],
"_birthDate": {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}, "multipleBirthInteger": 2}"""


@pytest.fixture
def patient(tmp_path: Path) -> str:
    file = tmp_path / "patient.json"
    file.write_text(PATIENT, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("name.given", "Anna\nMaria\n"),
        ("name.family & '!'", "Иванова!\n"),
        ("active", "true\n"),
        ("multipleBirth * 1.5", "3.0\n"),
        ("name", '{"family":"Иванова","given":["Anna","Maria"]}\n'),
        ("birthDate", '{"extension":[{"url":"http://example.org/why","valueCode":"unknown"}]}\n'),
        ("2 'mg'", "2 'mg'\n"),
        ("gender", ""),
        ("today() > @2020", "true\n"),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", "true\n"),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/Person')", "false\n"),
        ("conformsTo('http://hl7.org/fhir/StructureDefinition/bp')", "false\n"),
    ],
)
def test_each_result_is_a_line(patient: str, expression: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fhirpath", expression, patient]) == 0
    assert capsys.readouterr().out == shown


def test_with_several_files_each_line_names_its_own(patient: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fhirpath", "active", patient, patient]) == 0
    assert capsys.readouterr().out == f"{patient}: true\n" * 2


def test_an_expression_needs_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fhirpath", "1 + 1"]) == 0
    assert capsys.readouterr().out == "2\n"


@pytest.mark.parametrize(
    ("expression", "file", "said"),
    [
        ("nam", None, "'nam' is not an element of Patient. At character 1"),
        ("1 +", None, "The expression ends too early. At character 4"),
        ("active", "none.json", "cannot be read"),
        ("conformsTo('http://example.org/p')", None, "is not one of R4's own"),
        ("name.conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", None, "of resources only"),
    ],
)
def test_what_is_wrong_is_one_line(
    patient: str, expression: str, file: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fhirpath", expression, file or patient]) == 1
    assert said in capsys.readouterr().err
