"""The fast look at a Bundle of requests: what it lets pass, the validator would let pass as well."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.rest.interactions.bundles.entries import _is_plain
from fhirserver.validation import Validator

VALIDATOR = Validator(load())

texts = st.one_of(
    st.sampled_from(
        ["", " ", "a", "Patient/1", "Patient?a=b", "urn:uuid:1", "http://x.example/_history/1", "a b", "\n", "\u00a0"]
    ),
    st.text(max_size=8),
)
odd = st.sampled_from([None, 1, [], {}, ["a"], True])
requests = st.fixed_dictionaries(
    {
        "method": st.one_of(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "BREW"]), odd),
        "url": st.one_of(texts, odd),
    },
    optional={
        name: st.one_of(texts, odd) for name in ("ifMatch", "ifNoneExist", "ifNoneMatch", "ifModifiedSince", "x")
    },
)
entries = st.one_of(
    st.fixed_dictionaries({"request": requests}, optional={"fullUrl": st.one_of(texts, odd), "link": odd}), odd
)
bundles = st.fixed_dictionaries(
    {"resourceType": st.just("Bundle"), "type": st.sampled_from(["batch", "transaction"])},
    optional={"entry": st.one_of(st.lists(entries, max_size=3), odd), "id": texts, "total": odd},
)


@given(bundles)
@example({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": [], "url": "a"}}]})
def test_what_is_plain_is_valid(bundle: dict[str, Any]) -> None:
    if _is_plain(bundle):
        issues = VALIDATOR.validate(bundle, resource_type="Bundle")
        assert [issue for issue in issues if issue.severity in ("error", "fatal")] == []


def test_what_most_clients_send_is_plain() -> None:
    asked = {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=a|b"}
    entry = {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient"}, "request": asked}
    assert _is_plain({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
