"""Security labels are kept: they may be raised, never lowered.

https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.access.security.compartments import CONFIDENTIALITY_SYSTEM as CONFIDENTIALITY
from fhirserver.access.writes import is_of_another, keep_labels, keeping
from fhirserver.model.outcome import Forbidden
from fhirserver.search.expression import All
from fhirserver.search.match import match
from fhirserver.search.permit import Permit
from tests.fakes.facts import derive
from tests.fakes.records import observation

PSY = "http://terminology.hl7.org/CodeSystem/v3-ActCode|PSY"
OPEN = Permit(("test",), lambda _: All(), lambda _: All())


def label(text: str) -> dict[str, str]:
    system, _, code = text.rpartition("|")
    return {"system": system, "code": code}


def labelled(*labels: str) -> dict[str, Any]:
    return (
        observation("1", "a", meta={"security": [label(each) for each in labels]}) if labels else observation("1", "a")
    )


def confidentiality(code: str) -> str:
    return f"{CONFIDENTIALITY}|{code}"


KEPT: dict[str, tuple[tuple[str, ...], dict[str, Any], set[str] | None]] = {
    # the old labels, the new version, the labels that it gets (None: refused)
    "none": ((), labelled(), set()),
    "left out": ((PSY,), labelled(), {PSY}),
    "left out beside another": ((PSY,), labelled("x|y"), {PSY, "x|y"}),
    "kept": ((PSY,), labelled(PSY), {PSY}),
    "confidentiality left out": ((confidentiality("R"),), labelled(), {confidentiality("R")}),
    "raised": ((confidentiality("R"),), labelled(confidentiality("V")), {confidentiality("V")}),
    "raised from nothing": ((), labelled(confidentiality("R")), {confidentiality("R")}),
    "lowered": ((confidentiality("R"),), labelled(confidentiality("N")), None),
    "lowered from what counts as normal": ((PSY,), labelled(confidentiality("L")), None),
    "stated twice": (
        (confidentiality("R"),),
        labelled(confidentiality("N"), confidentiality("R")),
        {confidentiality("N"), confidentiality("R")},
    ),
    "without a system": (("|x",), labelled(), {"|x"}),
    "meta of something else": ((PSY,), observation("1", "a", meta={"tag": [{"code": "t"}]}), {PSY}),
}


@pytest.mark.parametrize("case", KEPT)
def test_labels_are_kept(case: str) -> None:
    old, resource, expected = KEPT[case]
    if expected is None:
        with pytest.raises(Forbidden):
            keep_labels(resource, old)
        return
    found = keep_labels(resource, old)
    assert set(derive("Observation", found)["labels"]) == expected
    assert {**found, "meta": None} == {**resource, "meta": None}


def test_what_else_is_in_meta_stays() -> None:
    found = keep_labels(observation("1", "a", meta={"tag": [{"code": "t"}]}), [PSY])
    assert found["meta"] == {"tag": [{"code": "t"}], "security": [label(PSY)]}


@pytest.mark.parametrize(
    ("old", "new", "may_replace"),
    [
        ((), (), True),
        ((PSY,), (PSY,), True),
        ((PSY,), (), False),
        ((), (PSY,), True),
        ((confidentiality("R"),), (), False),
        ((confidentiality("R"),), (confidentiality("V"),), True),
        ((confidentiality("N"),), (), True),
        ((), (confidentiality("L"),), False),
    ],
)
def test_a_label_raised_meanwhile_is_not_lost(old: tuple[str, ...], new: tuple[str, ...], may_replace: bool) -> None:
    """The race: somebody raises a label between the decision and the commit; the store matches the old version again."""
    stored = {"security": derive("Observation", labelled(*old))}
    assert match(keeping(OPEN, new).writes("Observation"), stored) is may_replace


def test_the_operator_is_not_held_to_labels() -> None:
    assert keeping(Permit.system("test"), ()).is_system


@pytest.mark.parametrize(
    ("of_class", "theirs", "expected"),
    [
        ("patient", ["a"], False),
        ("patient", ["b"], True),
        ("patient", ["a", "b"], True),
        ("patient", ["b", "?"], False),
        ("adjacent", [], False),
        ("system", ["b"], False),
        ("directory", [], False),
    ],
)
def test_what_is_of_another_is_a_patients_and_surely_not_hers(of_class: str, theirs: list[str], expected: bool) -> None:
    assert is_of_another({"class": of_class, "owners": theirs}, ["a"]) is expected
