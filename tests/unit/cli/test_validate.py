"""`fhirserver validate`: every issue of resources in files, a line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirserver.cli import main

NARRATIVE = '"text": {"status": "generated", "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a</div>"}'
FINE = f'{{"resourceType": "Patient", "gender": "female", {NARRATIVE}}}'
BARE = '{"resourceType": "Patient"}'
WRONG = f'{{"resourceType": "Patient", "gender": "f", "nome": 1, {NARRATIVE}}}'
OK = "information: No issues were found."


@pytest.mark.parametrize(
    ("name", "text", "code", "begins"),
    [
        ("a.json", FINE, 0, [f": {OK}"]),
        ("a.json", BARE, 0, [": warning: Patient: dom-6:"]),
        ("a.json", WRONG, 1, [": error: Patient.gender:", ': error: Patient.nome: "nome" is not an element']),
        ("a.json", "{", 1, [": error: The body is not JSON"]),
        ("a.json", "[]", 1, [": error: $this:"]),
        ("a.ndjson", f"{FINE}\n\n{BARE}\n", 0, [f":1: {OK}", ":3: warning: Patient:"]),
        ("a.ndjson", f"{WRONG}\n{FINE}", 1, [":1: error: Patient.gender:", ":1: error: Patient.nome:", f":2: {OK}"]),
        ("a.xml", '<Patient xmlns="http://hl7.org/fhir"><gender value="f"/></Patient>', 1, [": error: Patient.gender:", ": warning:"]),
        ("a.xml", '<Patient xmlns="http://hl7.org/fhir"><nome value="f"/></Patient>', 1, [": error: Patient.nome:"]),
        ("a.xml", '<!DOCTYPE x><Patient xmlns="http://hl7.org/fhir"/>', 1, [": error:"]),
    ],
)  # fmt: skip
def test_each_issue_is_a_line_and_an_error_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, code: int, begins: list[str]
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert main(["validate", str(file)]) == code
    lines = [line.removeprefix(str(file)) for line in capsys.readouterr().out.splitlines()]
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=True)] == begins


def test_several_files_and_one_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.json"
    file.write_text(FINE, encoding="utf-8")
    assert main(["validate", str(file), str(tmp_path / "none.json")]) == 1
    seen = capsys.readouterr()
    assert seen.out == f"{file}: {OK}\n"
    assert "none.json cannot be read" in seen.err


PROFILE = """{"resourceType": "StructureDefinition", "url": "urn:p", "name": "P", "status": "draft", "kind": "resource", "abstract": false,
 "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient", "derivation": "constraint",
 "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]}}"""
MISSING = 'error: Patient.name: "name" is missing; the profile urn:p asks for it.'


@pytest.mark.parametrize(
    ("options", "text", "code", "lines"),
    [
        (["--profile", "urn:p"], FINE, 1, [MISSING]),
        ([], FINE.replace("{", '{"meta": {"profile": ["urn:p"]}, ', 1), 1, [MISSING]),
        ([], FINE, 0, [OK]),
        (["--profile", "http://hl7.org/fhir/StructureDefinition/Patient"], FINE, 0, [OK]),
    ],
)
def test_profiles_are_read_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], text: str, code: int, lines: list[str]
) -> None:
    file, known = tmp_path / "a.json", tmp_path / "p.json"
    file.write_text(text, encoding="utf-8")
    known.write_text(PROFILE, encoding="utf-8")
    assert main(["validate", *options, "--known", str(known), str(file)]) == code
    assert capsys.readouterr().out.splitlines() == [f"{file}: {line}" for line in lines]


def test_a_profile_that_no_file_holds_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.json"
    file.write_text(FINE, encoding="utf-8")
    assert main(["validate", "--profile", "urn:q", str(file)]) == 1
    assert "urn:q is not known here" in capsys.readouterr().out


def test_what_is_to_be_known_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.json"
    file.write_text("{", encoding="utf-8")
    assert main(["validate", "--known", str(file), str(file)]) == 1
    assert "cannot be read" in capsys.readouterr().err
