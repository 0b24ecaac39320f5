"""Addresses: the one parser, strict, and the hosts that are ours. https://hl7.org/fhir/R4/http.html#3.1.0.1.1"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.interactions.context import Context
from fhirserver.interactions.operations import Invocation, Level, Operation, Operations
from fhirserver.model.outcome import Misdirected, NotSupported
from fhirserver.model.resource import Resource
from fhirserver.rest.address import Address, Addresses, Hosts, Kind


async def _nothing(_: Context, __: Invocation) -> Resource:
    return {}


ADDRESSES = Addresses(
    ("Patient", "Observation", "Binary"),
    {"Patient": {"Patient", "Observation"}},
    Operations(
        (
            Operation("meta", "urn:meta", frozenset(Level), _nothing),
            Operation("only", "urn:only", frozenset((Level.INSTANCE,)), _nothing),
            Operation(
                "theirs", "urn:theirs", frozenset((Level.TYPE,)), _nothing, resource_types=frozenset(("Patient",))
            ),
        )
    ),
)

READ = [
    (b"/fhir", Address(Kind.SYSTEM)),
    (b"/fhir/", Address(Kind.SYSTEM)),
    (b"/fhir/metadata", Address(Kind.METADATA)),
    (b"/fhir/Patient", Address(Kind.TYPE, "Patient")),
    (b"/fhir/_search", Address(Kind.SYSTEM_SEARCH)),
    (b"/fhir/Patient/_search", Address(Kind.SEARCH, "Patient")),
    (b"/fhir/Patient/p-1.A", Address(Kind.INSTANCE, "Patient", "p-1.A")),
    (b"/fhir/Patient/%70-1", Address(Kind.INSTANCE, "Patient", "p-1")),
    (b"/fhir/Patient/p/_history", Address(Kind.HISTORY, "Patient", "p")),
    (b"/fhir/Patient/_history", Address(Kind.TYPE_HISTORY, "Patient")),
    (b"/fhir/_history", Address(Kind.SYSTEM_HISTORY)),
    (b"/fhir/$meta", Address(Kind.SYSTEM_OPERATION, operation="meta")),
    (b"/fhir/Patient/$meta", Address(Kind.TYPE_OPERATION, "Patient", operation="meta")),
    (b"/fhir/Patient/$theirs", Address(Kind.TYPE_OPERATION, "Patient", operation="theirs")),
    (b"/fhir/Patient/p/$meta", Address(Kind.INSTANCE_OPERATION, "Patient", "p", operation="meta")),
    (b"/fhir/Patient/p/_history/3", Address(Kind.VERSION, "Patient", "p", "3")),
    (b"/fhir/Patient/p/Observation", Address(Kind.COMPARTMENT, "Observation", "p", compartment="Patient")),
    (b"/fhir/Patient/p/Observation/_search", Address(Kind.COMPARTMENT_SEARCH, "Observation", "p", "", "Patient")),
    (b"/fhir/Patient/p/*", Address(Kind.COMPARTMENT_SYSTEM, id="p", compartment="Patient")),
    (b"/fhir/_jobs/j-1", Address(Kind.JOB, id="j-1")),
    (b"/fhir/Patient/" + b"a" * 64, Address(Kind.INSTANCE, "Patient", "a" * 64)),
]

REFUSED = [
    b"/fhir/Nothing",
    b"/fhir/patient",
    b"/fhir/Nothing/1",
    b"/fhir//Patient",
    b"/fhir/Patient/",
    b"/fhir/Patient//",
    b"/fhir/Patient/.",
    b"/fhir/Patient/..",
    b"/fhir/Patient/%2e%2e",
    b"/fhir/Patient/a/../b",
    b"/fhir/./Patient",
    b"/fhir/Patient/$everything",
    b"/fhir/Patient/%24everything",
    b"/fhir/Patient/p/$everything",
    b"/fhir/$export",
    b"/fhir/%24meta",
    b"/fhir/Patient/%24meta",
    b"/fhir/Patient/p/%24meta",
    b"/fhir/Patient/$only",
    b"/fhir/Observation/$theirs",
    b"/fhir/$theirs",
    b"/fhir/Nothing/$meta",
    b"/fhir/Patient/p/$meta/x",
    b"/fhir/Patient/p/_history/1/$meta",
    b"/fhir/Patient/$meta/p",
    b"/fhir/$",
    b"/fhir/Patient/$",
    b"/fhir/_search/x",
    b"/fhir/_history/1",
    b"/fhir/_history/_history",
    b"/fhir/Nothing/_history",
    b"/fhir/Patient/_history/1",
    b"/fhir/Patient/_everything",
    b"/fhir/Patient/a%2fb",
    b"/fhir/Patient%2fa",
    b"/fhir%2fPatient",
    b"/fhir/Patient/%2570",
    b"/fhir/Patient/a%00",
    b"/fhir/Patient/a%0a",
    b"/fhir/Patient/a\n",
    b"/fhir/Patient/a b",
    b"/fhir/Patient/\xd0\xb0",
    b"/fhir/Patient/%d0%b0",
    b"/fhir/Patient/" + b"a" * 65,
    b"/fhir/Patient/p/_history/",
    b"/fhir/Patient/p/_history/..",
    b"/fhir/Patient/p/_history/1/2",
    b"/fhir/Patient/p/_search",
    b"/fhir/Patient/_search/x",
    b"/fhir/Observation/o/Patient",
    b"/fhir/Patient/p/Nothing",
    b"/fhir/Patient/p/Binary",
    b"/fhir/Patient/p/Observation/o",
    b"/fhir/metadata/",
    b"/fhir/.well-known/smart-configuration",
    b"/other/Patient",
]


@pytest.mark.parametrize(("path", "expected"), READ)
def test_legal_addresses_are_read(path: bytes, expected: Address) -> None:
    assert ADDRESSES.parse(path) == expected


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_no_address_is_not_supported(path: bytes) -> None:
    with pytest.raises(NotSupported) as caught:
        ADDRESSES.parse(path)
    assert caught.value.status == 404


@given(st.lists(st.sampled_from([b"/", b"fhir", b"Patient", b"%2f", b"..", b".", b"$x", b"_history", b"1", b"%"])))
def test_any_path_is_an_address_or_not_supported(parts: list[bytes]) -> None:
    try:
        address = ADDRESSES.parse(b"/fhir" + b"".join(parts))
    except NotSupported:
        return
    assert "/" not in address.id + address.version + address.resource_type
    assert address.id not in (".", "..")


HOSTS = [
    ("http://fhir.example.org/fhir", False, b"fhir.example.org", True),
    ("http://fhir.example.org/fhir", False, b"FHIR.example.org", True),
    ("http://fhir.example.org/fhir", False, b"fhir.example.org:80", True),
    ("https://fhir.example.org:443/fhir", False, b"fhir.example.org", True),
    ("http://fhir.example.org/fhir", False, b"fhir.example.org:8080", False),
    ("http://127.0.0.1:8000/fhir", False, b"127.0.0.1:8000", True),
    ("http://127.0.0.1:8000/fhir", False, b"localhost:8000", True),
    ("http://localhost:8000/fhir", False, b"127.0.0.1:8000", True),
    ("http://fhir.example.org/fhir", False, b"localhost", False),
    ("http://fhir.example.org/fhir", True, b"localhost", True),
    ("http://127.0.0.1:8000/fhir", False, b"localhost.evil.example", False),
    ("http://127.0.0.1.evil.example/fhir", False, b"localhost", False),
    ("http://127.0.0.1:8000/fhir", True, b"localhost:9", True),
    ("http://127.0.0.1:8000/fhir", True, b"[::1]:8000", True),
    ("http://127.0.0.1:8000/fhir", True, b"localhost.evil.example", False),
    ("http://127.0.0.1:8000/fhir", True, b"127.0.0.1.evil.example", False),
    ("http://127.0.0.1:8000/fhir", True, b"127.0.0.1:8000, evil.example", False),
    ("http://127.0.0.1:8000/fhir", True, b"", False),
    ("http://127.0.0.1:8000/fhir", True, None, False),
]


@pytest.mark.parametrize(("base_url", "open_mode", "host", "is_ours"), HOSTS)
def test_only_the_base_urls_host_and_where_it_is_safe_loopback_are_ours(
    base_url: str, open_mode: bool, host: bytes | None, is_ours: bool
) -> None:
    hosts = Hosts(base_url, open_mode=open_mode)
    if is_ours:
        hosts.check(host)
    else:
        with pytest.raises(Misdirected, match=re.escape(base_url)):
            hosts.check(host)
