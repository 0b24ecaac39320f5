"""FHIR's XML over HTTP: in and out, for every interaction, and for what is refused.

https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from fhirserver.definitions import load
from fhirserver.model.json import Number, parse
from fhirserver.rest.representation.xml import read, write
from fhirserver.validation import Validator
from tests.data.examples import example_texts
from tests.integration.serving import FHIR, Server
from tests.integration.test_official_examples import exact, listed, without_server_meta

XML = {"accept": "application/fhir+xml"}
SENDS = {"content-type": "application/fhir+xml"}
SERVED = "application/fhir+xml; charset=utf-8"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Анна &amp; co<br /></p></div>'


def patient(id: str) -> bytes:
    """A patient with what is special in XML."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Patient xmlns="http://hl7.org/fhir">\n <id value="{id}"/>\n'
        f'<text><status value="generated"/>{DIV}</text><contained><Organization><id value="o"/><name value="x"/>'
        '</Organization></contained><extension url="urn:e"><valueDecimal value="1.50"/></extension>'
        '<name id="n"><family value="Иванова"/><given value="Анна"><extension url="urn:x"><valueBoolean value="true"/>'
        '</extension></given></name><gender value="female"/><birthDate value="1980"/>'
        '<managingOrganization><reference value="#o"/></managingOrganization></Patient>'
    ).encode()


def resource_of(answer: httpx.Response) -> dict[str, Any]:
    """The resource in an XML answer, which must be valid."""
    assert answer.headers["content-type"] == SERVED, answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    resource = read(load(), answer.content)
    assert not [each for each in Validator(load()).validate(resource) if each.severity == "error"]
    return resource


async def test_a_resource_goes_in_and_out_in_both_formats(server: Server, new_id: str) -> None:
    path = f"/Patient/{new_id}"
    put = await server("PUT", path, content=patient(new_id), headers=SENDS)
    assert put.status_code == 201, put.text
    stored = await server("GET", path, headers={"accept": "application/fhir+json"})
    resource = parse(stored.content)
    assert resource["text"]["div"] == DIV
    assert resource["extension"] == [{"url": "urn:e", "valueDecimal": Number("1.50")}]
    assert b"1.50" in stored.content
    assert resource["name"][0]["_given"] == [{"extension": [{"url": "urn:x", "valueBoolean": True}]}]
    served = await server("GET", path, headers=XML)
    assert exact(resource_of(served)) == exact(resource)
    assert exact(resource_of(put)) == exact(resource), "who sent XML and leaves the choice gets XML"
    assert served.headers["etag"] == stored.headers["etag"] == 'W/"1"'
    assert served.headers["last-modified"] == stored.headers["last-modified"]
    again = await server("PUT", path, content=served.content, headers=SENDS | XML | {"if-match": 'W/"1"'})
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"2"')
    assert without_server_meta(resource_of(again)) == without_server_meta(resource)


@pytest.mark.parametrize("type", ["application/fhir+xml", "application/xml", "text/xml", "text/xml; charset=UTF-8"])
async def test_every_name_of_xml_is_taken(server: Server, type: str) -> None:
    content = b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    headers = {"content-type": type, "accept": "application/json"}
    made = await server("POST", "/Patient", content=content, headers=headers)
    assert (made.status_code, made.json()["active"]) == (201, True)
    assert made.headers["content-type"] == "application/json; charset=utf-8"


ASKED = [
    ("", {"accept": "application/fhir+xml"}, "application/fhir+xml"),
    ("", {"accept": "application/xml"}, "application/xml"),
    ("", {"accept": "text/xml"}, "text/xml"),
    ("", {"accept": "application/fhir+json;q=0.5, text/xml;q=0.6"}, "text/xml"),
    ("", {"accept": "application/fhir+xml;q=0.5, application/json;q=0.6"}, "application/json"),
    ("", {"accept": "*/*"}, "application/fhir+json"),
    ("_format=xml", {"accept": "application/json"}, "application/fhir+xml"),
    ("_format=text/xml", {}, "text/xml"),
    ("_format=application/xml", {}, "application/xml"),
    ("_format=application/fhir%2Bxml", {}, "application/fhir+xml"),
    ("_format=application/fhir+xml", {}, "application/fhir+xml"),
    ("_format=json", {"accept": "application/fhir+xml"}, "application/fhir+json"),
]


@pytest.mark.parametrize(("query", "headers", "type"), ASKED)
async def test_the_format_is_the_one_that_was_asked_for(
    server: Server, new_id: str, query: str, headers: dict[str, str], type: str
) -> None:
    await server.put({"resourceType": "Patient", "id": new_id})
    for method in ("GET", "HEAD"):
        for path in (f"/Patient/{new_id}", f"/Patient/{new_id}/_history/1", "/Patient", f"/Patient/{new_id}/_history"):
            answer = await server(
                method, f"{path}?{query}" + ("&_id=" + new_id if path == "/Patient" else ""), headers=headers
            )
            assert (answer.status_code, answer.headers["content-type"]) == (200, f"{type}; charset=utf-8")
            assert answer.content[:1] == (b"" if method == "HEAD" else b"<" if "xml" in type else b"{")
            assert int(answer.headers["content-length"]) > 0


async def test_head_says_what_get_would(server: Server, new_id: str) -> None:
    await server.put({"resourceType": "Patient", "id": new_id, "active": True})
    for path in (f"/Patient/{new_id}", f"/Patient?_id={new_id}", "/metadata", "/Patient/absent"):
        got = await server("GET", path, headers=XML)
        head = await server("HEAD", path, headers=XML)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
        assert head.headers["content-type"] == got.headers["content-type"] == SERVED


async def test_an_etag_is_of_the_version_in_either_format(server: Server, new_id: str) -> None:
    await server.put({"resourceType": "Patient", "id": new_id})
    known = await server("GET", f"/Patient/{new_id}", headers=XML | {"if-none-match": 'W/"1"'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", 'W/"1"')


async def test_a_searchset_holds_the_same_in_xml(server: Server, new_id: str) -> None:
    tag = {"meta": {"tag": [{"system": "urn:test", "code": new_id}]}}
    await server.put({"resourceType": "Organization", "id": new_id, "name": "x"} | tag)
    owner = {"managingOrganization": {"reference": f"Organization/{new_id}"}}
    for index in range(3):
        await server.put(
            {"resourceType": "Patient", "id": f"{new_id}-{index}", "text": {"status": "generated", "div": DIV}}
            | tag
            | owner
        )
    query = f"_tag=urn:test|{new_id}&_include=Patient:organization&_sort=_id&_count=2&_total=accurate"
    plain = (await server("GET", f"/Patient?{query}")).json()
    bundle = resource_of(await server("GET", f"/Patient?{query}", headers=XML))
    assert bundle["total"] == 3
    assert [each["search"]["mode"] for each in bundle["entry"]] == ["match", "match", "include"]
    assert bundle["entry"] == plain["entry"]
    assert [link["relation"] for link in bundle["link"]] == ["self", "first", "next"]
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    last = resource_of(await server.client.get(following, headers=XML))
    assert [each["resource"]["id"] for each in last["entry"] if each["search"]["mode"] == "match"] == [f"{new_id}-2"]


async def test_an_empty_searchset_is_one(server: Server) -> None:
    bundle = resource_of(await server("GET", "/Patient?_id=absent", headers=XML))
    assert (bundle["type"], bundle.get("entry")) == ("searchset", None)


async def test_a_lenient_search_says_so_in_xml(server: Server) -> None:
    headers = XML | {"prefer": "handling=lenient"}
    bundle = resource_of(await server("GET", "/Patient?_id=absent&colour=red", headers=headers))
    assert bundle["entry"][0]["resource"]["resourceType"] == "OperationOutcome"


async def test_a_history_holds_deletions(server: Server, new_id: str) -> None:
    await server.put({"resourceType": "Patient", "id": new_id})
    await server("DELETE", f"/Patient/{new_id}")
    bundle = resource_of(await server("GET", f"/Patient/{new_id}/_history", headers=XML))
    assert [each["request"]["method"] for each in bundle["entry"]] == ["DELETE", "PUT"]
    assert ["resource" in each for each in bundle["entry"]] == [False, True]


async def test_a_posted_search_has_its_format_in_the_form(server: Server) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    found = await server("POST", "/Patient/_search", content="_id=absent&_format=xml&_pretty=true", headers=form)
    assert resource_of(found)["type"] == "searchset"
    assert found.content.count(b"\n") > 5
    refused = await server("POST", "/Patient/_search", content="colour=red&_format=xml", headers=form)
    assert (refused.status_code, resource_of(refused)["resourceType"]) == (400, "OperationOutcome")


async def test_the_statement_of_capabilities_is_served_in_xml(server: Server) -> None:
    plain = (await server("GET", "/metadata")).json()
    for path, method in (("/metadata", "GET"), ("/metadata?_format=xml", "GET"), ("", "OPTIONS")):
        assert resource_of(await server(method, path, headers=XML)) == plain
    assert {"xml", "application/fhir+xml", "json", "application/fhir+json"} == set(plain["format"])
    pretty = await server("GET", "/metadata?_pretty=true", headers=XML)
    assert resource_of(pretty) == plain
    assert pretty.content.count(b"\n") > 1000


@pytest.mark.parametrize(("prefer", "root"), [("representation", "Patient"), ("OperationOutcome", "OperationOutcome")])
async def test_a_write_is_answered_in_xml(server: Server, prefer: str, root: str) -> None:
    content = b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    made = await server(
        "POST", "/Patient", content=content, headers=SENDS | {"accept": "*/*", "prefer": f"return={prefer}"}
    )
    assert (made.status_code, resource_of(made)["resourceType"]) == (201, root)
    assert made.headers["location"].startswith(f"{FHIR}/Patient/")


async def test_a_minimal_answer_has_no_body(server: Server) -> None:
    content = b'<Patient xmlns="http://hl7.org/fhir"/>'
    made = await server("POST", "/Patient", content=content, headers=SENDS | XML | {"prefer": "return=minimal"})
    assert (made.status_code, made.content) == (201, b"")
    assert "content-type" not in made.headers


REFUSALS: list[tuple[str, str, dict[str, Any], int]] = [
    # method, path, options, status
    ("GET", "/Nothing/1", {}, 404),
    ("GET", "/Patient/absent", {}, 404),
    ("GET", "/Patient/a_b", {}, 404),
    ("POST", "/Patient/1", {}, 405),
    ("TRACE", "/Patient/1", {}, 405),
    ("POST", "/metadata", {}, 405),
    ("GET", "/Patient?colour=red", {}, 400),
    ("GET", "/Patient?name=%ff", {}, 400),
    ("GET", "/Patient?" + "&".join(["name=a"] * 100), {}, 400),
    ("GET", "/Patient/1/_history?_count=x", {}, 400),
    ("GET", "/Patient/" + "a" * 9000, {}, 414),
    ("GET", "/Patient", {"headers": {"host": "evil.example"}}, 421),
    ("POST", "/Patient", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
    ("POST", "/Patient", {"content": b"{}", "headers": {"content-type": "text/xml; charset=utf-16"}}, 415),
    ("POST", "/Patient", {"content": b"{}", "headers": {"content-type": "text/xml; fhirVersion=3.0"}}, 415),
    ("POST", "/Patient", {"content": b"", "headers": SENDS}, 400),
    ("POST", "/Patient", {"content": b"{}", "headers": SENDS}, 400),
    ("POST", "/Patient", {"content": b"{}", "headers": {"content-type": "application/fhir+json"}}, 400),
    ("POST", "/Patient", {"content": b'<Group xmlns="http://hl7.org/fhir"/>', "headers": SENDS}, 400),
    (
        "POST",
        "/Patient",
        {"content": b'<Patient xmlns="http://hl7.org/fhir"><gender value="x"/></Patient>', "headers": SENDS},
        422,
    ),
]


@pytest.mark.parametrize(("method", "path", "options", "status"), REFUSALS)
async def test_a_refusal_has_the_format_that_was_asked_for(
    server: Server, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    headers = XML | options.get("headers", {})
    answer = await server(method, path, **(options | {"headers": headers}))
    assert answer.status_code == status, answer.text
    outcome = resource_of(answer)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"]
    headers = options.get("headers", {})
    if status not in (414, 400):
        separator = "&" if "?" in path else "?"
        asked = await server(method, f"{path}{separator}_format=xml", **(options | {"headers": headers}))
        assert resource_of(asked)["resourceType"] == "OperationOutcome"


async def test_a_refusal_without_a_token_has_it_too(gated: Server) -> None:
    answer = await gated("GET", "/Patient/1", headers=XML)
    assert (answer.status_code, resource_of(answer)["issue"][0]["code"]) == (401, "login")
    pretty = await gated("GET", "/Patient/1?_pretty=true&_format=xml")
    assert resource_of(pretty)["issue"][0]["code"] == "login"
    assert pretty.content.count(b"\n") > 3


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/Patient/1", {"accept": "text/turtle"}),
        ("/Patient/1?_format=ttl", XML),
        ("/Patient/1", {"accept": "application/fhir+xml; fhirVersion=3.0"}),
        ("/metadata", {"accept": "text/html"}),
    ],
)
async def test_what_is_not_served_is_not_acceptable_and_said_in_some_format(
    server: Server, path: str, headers: dict[str, str]
) -> None:
    answer = await server("GET", path, headers=headers)
    assert answer.status_code == 406
    outcome = read(load(), answer.content) if "xml" in answer.headers["content-type"] else answer.json()
    assert "application/fhir+xml" in str(outcome) or "use json or xml" in str(outcome)


async def test_what_is_wrong_in_the_xml_is_said_with_its_place(server: Server) -> None:
    content = b'<Patient xmlns="http://hl7.org/fhir">\n<colour value="red"/><active value="maybe"/></Patient>'
    answer = await server("POST", "/Patient", content=content, headers=SENDS)
    assert answer.status_code == 400
    issues = resource_of(answer)["issue"]
    assert [(each["code"], each["expression"]) for each in issues] == [
        ("structure", ["Patient.colour"]),
        ("structure", ["Patient.active"]),
    ]
    assert "line 2, column 1" in issues[0]["diagnostics"]


ATTACKS = {
    "an entity bomb": b'<!DOCTYPE a [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><Patient xmlns="http://hl7.org/fhir"/>',
    "an external entity": b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir"/>',
    "a DTD": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><Patient xmlns="http://hl7.org/fhir"/>',
    "a huge attribute": b'<Patient xmlns="http://hl7.org/fhir"><language value="' + b"a" * 4_900_000 + b'"/></Patient>',
    "deep nesting": b'<Patient xmlns="http://hl7.org/fhir">' + b"<a>" * 1_600_000,
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_and_others_are_served_meanwhile(server: Server, name: str) -> None:
    started = time.process_time()
    refusal = asyncio.ensure_future(server("POST", "/Patient", content=ATTACKS[name], headers=SENDS | XML))
    assert (await server("GET", "/Patient/absent")).status_code == 404
    answer = await refusal
    assert time.process_time() - started < 5
    assert (answer.status_code, resource_of(answer)["issue"][0]["code"]) == (400, "structure")
    assert "root:" not in answer.text


async def test_a_body_past_the_bound_is_too_large(server: Server) -> None:
    content = b'<Patient xmlns="http://hl7.org/fhir">' + b"<!-- -->" * 700_000 + b"</Patient>"
    assert (await server("POST", "/Patient", content=content, headers=SENDS)).status_code == 413


async def test_a_page_larger_than_one_resource_may_be_is_written_whole(server: Server, new_id: str) -> None:
    tag = {"meta": {"tag": [{"system": "urn:test", "code": new_id}]}}
    content = {"resourceType": "Basic", "code": {"text": "x" * 900_000}} | tag
    for index in range(7):
        await server.put(content | {"id": f"{new_id}-{index}"})
    answer = await server("GET", f"/Basic?_tag=urn:test|{new_id}", headers=XML)
    assert len(answer.content) > 6_000_000
    assert len(read(load(), answer.content, limit=10_000_000)["entry"]) == 7


async def test_a_resource_as_deep_as_may_be_is_served_alone_and_in_a_page(server: Server, new_id: str) -> None:
    deep: dict[str, Any] = {"url": "urn:a", "valueString": "x"}
    for _ in range(30):
        deep = {"url": "urn:a", "extension": [deep]}
    basic = {"resourceType": "Basic", "id": new_id, "code": {"text": "x"}, "extension": [deep]}
    await server.put(basic)
    alone = await server("GET", f"/Basic/{new_id}", headers=XML)
    assert without_server_meta(resource_of(alone)) == basic
    page = await server("GET", f"/Basic?_id={new_id}", headers=XML)
    assert page.status_code == 200
    assert page.content.count(b"<extension") == 31
    again = await server("PUT", f"/Basic/{new_id}", content=alone.content, headers=SENDS)
    assert again.status_code == 200


NONCHARACTER = {"code": {"text": "a\uffff"}}


async def test_what_xml_has_no_form_for_is_refused_in_xml_and_never_lost(server: Server, new_id: str) -> None:
    basic = {"resourceType": "Basic", "id": new_id, **NONCHARACTER}
    made = await server("PUT", f"/Basic/{new_id}", json=basic, headers=XML)
    assert made.status_code == 201, made.text
    assert made.headers["content-type"].startswith("application/fhir+json")
    assert made.json()["code"] == NONCHARACTER["code"]
    refused = await server("GET", f"/Basic/{new_id}", headers=XML)
    assert refused.status_code == 406
    assert "application/fhir+json" in resource_of(refused)["issue"][0]["diagnostics"]
    assert (await server("GET", f"/Basic/{new_id}")).json()["code"] == NONCHARACTER["code"]


async def test_a_refusal_that_repeats_what_xml_cannot_say_is_json(server: Server) -> None:
    answer = await server("GET", "/Patient?a%EF%BF%BF=1", headers=XML)
    assert answer.status_code == 400
    if "json" in answer.headers["content-type"]:
        assert answer.json()["resourceType"] == "OperationOutcome"
    else:
        assert resource_of(answer)["resourceType"] == "OperationOutcome"


async def test_a_binary_is_its_content_or_a_resource_in_either_format(server: Server) -> None:
    """binary.html#rest: FHIR's own types ask for the resource, others for the content."""
    content = b"<!DOCTYPE note><note>text</note>"
    made = await server(
        "POST", "/Binary", content=content, headers={"content-type": "text/xml", "accept": "application/fhir+xml"}
    )
    assert (made.status_code, resource_of(made)["contentType"]) == (201, "text/xml")
    path = f"/Binary/{resource_of(made)['id']}"
    assert resource_of(await server("GET", path, headers=XML))["data"] == "PCFET0NUWVBFIG5vdGU+PG5vdGU+dGV4dDwvbm90ZT4="
    for accept in ("*/*", "text/xml", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"):
        raw = await server("GET", path, headers={"accept": accept})
        assert (raw.content, raw.headers["content-type"]) == (content, "text/xml")
    plain = await server("GET", path, headers={"accept": "application/xml"})
    assert plain.headers["content-type"] == "application/xml; charset=utf-8"
    assert read(load(), plain.content)["resourceType"] == "Binary"
    for type in ("application/fhir+xml", "application/xml"):
        sent = b'<Binary xmlns="http://hl7.org/fhir"><contentType value="text/plain"/><data value="YQ=="/></Binary>'
        as_resource = await server(
            "POST", "/Binary", content=sent, headers={"content-type": type, "accept": "application/fhir+json"}
        )
        assert (as_resource.status_code, as_resource.json()["data"]) == (201, "YQ==")
    bad = await server("POST", "/Binary", content=content, headers=SENDS)
    assert bad.status_code == 400


async def test_the_official_examples_go_in_as_xml_and_come_back_as_they_were(server: Server) -> None:
    """What the JSON tests refuse is refused in XML as well; of the rest every digit comes back, in both formats."""
    count = 0
    for name, text in example_texts():
        sent = parse(text)
        if sent["resourceType"] == "Parameters" or name in listed():
            continue
        count += 1
        if count % 4:
            continue
        path = f"/{sent['resourceType']}/{sent['id']}"
        put = await server("PUT", path, content=write(load(), sent), headers=SENDS)
        assert put.status_code in (200, 201), (name, put.text)
        got = await server("GET", path, headers={"accept": "application/fhir+json"})
        assert exact(without_server_meta(parse(got.content))) == exact(without_server_meta(sent)), name
        served = await server("GET", path, headers=XML)
        assert exact(read(load(), served.content)) == exact(parse(got.content)), name
        assert served.content == put.content, name
    assert count > 600


async def test_a_transaction_goes_in_and_out_in_xml(server: Server, new_id: str) -> None:
    """http.html#transaction"""
    entries = "".join(
        f'<entry><resource><Patient><id value="{new_id}-{name}"/><birthDate value="1980"/></Patient></resource>'
        f'<request><method value="PUT"/><url value="Patient/{new_id}-{name}"/></request></entry>'
        for name in "ab"
    )
    content = f'<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>{entries}</Bundle>'.encode()
    bundle = resource_of(await server("POST", "", content=content, headers=SENDS))
    assert bundle["type"] == "transaction-response"
    assert [each["response"]["status"][:3] for each in bundle["entry"]] == ["201", "201"]
    refused = await server("POST", "", content=content.replace(b"1980", b"soon"), headers=SENDS)
    assert (refused.status_code, resource_of(refused)["resourceType"]) == (422, "OperationOutcome")
