"""What narrows a search of labels is true of everything that the search itself finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds
from fhirserver.store.layout.labels import LABELS, among, gathered

EXTRACTOR = Extractor(load())
NOW = datetime(2026, 1, 1, tzinfo=UTC)

codings = st.fixed_dictionaries(
    {"code": st.sampled_from(["a", "B", "a|b"])}, optional={"system": st.sampled_from(["urn:s", "urn:t", "urn:s|x"])}
)
urls = st.sampled_from(["http://p.org/a", "http://p.org/a/b", "http://p.org/a|1.0", "urn:x"])
metas = st.fixed_dictionaries(
    {},
    optional={
        "tag": st.lists(codings, max_size=2),
        "security": st.lists(codings, max_size=2),
        "profile": st.lists(urls, max_size=2),
        "source": urls,
    },
)
tokens = st.sampled_from(["a", "b", "urn:s|a", "|B", "urn:s|", "urn:s\\|x|a", "a,urn:t|"])
queries = st.one_of(
    st.tuples(st.sampled_from(["_tag", "_security", "_tag:not", "_security:missing"]), tokens),
    st.tuples(st.sampled_from(["_profile", "_source", "_profile:below", "_profile:above"]), urls),
)


@given(metas, queries)
def test_nothing_is_lost(meta: dict[str, Any], query: tuple[str, str]) -> None:
    name, value = query
    if name.endswith("missing"):
        value = "true"
    if "urn:" in value and name.startswith("_profile:"):
        return
    asked = parse_search(load(), "Basic", [(name, value)], lenient=False, base_url="", now=NOW, bounds=Bounds())
    narrow = among(asked.expression)
    index, _ = EXTRACTOR.extract("Basic", {"resourceType": "Basic", "code": {"text": "x"}, "meta": meta})
    document = {"index": {**index, LABELS: gathered(index)}}
    if narrow is not None:
        assert not match(asked.expression, document) or match(narrow, document)
    else:
        assert ":" in name
        assert "below" not in name


def test_what_is_not_labelled_costs_nothing() -> None:
    index, _ = EXTRACTOR.extract("Basic", {"resourceType": "Basic", "code": {"text": "x"}})
    assert gathered(index) == []
