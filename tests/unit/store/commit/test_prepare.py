"""The bytes of a version: the text is exact, the native copy says the same, and every bound is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from fhirserver.model import json
from fhirserver.model.outcome import TooLarge
from fhirserver.model.resource import Version
from fhirserver.search.permit import Permit
from fhirserver.store import By, Derived, Write
from fhirserver.store.bulk import packed
from fhirserver.store.commit.prepare import _decimal, finish, native, prepare, timed
from fhirserver.store.history import feed

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def write(resource: dict[str, Any], derived: Derived | None = None) -> Write:
    derived = derived or Derived({}, {}, {"owners": []})
    return Write("PUT", "Basic", "a", resource, derived, By("r", "p", "c"), Permit.system("test"))


numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


@given(numbers)
@example("9" * 34)
@example("1" + "0" * 34)
@example("-1" + "0" * 34)
def test_a_decimal_is_what_the_driver_would_make_of_it(text: str) -> None:
    try:
        wanted: Any = Decimal128(text)
    except Exception:  # more than decimal128 holds
        wanted = text
    assert _decimal(text) == wanted
    if isinstance(wanted, Decimal128) and len(Decimal(text).as_tuple().digits) <= 34:
        assert str(_decimal(text)) == str(wanted)


@pytest.mark.parametrize(
    ("number", "fits"), [(1 << 63, False), ((1 << 63) - 1, True), (-1 << 63, True), ((-1 << 63) - 1, False)]
)
def test_an_integer_past_64_bits_is_text(number: int, fits: bool) -> None:
    assert bson.decode(native(b'{"a":[%d]}' % number).raw) == {"a": [number if fits else str(number)]}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**29), 10**29)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["1.50", "1e3", "-0.0", "1E-22", "7.20", "0.000001", "1E+6000", "-123456789.123456789"]).map(
        json.Number
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcdef_", min_size=1), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdef_", min_size=1), values), st.booleans())
def test_the_text_keeps_everything_and_the_document_is_one(fields: dict[str, Any], native_copy: bool) -> None:
    resource = {"resourceType": "Basic", "id": "a", "meta": {"versionId": "9", "tag": [{"code": "t"}]}, **fields}
    text, document = finish(prepare(write(resource), native_copy=native_copy), 3, NOW)
    meta = {"versionId": "3", "lastUpdated": "2026-01-02T03:04:05.678Z", "tag": [{"code": "t"}]}
    assert json.dump(json.parse(text)) == json.dump({"resourceType": "Basic", "id": "a", "meta": meta, **fields})
    stored = bson.decode(document.raw)
    assert bson.encode(stored) == document.raw
    assert stored["json"] == text
    assert (stored["_id"], stored["version"], stored["deleted"], stored["method"]) == ("a", 3, False, "PUT")
    assert stored["by"] == {"request": "r", "principal": "p", "client": "c"}
    assert ("resource" in stored) == native_copy
    if native_copy:
        assert stored["resource"]["meta"] == meta
        assert set(stored["resource"]) == {"resourceType", "id", "meta", *fields}


@given(st.dictionaries(st.text("abcdef_", min_size=1), values), st.booleans(), st.booleans())
def test_what_goes_in_bulk_is_the_first_version_and_its_feed_row(
    fields: dict[str, Any], tagged: bool, native_copy: bool
) -> None:
    resource = {"resourceType": "Basic", "id": "a", **({"meta": {"tag": [{"code": "t"}]}} if tagged else {}), **fields}
    security = {"owners": ["p"], "class": "patient"}
    one = replace(write(resource, Derived({"code": ["x"]}, {}, security)), may_create=True)
    text, document = finish(prepare(one, native_copy=native_copy), 1, NOW)
    ready = packed(prepare(one, native_copy=native_copy))
    assert timed(ready.document, NOW).raw == document.raw
    version = Version("Basic", "a", 1, NOW, text, "PUT", True)
    assert timed(ready.row, NOW).raw == bson.encode(feed.row(version, True, security, "p"))
    assert json.dump(ready.resource) == json.dump(resource)


@pytest.mark.parametrize(
    ("resource", "index", "named"),
    [
        ({"x": "y" * 5_000_000}, {}, "5000000"),
        ({"meta": {"tag": [{"display": "y" * 5_000_000}]}}, {}, "5000000"),
        ({"x": "y"}, {"a": ["z" * 15_800_000]}, str(15 * 1024 * 1024)),
    ],
)
def test_what_passes_a_bound_is_refused_with_the_bound(
    resource: dict[str, Any], index: dict[str, Any], named: str
) -> None:
    with pytest.raises(TooLarge, match=named):
        prepare(write(resource, Derived(index, {}, {})), native_copy=True)


def test_every_reference_is_gathered_once() -> None:
    index = {
        "patient": {"r": ["Patient/a"], "i": []},
        "subject": {"r": ["Patient/a", "Group/g"], "i": []},
        "code": ["x"],
    }
    _, document = finish(prepare(write({}, Derived(index, {}, {})), native_copy=False), 1, NOW)
    assert bson.decode(document.raw)["index"]["_refs"] == ["Patient/a", "Group/g"]
