"""Links between the entries of a Bundle: what is rewritten, and what is left as it is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.interactions.bundles.links import Links, conditional_references, link_key
from fhirserver.model.json import dump, parse
from fhirserver.model.resource import Resource

BASE = "https://fhir.example.org/r4"
OTHER = "http://other.example/fhir"
URN = "urn:uuid:6e6c1c7e-0000-4000-8000-000000000001"
TARGETS = {URN: "Patient/new", f"{OTHER}/Patient/1": "Patient/one", "Patient/old": "Patient/moved"}

REFERENCES: list[tuple[str, str | None, str | None]] = [
    (URN, None, "Patient/new"),
    (URN, f"{OTHER}/Observation/1", "Patient/new"),
    (f"{URN}#x", None, "Patient/new#x"),
    (f"{OTHER}/Patient/1", None, "Patient/one"),
    (f"{OTHER}/Patient/1/_history/3", None, "Patient/one"),
    (f"{OTHER}/Patient/1#x", None, "Patient/one#x"),
    ("Patient/1", f"{OTHER}/Observation/1", "Patient/one"),
    ("Patient/1/_history/2", f"{OTHER}/Observation/1", "Patient/one"),
    ("Patient/1", None, None),
    ("Patient/1", URN, None),
    ("Patient/1", "http://third.example/fhir/Observation/1", None),
    ("Patient/old", None, "Patient/moved"),
    ("Patient/old", f"{BASE}/Observation/1", "Patient/moved"),
    (f"{BASE}/Patient/old", None, "Patient/moved"),
    (f"{BASE}/Patient/old", f"{OTHER}/Observation/1", "Patient/moved"),
    ("Patient/old", f"{OTHER}/Observation/1", None),
    ("#contained", None, None),
    ("urn:uuid:6e6c1c7e-0000-4000-8000-000000000009", None, None),
    ("Patient?identifier=a|b", None, "Patient/found"),
    ("", None, None),
]


def links(**changes: Any) -> Links:
    """Links of a few entries."""
    return Links(load(), BASE, TARGETS, {"Patient?identifier=a|b": "Patient/found"} | changes)


def observation(text: str) -> Resource:
    """A result that refers to this."""
    return {"resourceType": "Observation", "subject": {"reference": text}, "note": [{"text": "a"}]}


@pytest.mark.parametrize(("text", "full_url", "target"), REFERENCES)
def test_a_reference_leads_where_its_entry_goes(text: str, full_url: str | None, target: str | None) -> None:
    """bundle.html#references, in the text and, where there is a narrative, by walking."""
    narrative = {"text": {"status": "empty", "div": "<div>a</div>"}}
    for resource in (observation(text), observation(text) | narrative):
        before = copy.deepcopy(resource)
        found = links().rewritten(resource, full_url)
        assert found["subject"]["reference"] == (text if target is None else target)
        assert resource == before, "the resource as sent stays as it was: a transaction may be run again"
        assert {**found, "subject": None} == {**before, "subject": None}


@given(st.sampled_from(REFERENCES), st.text(max_size=20), st.sampled_from(["display", "id", "note"]))
def test_both_ways_to_rewrite_agree(case: tuple[str, str | None, str | None], text: str, name: str) -> None:
    """The fast way over the text and the walk find the same."""
    reference, full_url, _ = case
    resource: Resource = {
        "resourceType": "Observation",
        "focus": [{"reference": reference, "display": text}],
        "subject": {"reference": reference},
        "note": [{"text": text, "extension": [{"url": "urn:e", "valueReference": {"reference": reference}}]}],
        name: text,
    }
    walked = {**resource, "text": {"status": "empty", "div": "<div/>"}}
    first, second = links().rewritten(resource, full_url), links().rewritten(walked, full_url)
    second = {key: value for key, value in second.items() if key != "text"}
    assert first == second


def test_numbers_keep_their_digits_and_their_size() -> None:
    text = b'{"resourceType":"Observation","subject":{"reference":"%b"},"valueQuantity":{"value":1.500}}' % URN.encode()
    found = links().rewritten(parse(text), None)
    assert dump(found) == text.replace(URN.encode(), b"Patient/new")


LINKS: list[tuple[str, Resource, list[str | int], str | None]] = [
    ("a url", {"resourceType": "Media", "content": {"url": URN}}, ["content", "url"], "Patient/new"),
    (
        "a uri",
        {"resourceType": "Patient", "extension": [{"url": "urn:e", "valueUri": URN}]},
        ["extension", 0, "valueUri"],
        "Patient/new",
    ),
    (
        "a uuid",
        {"resourceType": "Patient", "extension": [{"url": "urn:e", "valueUuid": URN}]},
        ["extension", 0, "valueUuid"],
        "Patient/new",
    ),
    (
        "in a contained resource",
        {"resourceType": "Patient", "contained": [{"resourceType": "Media", "content": {"url": URN}}]},
        ["contained", 0, "content", "url"],
        "Patient/new",
    ),
    (
        "in a list of uris",
        {"resourceType": "CapabilityStatement", "instantiates": [URN]},
        ["instantiates", 0],
        None,
    ),
    ("a string", {"resourceType": "Observation", "valueString": URN}, ["valueString"], None),
    (
        "an identifier's value",
        {"resourceType": "Patient", "identifier": [{"value": URN}]},
        ["identifier", 0, "value"],
        None,
    ),
    ("a system", {"resourceType": "Patient", "identifier": [{"system": URN}]}, ["identifier", 0, "system"], None),
    ("an extension's url", {"resourceType": "Patient", "extension": [{"url": URN}]}, ["extension", 0, "url"], None),
    ("a resource's own url", {"resourceType": "CodeSystem", "url": URN}, ["url"], None),
    ("a profile", {"resourceType": "Patient", "meta": {"profile": [URN]}}, ["meta", "profile", 0], None),
    ("an unknown element", {"resourceType": "Patient", "unknown": URN}, ["unknown"], None),
    ("a member of an unknown element", {"resourceType": "Patient", "unknown": {"url": URN}}, ["unknown", "url"], None),
    (
        "an address on our own base",
        {"resourceType": "Media", "content": {"url": f"{BASE}/Patient/old"}},
        ["content", "url"],
        "Patient/moved",
    ),
    (
        "a deep element of a backbone",
        {"resourceType": "DocumentReference", "content": [{"attachment": {"url": URN}}]},
        ["content", 0, "attachment", "url"],
        "Patient/new",
    ),
]


@pytest.mark.parametrize(("name", "resource", "place", "target"), LINKS, ids=[each[0] for each in LINKS])
def test_other_links_by_the_type_of_their_element(
    name: str, resource: Resource, place: list[str | int], target: str | None
) -> None:
    """http.html#trules: uri, url, oid and uuid; not canonical, not what names a thing."""

    def at(value: Any) -> Any:
        for step in place:
            value = value[step]
        return value

    assert at(links().rewritten(resource, None)) == (at(resource) if target is None else target)


NARRATIVES = [
    (f'<a href="{URN}">x</a>', '<a href="Patient/new">x</a>'),
    (f"<img src='{URN}'/>", "<img src='Patient/new'/>"),
    (f'<a href = "{URN}">x</a>', '<a href = "Patient/new">x</a>'),
    ('<a href="Patient?identifier=a|b">x</a>', '<a href="Patient/found">x</a>'),
    ('<a href="#x">x</a>', '<a href="#x">x</a>'),
    ('<a href="http://elsewhere.example/a?b=c&amp;d">x</a>', '<a href="http://elsewhere.example/a?b=c&amp;d">x</a>'),
    (f'<p title="{URN}">{URN}</p>', f'<p title="{URN}">{URN}</p>'),
    (
        f'<a data-x="1" href="{URN}" title="a &quot; b">x</a>',
        '<a data-x="1" href="Patient/new" title="a &quot; b">x</a>',
    ),
]


@pytest.mark.parametrize(("before", "after"), NARRATIVES)
def test_links_in_narratives(before: str, after: str) -> None:
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": f"<div>{before}</div>"}}
    assert links().rewritten(resource, None)["text"]["div"] == f"<div>{after}</div>"


def test_without_links_the_resource_is_the_same_object() -> None:
    resource = observation("Patient/1")
    assert Links(load(), BASE, {}, {}).rewritten(resource, None) is resource
    assert links().rewritten(resource, None) is resource


def test_conditional_references_are_found_wherever_they_stand() -> None:
    resource = {
        "resourceType": "Observation",
        "subject": {"reference": "Patient?identifier=a|b"},
        "focus": [{"reference": 'Patient?name=a"b\\c'}, {"reference": "Patient/1"}],
        "note": [{"text": 'is it "reference":"Patient?x=y" or not?'}],
        "valueString": "Patient?a=b",
    }
    assert conditional_references(dump(resource)) == {"Patient?identifier=a|b", 'Patient?name=a"b\\c'}
    assert conditional_references(b'{"resourceType":"Patient"}') == set()


def test_a_key_is_the_same_for_what_is_the_same_place() -> None:
    assert link_key(f"{BASE}/Patient/1", BASE) == "Patient/1"
    assert link_key(URN, BASE) == URN
    assert link_key(f"{OTHER}/Patient/1", BASE) == f"{OTHER}/Patient/1"
