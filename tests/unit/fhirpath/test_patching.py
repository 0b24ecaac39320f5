"""FHIRPath Patch: what a patch makes of a resource, or why it cannot.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.fhirpath.patching import FhirPathPatch
from fhirserver.fhirpath.patching import patch as patching
from fhirserver.fhirpath.patching.operations import OPERATIONS_LIMIT
from fhirserver.model.json import dump, parse
from fhirserver.model.json_patch import JsonPatch
from fhirserver.model.outcome import BadRequest, FhirError, TooCostly, Unprocessable
from fhirserver.validation import Validator, error_for

DEFINITIONS = load()
VALIDATOR = Validator(DEFINITIONS)

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "active": True,
    "name": [
        {"use": "official", "family": "Orlova", "given": ["Anna", "Maria"]},
        {"use": "nickname", "given": ["Anna"]},
    ],
    "birthDate": "1980-05-01",
    "_birthDate": {"extension": [{"url": "http://x.example/time", "valueDateTime": "1980-05-01T10:00:00Z"}]},
    "identifier": [{"value": "1"}, {"value": "2"}, {"value": "3"}, {"value": "4"}],
    "contact": [{"name": {"text": "a"}, "gender": "male"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "a",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "valueQuantity": {"value": 1.50, "unit": "g"},
    "contained": [{"resourceType": "Patient", "id": "p", "name": [{"family": "x"}]}],
    "subject": {"reference": "#p"},
}


def op(type: str, path: str, *value: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An operation: the value as the rest of its part, the others as plain values."""
    parts: list[dict[str, Any]] = [{"name": "type", "valueCode": type}, {"name": "path", "valueString": path}]
    for name, each in more.items():
        parts.append({"name": name, "valueInteger" if isinstance(each, int) else "valueString": each})
    return {"name": "operation", "part": parts + [{"name": "value", **each} for each in value]}


def part(name: str, **value: Any) -> dict[str, Any]:
    """One element of a value that is given as parts."""
    return {"name": name, **value}


def read(*operations: dict[str, Any]) -> FhirPathPatch:
    """The patch as the server reads it."""
    parameters = parse(dump({"resourceType": "Parameters", "parameter": list(operations)}))
    error = error_for(VALIDATOR.validate(parameters, resource_type="Parameters"))
    if error is not None:
        raise error
    return FhirPathPatch.read(DEFINITIONS, parameters)


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> Any:
    """The resource as the server would parse, patch and write it; and nothing is done to the one that was given."""
    given = parse(dump(resource))
    before = copy.deepcopy(given)
    result = read(*operations).apply(given)
    assert given == before
    return parse(dump(result))


def name(index: int, **changes: Any) -> list[dict[str, Any]]:
    """The names of the patient with one changed; None takes an element away."""
    names = copy.deepcopy(PATIENT["name"])
    names[index] = {key: value for key, value in (names[index] | changes).items() if value is not None}
    return names


FITTING: list[tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = [
    ("add: an element", PATIENT, [op("add", "Patient", {"valueCode": "female"}, name="gender")], {"gender": "female"}),
    ("add: without the type", PATIENT, [op("add", "$this", {"valueCode": "male"}, name="gender")], {"gender": "male"}),
    (
        "add: to a list",
        PATIENT,
        [op("add", "Patient.name[0]", {"valueString": "Irina"}, name="given")],
        {"name": name(0, given=["Anna", "Maria", "Irina"])},
    ),
    ("add: the first of a list", PATIENT, [op("add", "name[1]", {"valueString": "Dr"}, name="prefix")], {"name": name(1, prefix=["Dr"])}),
    ("add: a data type", PATIENT, [op("add", "Patient", {"valueAddress": {"city": "X"}}, name="address")], {"address": [{"city": "X"}]}),
    (
        "add: a choice takes the name of its type",
        PATIENT,
        [op("add", "Patient", {"valueBoolean": False}, name="deceased")],
        {"deceasedBoolean": False},
    ),
    (
        "add: what has no data type, as parts",
        PATIENT,
        [
            op(
                "add",
                "Patient",
                {"part": [part("name", valueHumanName={"text": "b"}), part("telecom", valueContactPoint={"system": "sms", "value": "1"}), part("telecom", valueContactPoint={"system": "sms", "value": "2"})]},
                name="contact",
            )
        ],
        {"contact": [*PATIENT["contact"], {"name": {"text": "b"}, "telecom": [{"system": "sms", "value": "1"}, {"system": "sms", "value": "2"}]}]},
    ),
    (
        "add: parts in parts",
        {"resourceType": "Questionnaire", "status": "draft"},
        [op("add", "Questionnaire", {"part": [part("linkId", valueString="1"), part("item", part=[part("linkId", valueString="1.1"), part("initial", part=[part("value", valueDecimal=1.50)])])]}, name="item")],
        {"item": [{"linkId": "1", "item": [{"linkId": "1.1", "initial": [{"valueDecimal": 1.50}]}]}]},
    ),
    (
        "add: an extension, as parts",
        PATIENT,
        [op("add", "Patient", {"part": [part("url", valueUri="http://x.example/e"), part("value", valueCode="c")]}, name="extension")],
        {"extension": [{"url": "http://x.example/e", "valueCode": "c"}]},
    ),
    (
        "add: an extension of a primitive",
        PATIENT,
        [op("add", "Patient.name[0].family", {"part": [part("url", valueUri="http://x.example/e"), part("value", valueString="v")]}, name="extension")],
        {"name": name(0, _family={"extension": [{"url": "http://x.example/e", "valueString": "v"}]})},
    ),
    (
        "add: an extension of a primitive in a list",
        PATIENT,
        [op("add", "Patient.name[0].given[1]", {"part": [part("url", valueUri="http://x.example/e"), part("value", valueString="v")]}, name="extension")],
        {"name": name(0, _given=[None, {"extension": [{"url": "http://x.example/e", "valueString": "v"}]}])},
    ),
    (
        "add: a primitive that has only extensions",
        PATIENT,
        [op("add", "Patient", {"_valueCode": {"extension": [{"url": "http://x.example/e", "valueCode": "unknown"}]}}, name="gender")],
        {"_gender": {"extension": [{"url": "http://x.example/e", "valueCode": "unknown"}]}},
    ),
    ("add: a narrative, as parts", PATIENT, [op("add", "Patient", {"part": [part("status", valueCode="generated"), part("div", valueString="<div/>")]}, name="text")], {"text": {"status": "generated", "div": "<div/>"}}),
    ("replace: a narrative's text, by its bare name", PATIENT | {"text": {"status": "generated", "div": "<div/>"}}, [op("replace", "Patient.text.div", {"valueString": "<div>a</div>"})], {"text": {"status": "generated", "div": "<div>a</div>"}}),
    ("add: a resource", PATIENT, [op("add", "Patient", {"resource": {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}}, name="contained")], {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]}),
    ("add: into a contained resource", OBSERVATION, [op("add", "Observation.contained[0]", {"valueCode": "male"}, name="gender")], {"contained": [OBSERVATION["contained"][0] | {"gender": "male"}]}),
    ("add: and then into what was added", PATIENT, [op("add", "Patient", {"valueAddress": {"city": "X"}}, name="address"), op("add", "Patient.address", {"valueString": "Y"}, name="district")], {"address": [{"city": "X", "district": "Y"}]}),
    ("add: a code is a string", PATIENT, [op("add", "name[1]", {"valueCode": "x"}, name="family")], {"name": name(1, family="x")}),
    ("insert: before the first", PATIENT, [op("insert", "Patient.identifier", {"valueIdentifier": {"value": "0"}}, index=0)], {"identifier": [{"value": each} for each in "01234"]}),
    ("insert: in the middle", PATIENT, [op("insert", "Patient.identifier", {"valueIdentifier": {"value": "0"}}, index=2)], {"identifier": [{"value": each} for each in "12034"]}),
    ("insert: behind the last", PATIENT, [op("insert", "Patient.identifier", {"valueIdentifier": {"value": "0"}}, index=4)], {"identifier": [{"value": each} for each in "12340"]}),
    ("insert: a primitive", PATIENT, [op("insert", "Patient.name[0].given", {"valueString": "x"}, index=1)], {"name": name(0, given=["Anna", "x", "Maria"])}),
    ("insert: into a list that is found by where", PATIENT, [op("insert", "name.where(use = 'nickname').given", {"valueString": "x"}, index=1)], {"name": name(1, given=["Anna", "x"])}),
    ("delete: an element with what stands beside it", PATIENT, [op("delete", "Patient.birthDate")], {"birthDate": None, "_birthDate": None}),
    ("delete: all that an element holds", PATIENT, [op("delete", "Patient.contact[0].name.text")], {"contact": [{"gender": "male"}]}),
    ("delete: all that the items of a list hold", PATIENT, [op("delete", "Patient.identifier[1].value")], {"identifier": [{"value": each} for each in "134"]}),
    ("delete: all that an element holds, and then into it", PATIENT, [op("delete", "Patient.contact[0].name.text"), op("add", "Patient.contact[0].name", {"valueString": "x"}, name="family")], {"contact": [{"name": {"family": "x"}, "gender": "male"}]}),
    ("delete: of nothing", PATIENT, [op("delete", "Patient.gender")], {}),
    ("delete: one of a list", PATIENT, [op("delete", "Patient.identifier[1]")], {"identifier": [{"value": each} for each in "134"]}),
    ("delete: one that is found", PATIENT, [op("delete", "Patient.identifier.where(value = '3')")], {"identifier": [{"value": each} for each in "124"]}),
    ("delete: the last of a list", PATIENT, [op("delete", "Patient.contact")], {"contact": None}),
    ("delete: one of two equal primitives", PATIENT, [op("delete", "Patient.name[1].given"), op("add", "name[1]", {"valueString": "z"}, name="family")], {"name": name(1, given=None, family="z")}),
    ("delete: an extension of a primitive", PATIENT, [op("delete", "Patient.birthDate.extension('http://x.example/time')")], {"_birthDate": None}),
    ("delete: a choice", OBSERVATION, [op("delete", "Observation.value")], {"valueQuantity": None}),
    ("delete: inside of a contained resource", OBSERVATION, [op("delete", "Observation.contained.name.family"), op("add", "contained.name", {"valueString": "y"}, name="text")], {"contained": [OBSERVATION["contained"][0] | {"name": [{"text": "y"}]}]}),
    ("replace: a primitive, with what stands beside it", PATIENT, [op("replace", "Patient.birthDate", {"valueDate": "1981-01-01"})], {"birthDate": "1981-01-01", "_birthDate": None}),
    ("replace: an element of an element", PATIENT, [op("replace", "Patient.contact.gender", {"valueCode": "female"})], {"contact": [{"name": {"text": "a"}, "gender": "female"}]}),
    ("replace: a data type as a whole", PATIENT, [op("replace", "Patient.contact.name", {"valueHumanName": {"family": "b"}})], {"contact": [{"name": {"family": "b"}, "gender": "male"}]}),
    ("replace: one of a list, in its place", PATIENT, [op("replace", "Patient.identifier.where(value = '2')", {"valueIdentifier": {"value": "x"}})], {"identifier": [{"value": each} for each in "1x34"]}),
    ("replace: the only one of a list", PATIENT, [op("replace", "Patient.contact[0]", {"part": [part("gender", valueCode="other")]})], {"contact": [{"gender": "other"}]}),
    ("replace: one type of a choice by another", OBSERVATION, [op("replace", "Observation.value", {"valueString": "x"})], {"valueQuantity": None, "valueString": "x"}),
    ("replace: digits stay", OBSERVATION, [op("replace", "Observation.value.value", {"valueDecimal": 2.00})], {"valueQuantity": {"value": 2.00, "unit": "g"}}),
    ("replace: the url of an extension", PATIENT, [op("replace", "Patient.birthDate.extension.url", {"valueUri": "http://x.example/t"})], {"_birthDate": {"extension": [{"url": "http://x.example/t", "valueDateTime": "1980-05-01T10:00:00Z"}]}}),
    ("move: forwards", PATIENT, [op("move", "Patient.identifier", source=0, destination=3)], {"identifier": [{"value": each} for each in "2341"]}),
    ("move: backwards", PATIENT, [op("move", "Patient.identifier", source=3, destination=1)], {"identifier": [{"value": each} for each in "1423"]}),
    ("move: to its own place", PATIENT, [op("move", "Patient.identifier", source=1, destination=1)], {}),
    ("move: a primitive", PATIENT, [op("move", "Patient.name[0].given", source=1, destination=0)], {"name": name(0, given=["Maria", "Anna"])}),
]  # fmt: skip


@pytest.mark.parametrize(("case", "resource", "operations", "changes"), FITTING, ids=[row[0] for row in FITTING])
def test_a_patch_changes_what_it_says(
    case: str, resource: dict[str, Any], operations: list[dict[str, Any]], changes: dict[str, Any]
) -> None:
    expected = {key: value for key, value in (resource | changes).items() if value is not None}
    assert patched(resource, *operations) == parse(dump(expected)), case


REFUSED: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("replace: nothing is there", op("replace", "Patient.gender", {"valueCode": "male"}), "not-found", "part[1].value", "selects nothing"),
    ("add: nothing is there", op("add", "Patient.maritalStatus", {"valueString": "x"}, name="text"), "not-found", "part[1].value", "selects nothing"),
    ("insert: nothing is there", op("insert", "Patient.telecom", {"valueContactPoint": {"system": "sms", "value": "1"}}, index=0), "not-found", "part[1].value", "add begins a list"),
    ("move: nothing is there", op("move", "Patient.telecom", source=0, destination=0), "not-found", "part[1].value", "selects nothing"),
    ("delete: several", op("delete", "Patient.identifier"), "multiple-matches", "part[1].value", "selects 4 elements"),
    ("replace: several", op("replace", "Patient.name", {"valueHumanName": {"text": "x"}}), "multiple-matches", "part[1].value", "selects 2 elements"),
    ("add: to several", op("add", "Patient.name", {"valueString": "x"}, name="suffix"), "multiple-matches", "part[1].value", "selects 2 elements"),
    ("add: what is there", op("add", "Patient", {"valueDate": "1990"}, name="birthDate"), "duplicate", "part[2].value", "replace it"),
    ("add: a name that does not exist", op("add", "Patient", {"valueString": "x"}, name="gendr"), "value", "part[2].value", 'did you mean "gender"'),
    ("add: a choice by its JSON name", op("add", "Patient", {"valueBoolean": True}, name="deceasedBoolean"), "value", "part[2].value", 'did you mean "deceased"'),
    ("add: to a primitive what it has not", op("add", "Patient.birthDate", {"valueString": "x"}, name="text"), "value", "part[2].value", "no element of that name"),
    ("add: another type", op("add", "Patient", {"valueString": "male"}, name="gender"), "value", "part[3].value", "send it as valueCode"),
    ("add: a type that the choice has not", op("add", "Patient", {"valueString": "yes"}, name="deceased"), "value", "part[3].value", "one of valueBoolean, valueDateTime"),
    ("add: a data type for a contact", op("add", "Patient", {"valueHumanName": {"text": "x"}}, name="contact"), "value", "part[3].value", "each as a part"),
    ("add: parts for a primitive", op("add", "Patient", {"part": [part("x", valueString="x")]}, name="gender"), "value", "part[3].part", "send it as valueCode"),
    ("add: a resource for a code", op("add", "Patient", {"resource": {"resourceType": "Basic", "code": {"text": "x"}}}, name="gender"), "value", "part[3].resource", "send it as valueCode"),
    ("add: a code for a resource", op("add", "Patient", {"valueCode": "x"}, name="contained"), "value", "part[3].value", "send it as resource"),
    ("add: a part of a contact that does not exist", op("add", "Patient", {"part": [part("nome", valueHumanName={"text": "x"})]}, name="contact"), "value", "part[3].part[0].name", 'did you mean "name"'),
    ("add: a part twice that does not repeat", op("add", "Patient", {"part": [part("gender", valueCode="male"), part("gender", valueCode="male")]}, name="contact"), "value", "part[3].part[1]", "more than once"),
    ("insert: beyond the end", op("insert", "Patient.identifier", {"valueIdentifier": {"value": "1"}}, index=5), "value", "part[2].value", "the index is 5, and the list goes to 4"),
    ("insert: into what does not repeat", op("insert", "Patient.birthDate", {"valueDate": "1990"}, index=0), "value", "part[1].value", "does not repeat"),
    ("insert: into two lists", op("insert", "Patient.name.given", {"valueString": "x"}, index=0), "multiple-matches", "part[1].value", "one list"),
    ("insert: into a part of a list", op("insert", "Patient.identifier[1]", {"valueIdentifier": {"value": "1"}}, index=0), "multiple-matches", "part[1].value", "all of them"),
    ("insert: another type", op("insert", "Patient.identifier", {"valueString": "x"}, index=0), "value", "part[3].value", "send it as valueIdentifier"),
    ("move: from beyond the end", op("move", "Patient.identifier", source=4, destination=0), "value", "part[2].value", "the source is 4, and the list goes to 3"),
    ("move: to beyond the end", op("move", "Patient.identifier", source=0, destination=4), "value", "part[3].value", "the destination is 4"),
    ("delete: the resource", op("delete", "Patient"), "value", "part[1].value", "the resource itself"),
    ("replace: the resource", op("replace", "$this", {"resource": {"resourceType": "Patient"}}), "value", "part[1].value", "the resource itself"),
    ("replace: another type", op("replace", "Patient.birthDate", {"valueDateTime": "1990"}), "value", "part[2].value", "send it as valueDate"),
    ("a path of another resource type", op("delete", "Observation.status"), "value", "part[1].value", "Observation"),
    ("a path to an element that does not exist", op("delete", "Patient.gendr"), "value", "part[1].value", "at character 9 of the path"),
    ("a path that computes", op("delete", "Patient.name.family & 'x'"), "value", "part[1].value", "no element of the resource"),
    ("a path that asks the clock", op("delete", "Patient.name.where(today() > @2020)"), "value", "part[1].value", "clock"),
    ("a path that takes too long", op("delete", "(1 | 2)" + ".select($this.combine($this))" * 30), "value", "part[1].value", "more than one evaluation"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "operation", "code", "place", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_done_is_refused_with_its_place(
    case: str, operation: dict[str, Any], code: str, place: str, says: str
) -> None:
    """The one before it changes nothing: it is all or nothing."""
    with pytest.raises(Unprocessable) as refused:
        patched(PATIENT, op("delete", "Patient.active"), operation)
    [issue] = refused.value.issues
    assert (issue.code, issue.expression) == (code, f"Parameters.parameter[1].{place}"), case
    assert says in issue.diagnostics
    assert issue.diagnostics.startswith(
        f"Operation 2 of the patch ({case.partition(':')[0] if ':' in case else 'delete'})"
    )


def parts(*given: dict[str, Any]) -> dict[str, Any]:
    return {"name": "operation", "part": list(given)}


TYPE, PATH = {"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.name"}
UNREADABLE: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("no type", parts(PATH), [("required", "")]),
    ("a type that is none", parts({"name": "type", "valueCode": "copy"}, PATH), [("value", ".part[0].value")]),
    ("a type that is a string", parts({"name": "type", "valueString": "delete"}, PATH), [("value", ".part[0]")]),
    ("no path", parts(TYPE), [("required", "")]),
    ("a path that is a code", parts(TYPE, {"name": "path", "valueCode": "x"}), [("value", ".part[1]")]),
    ("a path that is no FHIRPath", parts(TYPE, {"name": "path", "valueString": "a..b"}), [("value", ".part[1].value")]),
    ("a path that leaves", parts(TYPE, {"name": "path", "valueString": "a.where(b.resolve().c)"}), [("value", ".part[1].value")]),
    ("a part twice", parts(TYPE, PATH, PATH), [("value", ".part[1]")]),
    ("a part without meaning", parts(TYPE, PATH, {"name": "index", "valueInteger": 1}), [("value", ".part[2].name")]),
    ("another parameter", {"name": "operations", "part": [TYPE, PATH]}, [("value", ".name")]),
    ("no parts", {"name": "operation", "valueString": "x"}, [("required", "")]),
    ("add without name and value", parts({"name": "type", "valueCode": "add"}, PATH), [("required", ""), ("required", "")]),
    ("an index below 0", op("move", "a", source=-1, destination=0), [("value", ".part[2].value")]),
    ("an index that is a string", op("insert", "a", {"valueString": "x"}, index="1"), [("value", ".part[2]")]),
    ("a part that has only extensions for a name", parts(TYPE, PATH, {"_name": {"extension": [{"url": "http://x.example/e", "valueCode": "x"}]}, "valueCode": "x"}), [("value", ".part[2].name")]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "operation", "issues"), UNREADABLE, ids=[row[0] for row in UNREADABLE])
def test_a_patch_that_cannot_be_read_is_refused_with_all_that_is_wrong(
    case: str, operation: dict[str, Any], issues: list[tuple[str, str]]
) -> None:
    with pytest.raises(BadRequest) as refused:
        read(operation)
    found = [(issue.code, issue.expression) for issue in refused.value.issues]
    assert found == [(code, f"Parameters.parameter[0]{place}") for code, place in issues], case


def test_a_patch_of_no_operation_changes_nothing_and_one_of_too_many_is_refused() -> None:
    assert FhirPathPatch.read(DEFINITIONS, {"resourceType": "Parameters"}).apply(PATIENT) == PATIENT
    with pytest.raises(BadRequest, match="more than"):
        read(*[op("delete", "Patient.name")] * (OPERATIONS_LIMIT + 1))


def test_many_operations_on_a_large_resource_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patching, "ELEMENTS", 100)
    with pytest.raises(TooCostly):
        patched(PATIENT, *[op("delete", "Patient.gender")] * 10)


def primitives(value: Any, fhirpath: str, pointer: str) -> list[tuple[str, str, str]]:
    """The strings of a resource: the FHIRPath, the JSON Pointer, and the text."""
    if isinstance(value, str):
        return [(fhirpath, pointer, value)]
    if isinstance(value, list):
        return [found for index, each in enumerate(value) for found in primitives(each, f"{fhirpath}[{index}]", f"{pointer}/{index}")]  # fmt: skip
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in primitives(each, f"{fhirpath}.{key}", f"{pointer}/{key}")]  # fmt: skip
    return []


texts = st.text("ab", min_size=1, max_size=2)
names = st.lists(
    st.fixed_dictionaries(
        {"given": st.lists(texts, min_size=1, max_size=3)},
        optional={"family": texts, "text": texts, "prefix": st.lists(texts, min_size=1, max_size=2)},
    ),
    min_size=1,
    max_size=3,
)


@given(
    names, st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["replace", "delete", "insert", "move"])), max_size=4)
)
@settings(deadline=None)
def test_a_fhirpath_patch_is_the_json_patch_of_the_same_places(
    names: list[dict[str, Any]], picks: list[tuple[int, str]]
) -> None:
    """Of equal strings it is the one that is meant; each operation sees what the one before it did."""
    document: Any = {"resourceType": "Patient", "name": names}
    for number, kind in picks:
        places = primitives(document["name"], "Patient.name", "/name") if "name" in document else []
        if not places:
            return
        path, pointer, text = places[number % len(places)]
        list_path, is_in_list, last = path.rpartition("[")
        index = last.removesuffix("]")
        in_list = bool(is_in_list) and index.isdigit() and path.endswith("]")
        list_pointer = pointer.rpartition("/")[0]
        if kind == "replace":
            ours, theirs = op("replace", path, {"valueString": "z"}), {"op": "replace", "path": pointer, "value": "z"}
        elif kind == "insert" and in_list:
            ours = op("insert", list_path, {"valueString": text}, index=int(index))
            theirs = {"op": "add", "path": pointer, "value": text}
        elif kind == "move" and in_list:
            ours = op("move", list_path, source=int(index), destination=0)
            theirs = {"op": "move", "from": pointer, "path": f"{list_pointer}/0"}
        elif not in_list:
            ours, theirs = op("delete", path), {"op": "remove", "path": pointer}
        else:
            continue
        expected = JsonPatch.read([theirs]).apply(copy.deepcopy(document))
        document = patched(document, ours)
        assert document == expected


PATHS = [
    "Patient",
    "$this",
    "Patient.name",
    "Patient.name[0]",
    "name.given",
    "name[0].given",
    "birthDate",
    "birthDate.extension",
    "contact.gender",
    "identifier.where(value = '2')",
    "descendants()",
    "extension('x')",
    "nonsense",
    "Observation.value",
    "1 + 1",
    "id",
    "",
    "name.given.first() | name.family",
]
SENT: list[dict[str, Any]] = [
    {"valueString": "x"},
    {"valueCode": "male"},
    {"valueHumanName": {"family": "x"}},
    {"valueIdentifier": {"value": "x"}},
    {"valueDate": "2000", "_valueDate": {"id": "x"}},
    {"_valueString": {"extension": [{"url": "http://x.example/e", "valueCode": "x"}]}},
    {"resource": {"resourceType": "Basic", "code": {"text": "x"}}},
    {"part": [{"name": "name", "valueHumanName": {"text": "x"}}, {"name": "gender", "valueCode": "male"}]},
    {"part": [{"name": "url", "valueUri": "http://x.example/e"}, {"name": "value", "valueCode": "x"}]},
    {},
]
ANY_PART = st.one_of(
    st.builds(lambda kind: {"name": "type", "valueCode": kind}, st.sampled_from(["add", "insert", "delete", "replace", "move", "x"])),
    st.builds(lambda path: {"name": "path", "valueString": path}, st.sampled_from(PATHS)),
    st.builds(lambda name: {"name": "name", "valueString": name}, st.sampled_from(["name", "gender", "given", "contact", "extension", "id", "value", "contained", "x"])),
    st.builds(lambda name, at: {"name": name, "valueInteger": at}, st.sampled_from(["index", "source", "destination"]), st.integers(-1, 3)),
    st.builds(lambda value: {"name": "value", **value}, st.sampled_from(SENT)),
    st.builds(lambda value: {"name": "path", **value}, st.sampled_from(SENT)),
)  # fmt: skip


@st.composite
def likely(draw: st.DrawFn) -> dict[str, Any]:
    """An operation that has the parts it needs, and often fits."""
    kind = draw(st.sampled_from(["add", "insert", "delete", "replace", "move"]))
    path = draw(st.sampled_from(PATHS))
    value = [draw(st.sampled_from(SENT))] if kind in ("add", "insert", "replace") else []
    at = st.integers(0, 2)
    more: dict[str, Any] = {
        "add": {
            "name": draw(st.sampled_from(["name", "gender", "given", "contact", "extension", "contained", "text"]))
        },
        "insert": {"index": draw(at)},
        "move": {"source": draw(at), "destination": draw(at)},
    }.get(kind, {})
    return op(kind, path, *value, **more)


@given(st.lists(likely() | st.builds(lambda each: {"name": "operation", "part": each}, st.lists(ANY_PART)), max_size=5))
@settings(deadline=None, max_examples=300)
def test_any_patch_gives_a_resource_or_a_refusal(operations: list[dict[str, Any]]) -> None:
    """And what it gives has nothing left in it of the marks by which primitives were told apart."""
    with contextlib.suppress(FhirError):
        result = patched(PATIENT, *operations)
        assert result["resourceType"] == "Patient"
        assert "{}" not in dump(result).decode()
