"""The classic attacks on XML parsers: refused, soon, and without looking outside.

https://owasp.org/www-community/vulnerabilities/XML_External_Entity_(XXE)_Processing
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from xml.parsers import expat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.model.outcome import BadRequest, TooLarge
from fhirserver.rest.representation.xml import read, reader, root_of

SECONDS = 5
"""A bound, not a figure: the slowest takes a fifth of it on two slow cores."""
PATIENT = b'<Patient xmlns="http://hl7.org/fhir">'
XHTML = b'<text><div xmlns="http://www.w3.org/1999/xhtml">'
ROOM = 4_900_000

BOMB = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
USE = b'<language value="&l11;"/></Patient>'


def attacks(secret: Path) -> dict[str, bytes]:
    """The bodies by name."""
    file = secret.as_uri().encode()
    return {
        "an entity bomb": b'<!DOCTYPE a [<!ENTITY l0 "lol">' + BOMB + b"]>" + PATIENT + USE,
        "an entity bomb behind a declaration and comments": b"\xef\xbb\xbf<?xml version='1.0'?> <!-- - -->\n<?a b?>"
        b'<!DOCTYPE a [<!ENTITY l0 "lol">' + BOMB + b"]>" + PATIENT + USE,
        "a quadratic bomb": b'<!DOCTYPE a [<!ENTITY l11 "'
        + b"a" * 100_000
        + b'">]>'
        + PATIENT
        + b"<x>"
        + b"&l11;" * 100_000,
        "an external entity": b'<!DOCTYPE a [<!ENTITY l11 SYSTEM "' + file + b'">]>' + PATIENT + USE,
        "an external entity as text": b'<!DOCTYPE a [<!ENTITY x SYSTEM "' + file + b'">]>' + PATIENT + XHTML + b"&x;",
        "a parameter entity": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "' + file + b'"> %x;]>' + PATIENT + USE,
        "an external DTD": b'<!DOCTYPE a SYSTEM "' + file + b'">' + PATIENT + USE,
        "a public DTD": b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "' + file + b'">' + PATIENT + USE,
        "a DTD without anything": b"<!DOCTYPE Patient>" + PATIENT + b"</Patient>",
        "a DTD that does not end": b"<!DOCTYPE a [<!-- " + b"-" * ROOM,
        "a DTD in the middle": PATIENT + b"<!DOCTYPE a></Patient>",
        "a DTD in UTF-16": ("<!DOCTYPE a>" + PATIENT.decode()).encode("utf-16"),
        "comments before a DTD": b"<!---->" * 600_000 + b"<!DOCTYPE a>",
        "half a comment": b"<!--" + b" -" * (ROOM // 2),
        "comments and half a comment": b"<!---->" * 600_000 + b"<!--",
        "a huge attribute": PATIENT + b'<language value="' + b"a" * ROOM + b'"/></Patient>',
        "a huge attribute of no name": PATIENT + b'<language x="' + b"a" * ROOM + b'"/></Patient>',
        "a huge attribute without an end": PATIENT + b'<language value="' + b"a" * ROOM,
        "a huge name": PATIENT + b"<" + b"a" * ROOM + b"/></Patient>",
        "a huge number": PATIENT + b'<multipleBirthInteger value="' + b"9" * 1_000_000 + b'"/></Patient>',
        "many attributes": PATIENT + b"<name " + b" ".join(b'a%d=""' % n for n in range(400_000)) + b"/></Patient>",
        "the same attribute": PATIENT + b"<name " + b'a="" ' * 800_000 + b"/></Patient>",
        "many namespaces": PATIENT + b"<x " + b" ".join(b'xmlns:a%d="b"' % n for n in range(250_000)) + b"/></Patient>",
        "deep nesting": PATIENT + b'<extension url="a">' * 250_000,
        "deep nesting of the unknown": PATIENT + b"<a>" * 1_600_000,
        "deep nesting in a narrative": PATIENT + XHTML + b"<b>" * 1_600_000,
        "deep nesting of contained resources": PATIENT + b"<contained><Patient>" * 200_000,
        "many errors": PATIENT + b"<a/>" * 1_200_000 + b"</Patient>",
        "many entities of XML's own": PATIENT + b'<language value="' + b"&amp;" * (ROOM // 5) + b'"/>',
    }


NAMES = sorted(attacks(Path("/")))


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_is_refused_in_bounded_time(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    body = attacks(secret)[name]
    assert len(body) <= 5_000_000
    started = time.thread_time()
    with pytest.raises(BadRequest) as caught:
        read(load(), body)
    assert time.thread_time() - started < SECONDS
    said = str([issue.as_json() for issue in caught.value.issues])
    assert "secret" not in said.replace(str(secret), "")
    assert len(said) < 60_000
    assert root_of(body) in (None, "http://hl7.org/fhir Patient")


def test_a_text_past_the_bound_is_not_looked_at() -> None:
    with pytest.raises(TooLarge):
        read(load(), b"<!DOCTYPE a>" + b"<a>" * 2_000_000)


@pytest.mark.parametrize(
    "body",
    [
        PATIENT + b'<name><given id="a"/>' + b'<given value="a"/><given id="a"/>' * 120_000 + b"</name></Patient>",
        PATIENT + b"<name><text value='a'/></name>" * 150_000 + b"</Patient>",
        PATIENT + XHTML + b"<b>a</b>" * 600_000 + b"</div></text></Patient>",
    ],
)
def test_the_largest_texts_are_read_in_time_that_grows_with_their_length(body: bytes) -> None:
    started = time.thread_time()
    assert read(load(), body)["resourceType"] == "Patient"
    assert time.thread_time() - started < 3 * SECONDS


def test_the_second_lock_holds_where_the_first_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser's own handler refuses a document type that the look before it has missed."""
    monkeypatch.setattr(reader, "_DOCTYPE", reader.re.compile(b"(?!)"))
    with pytest.raises(BadRequest, match="document type"):
        read(load(), b'<!DOCTYPE a [<!ENTITY b "c">]>' + PATIENT + b"</Patient>")


PIECES = (
    *(
        "<?xml version='1.0'?>",
        "<?a b?>",
        "<?",
        "?>",
        "<!--",
        "-->",
        "--",
        " a ",
        "\n",
        "<!DOCTYPE",
        " a>",
        "<!doctype a>",
    ),
    *(
        "<!DOCTYPE a>",
        "<!-- <!DOCTYPE a> -->",
        "<?a <!DOCTYPE a>?>",
        "<a/>",
        "\ufeff",
        "<![CDATA[",
        "]]>",
        "<!DOCTYPE a [",
    ),
)
prolog = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)


@given(prolog)
@settings(max_examples=2_000, deadline=None)
def test_whatever_the_parser_takes_for_a_document_type_was_seen_before(text: str) -> None:
    data = text.encode()
    seen = []
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartDoctypeDeclHandler = lambda *_: seen.append(True)
    with suppress(expat.ExpatError):
        parser.Parse(data, True)
    if seen:
        with pytest.raises(BadRequest, match="document type"):
            read(load(), data)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), prolog.map(str.encode)))
@settings(max_examples=2_000, deadline=None)
def test_whatever_is_sent_is_read_or_refused(data: bytes) -> None:
    for body in (data, PATIENT + data + b"</Patient>", PATIENT + XHTML + data + b"</div></text></Patient>"):
        with suppress(BadRequest):
            assert read(load(), body)["resourceType"] == "Patient"
