"""The compiled file: where it comes from, and what is not in it."""

from __future__ import annotations

import io
import json
import lzma
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhirserver.definitions import Definitions, Terminology, load_profiles, registry, shipped, shipping
from fhirserver.definitions.build import build

CORE = os.environ.get("FHIRSERVER_R4_CORE")
FILE = Path(registry.__file__).parent / registry.FILE
TERMINOLOGY = FILE.with_name("terminology.bin")
PROFILES = FILE.with_name("profiles.bin")

ELEMENT = {
    "path": "Thing.id",
    "min": 0,
    "max": "1",
    "short": "A sentence.",
    "definition": "A sentence.",
    "comment": "No.",
}
DEFINITIONS: list[dict[str, Any]] = [
    {
        "resourceType": "StructureDefinition",
        "id": "Thing",
        "url": "http://hl7.org/fhir/StructureDefinition/Thing",
        "name": "Thing",
        "type": "Thing",
        "kind": "resource",
        "abstract": False,
        "derivation": "specialization",
        "description": "A sentence about things.",
        "snapshot": {
            "element": [
                {"path": "Thing", "min": 0, "max": "*", "base": {"path": "Thing"}, "definition": "A sentence."},
                {
                    **ELEMENT,
                    "base": {"path": "Resource.id"},
                    "type": [{"code": "http://hl7.org/fhirpath/System.String"}],
                    "constraint": [{"key": "t-1", "severity": "error", "human": "A sentence.", "expression": "true"}],
                },
                {
                    **ELEMENT,
                    "path": "Thing.kind",
                    "base": {"path": "Thing.kind"},
                    "type": [{"code": "code"}],
                    "binding": {"strength": "required", "valueSet": "urn:kinds|1", "description": "A sentence."},
                },
            ]
        },
    },
    {"resourceType": "StructureDefinition", "id": "Log", "url": "urn:log", "name": "Log", "kind": "logical"},
    {
        "resourceType": "SearchParameter",
        "id": "Thing-kind",
        "url": "urn:thing-kind",
        "code": "kind",
        "type": "token",
        "base": ["Thing"],
        "expression": "Thing.kind",
        "description": "A sentence.",
    },
    {"resourceType": "SearchParameter", "id": "example", "url": "urn:example", "code": "kind", "base": ["Thing"]},
    {"resourceType": "ValueSet", "id": "kinds", "url": "urn:kinds", "compose": {"include": [{"system": "urn:kind"}]}},
    {
        "resourceType": "CodeSystem",
        "id": "kind",
        "url": "urn:kind",
        "content": "complete",
        "caseSensitive": True,
        "concept": [{"code": "small", "display": "Small", "definition": "A sentence."}],
    },
    {
        "resourceType": "CodeSystem",
        "id": "own",
        "url": "http://hl7.org/fhir/own",
        "content": "complete",
        "description": "A sentence.",
        "concept": [{"code": "a", "display": "A", "concept": [{"code": "b", "definition": "A sentence."}]}],
    },
    {
        "resourceType": "ConceptMap",
        "id": "map",
        "url": "urn:map",
        "group": [
            {
                "source": "urn:kind",
                "element": [{"code": "small", "target": [{"code": "a", "equivalence": "wider", "comment": "A sentence."}]}],
            }
        ],
    },
]  # fmt: skip


def write_package(path: Path, definitions: list[dict[str, Any]]) -> Path:
    files = {f"package/{each['resourceType']}-{each['id']}.json": each for each in definitions}
    files["package/package.json"] = {"name": "a.package", "version": "1.0"}
    files["package/NamingSystem-left-out.json"] = {}
    files["package/other/StructureDefinition-left-out.json"] = {}
    with tarfile.open(path, "w:gz") as archive:
        folder = tarfile.TarInfo("package/StructureDefinition-folder.json")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def test_a_package_is_compiled_and_read_again(tmp_path: Path) -> None:
    build(write_package(tmp_path / "package.tgz", DEFINITIONS), tmp_path / "new" / "out.bin")
    compiled = Definitions((tmp_path / "new" / "out.bin").read_bytes())
    assert compiled.package == "a.package#1.0"
    assert compiled.resource_types == ("Thing",)
    assert [(each.path, each.types[0].code) for each in compiled.children("Thing")] == [
        ("Thing.id", "id"),
        ("Thing.kind", "code"),
    ]
    assert list(compiled.search_parameters("Thing")) == ["kind"]
    kinds = compiled.value_set("urn:kinds")
    assert kinds
    assert kinds.codes == {"small"}
    assert compiled.case_sensitive_systems == {"urn:kind", "http://unitsofmeasure.org"}


def test_the_order_of_a_package_does_not_change_the_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first.bin", tmp_path / "second.bin"
    build(write_package(tmp_path / "first.tgz", DEFINITIONS), first)
    build(write_package(tmp_path / "second.tgz", DEFINITIONS[::-1]), second)
    assert first.read_bytes() == second.read_bytes()


def test_no_sentence_enters_the_file(tmp_path: Path) -> None:
    build(write_package(tmp_path / "package.tgz", DEFINITIONS), tmp_path / "out.bin", tmp_path / "terms.bin")
    for written in ("out.bin", "terms.bin"):
        assert "sentence" not in lzma.decompress((tmp_path / written).read_bytes()).decode()


def test_terminology_is_compiled_and_read_again(tmp_path: Path) -> None:
    """Codes and their hierarchy are kept, displays of HL7's own code systems only."""
    build(write_package(tmp_path / "package.tgz", DEFINITIONS), tmp_path / "out.bin", tmp_path / "terms.bin")
    terms = Terminology((tmp_path / "terms.bin").read_bytes())
    assert terms.code_systems["urn:kind"]["concept"] == [{"code": "small"}]
    assert terms.code_systems["http://hl7.org/fhir/own"]["concept"] == [
        {"code": "a", "display": "A", "concept": [{"code": "b"}]}
    ]
    assert terms.value_sets["urn:kinds"]["compose"] == {"include": [{"system": "urn:kind"}]}
    assert terms.of("ConceptMap")["urn:map"]["group"] == [
        {"source": "urn:kind", "element": [{"code": "small", "target": [{"code": "a", "equivalence": "wider"}]}]}
    ]


def test_the_shipped_terminology_has_no_definitions() -> None:
    content = json.loads(lzma.decompress(TERMINOLOGY.read_bytes()))
    assert {"definition", "description", "comment", "text", "purpose", "copyright", "designation", "title"}.isdisjoint(
        strings(content["value_sets"])
    )
    keys = {key for system in content["code_systems"].values() for key in system}
    assert keys <= {
        *("resourceType", "url", "version", "name", "status", "caseSensitive", "valueSet"),
        *("hierarchyMeaning", "content", "property", "concept"),
    }
    concepts = [each for system in content["code_systems"].values() for each in system["concept"]]
    assert len(concepts) > 10_000
    assert all(each.keys() <= {"code", "display", "property", "concept"} for each in concepts)


def test_the_shipped_profiles_have_no_descriptive_text() -> None:
    """Only a FHIRPath expression, a name, a fixed value or a constraint's own text may hold a space."""
    profiles = {url: each for url, each in load_profiles().items() if url.startswith("http://hl7.org/")}
    assert len(profiles) > 400
    elements = [each for profile in profiles.values() for each in profile["differential"]["element"]]
    assert {"definition", "short", "comment", "requirements", "alias", "mapping", "description"}.isdisjoint(
        key for each in (*profiles.values(), *elements) for key in each
    )
    assert all(
        each.keys() <= {"key", "severity", "expression"} for one in elements for each in one.get("constraint", ())
    )


def test_what_is_shipped_has_no_descriptive_text() -> None:
    """Only a FHIRPath expression may hold a space; nothing else is more than a name, a code or an address."""
    content = json.loads(lzma.decompress(FILE.read_bytes()))
    for constraint in content["tables"]["constraints"]:
        constraint.pop()
    for parameters in content["parameters"].values():
        for parameter in parameters:
            parameter[3] = ""
            for component in parameter[6]:
                component.pop()
    found = list(strings(content))
    assert len(found) > 10_000
    assert [each for each in found if " " in each] == []
    assert {"definition", "description", "short", "comment", "human", "display", "requirements"}.isdisjoint(
        key for section in content.values() if isinstance(section, dict) for key in section
    )


def test_what_is_shipped_is_small() -> None:
    assert FILE.stat().st_size < 130_000
    assert FILE.stat().st_size + TERMINOLOGY.stat().st_size < 400_000
    assert PROFILES.stat().st_size < 40_000


@pytest.mark.skipif(CORE is None, reason="FHIRSERVER_R4_CORE does not name HL7's hl7.fhir.r4.core tarball")
def test_what_is_shipped_is_what_the_package_gives(tmp_path: Path) -> None:
    assert CORE is not None
    build(Path(CORE), tmp_path / "out.bin", tmp_path / "terms.bin", tmp_path / "profiles.bin")
    assert PROFILES.read_bytes() == (tmp_path / "profiles.bin").read_bytes()
    assert FILE.read_bytes() == (tmp_path / "out.bin").read_bytes()
    assert TERMINOLOGY.read_bytes() == (tmp_path / "terms.bin").read_bytes()


def test_shipped_data_is_found_in_the_checkout() -> None:
    assert shipped("seed").name == "seed"
    assert shipped("profiles", "x.json").parent == shipped("profiles")


def test_shipped_data_is_found_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(shipping, "PACKAGE", tmp_path)
    assert shipped("seed", "a.json") == tmp_path / "shipped" / "seed" / "a.json"
