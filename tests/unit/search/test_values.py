"""Values and their stored forms, type by type.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.model.dates import BEGINNING, END
from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import Expression, In, Prefixed, all_of, any_of
from fhirserver.search.match import match
from fhirserver.search.parameters import TYPES, date, reference, string, token, uri
from fhirserver.search.parameters.comparison import Prefix, compared
from fhirserver.search.parameters.date import DateRange
from fhirserver.search.parameters.string import fold
from fhirserver.search.parameters.term import Circumstances, Node, Term
from fhirserver.search.query.escaping import divide, unescape
from fhirserver.search.registry import resource_types

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UCUM = "http://unitsofmeasure.org"
CIRCUMSTANCES = Circumstances("https://fhir.example.org/r4", frozenset({UCUM}), resource_types(load()))
CODE = [("CodeableConcept", {"coding": [{"system": UCUM, "code": "mg"}, {"system": "s", "code": "Xy"}, {"code": "Z"}]})]


def term(*alternatives: str, modifier: str = "", targets: tuple[str, ...] = ()) -> Term:
    return Term("p", "index.p", targets, modifier, alternatives, CIRCUMSTANCES, NOW)


ESCAPES = [
    ("a,b", ",", ["a", "b"]),
    ("a\\,b,c", ",", ["a,b", "c"]),
    ("a\\\\,b", ",", ["a\\", "b"]),
    ("a\\|b|c", "|", ["a|b", "c"]),
    ("a\\$b", "$", ["a$b"]),
    ("a\\xb", ",", ["a\\xb"]),
    ("a\\", ",", ["a\\"]),
    ("", ",", [""]),
    (",", ",", ["", ""]),
]


@pytest.mark.parametrize(("text", "mark", "expected"), ESCAPES)
def test_marks_divide_unless_they_are_escaped(text: str, mark: str, expected: list[str]) -> None:
    """search.html#escaping"""
    assert [unescape(part) for part in divide(text, mark)] == expected


@given(st.lists(st.text(alphabet="a,|$\\"), min_size=1))
def test_escaped_values_come_back_whole(values: list[str]) -> None:
    """search.html#escaping"""
    assert [unescape(part) for part in divide(",".join(map(_escaped, values)), ",")] == values


def _escaped(text: str) -> str:
    for mark in "\\,|$":
        text = text.replace(mark, "\\" + mark)
    return text


STORED: list[tuple[Any, list[Node], Any]] = [
    # search.html#token
    (token, CODE, ([f"{UCUM}|mg", "=mg", "s|xy", "~xy", "|z", "~z"], "mg", "z")),
    (token, [("Coding", {"system": "s"})], (["s|"], None, None)),
    (token, [("Coding", {"display": "words"})], None),
    (token, [("CodeableConcept", {"text": "words"})], None),
    (token, [("Identifier", {"system": "a|b%", "value": "1|2"})], (["a%7Cb%25|1%7C2", "~1%7C2"], "1%7c2", "1%7c2")),
    (token, [("ContactPoint", {"system": "email", "value": "A@b"})], (["~a@b"], "a@b", "a@b")),
    (token, [("ContactPoint", {"system": "email"})], None),
    (token, [("boolean", True)], (["=true"], "true", "true")),
    (token, [("boolean", False)], (["=false"], "false", "false")),
    (token, [("id", "Ab")], (["=Ab"], "Ab", "Ab")),
    (token, [("code", "Ab")], (["~ab"], "ab", "ab")),
    (token, [("Quantity", {"value": 1})], None),
    # search.html#string
    (string, [("string", "Ёлка!")], ({"f": ["елка"], "s": ["Ёлка!"]}, "елка", "елка")),
    (string, [("string", "")], None),
    (
        string,
        [("HumanName", {"family": "B", "given": ["A", "B"], "use": "usual"})],
        ({"f": ["b", "a"], "s": ["B", "A"]}, "a", "b"),
    ),
    (
        string,
        [("Address", {"line": ["L", None], "city": "C", "_city": {}})],
        ({"f": ["l", "c"], "s": ["L", "C"]}, "c", "l"),
    ),
    (string, [("Quantity", {"value": 1})], None),
    (string, [("string", "x" * 300)], ({"f": ["x" * 300], "s": ["x" * 300]}, "x" * 256, "x" * 256)),
    # search.html#date
    (date, [("date", "1970-01-01")], ([{"lo": 0, "hi": 86_400_000_000 - 1}], 0, 86_400_000_000 - 1)),
    (date, [("instant", "1970-01-01T00:00:00.001Z")], ([{"lo": 1000, "hi": 1000}], 1000, 1000)),
    (date, [("dateTime", "1970-01-01T00:00:00.001Z")], ([{"lo": 1000, "hi": 1999}], 1000, 1999)),
    (date, [("Period", {"start": "1970-01-01T00:00:00Z"})], ([{"lo": 0, "hi": END}], 0, END)),
    (date, [("Period", {"end": "1970-01-01T00:00:00Z"})], ([{"lo": BEGINNING, "hi": 999_999}], BEGINNING, 999_999)),
    (date, [("Period", {})], None),
    (date, [("Timing", {"code": {"text": "daily"}})], None),
    (
        date,
        [("Timing", {"event": ["1970-01-01T00:00:01Z", "1970-01-01T00:00:00Z"]})],
        ([{"lo": 0, "hi": 1_999_999}], 0, 1_999_999),
    ),
    (
        date,
        [
            ("dateTime", "1970-01-01T00:00:05Z"),
            ("dateTime", "1970-01-01T00:00:00Z"),
            ("dateTime", "1970-01-01T00:00:00Z"),
        ],
        ([{"lo": 5_000_000, "hi": 5_999_999}, {"lo": 0, "hi": 999_999}], 0, 5_999_999),
    ),
    (date, [("dateTime", "1970-13")], None),
    (date, [("Quantity", {"value": 1})], None),
    # search.html#reference
    (reference, [("Reference", {"reference": "Patient/p"})], ({"r": ["Patient/p"]}, "Patient/p", "Patient/p")),
    (reference, [("Reference", {"reference": "Patient/.."})], ({"r": ["Patient/.."]}, "Patient/..", "Patient/..")),
    (reference, [("Reference", {"reference": "#p"})], ({"inner": ["p"]}, None, None)),
    (reference, [("Reference", {"display": "someone"})], None),
    (reference, [("Reference", {"identifier": {"system": "s"}})], None),
    (reference, [("Reference", {"identifier": {"system": "s", "value": "V"}})], ({"i": ["s|v", "~v"]}, None, None)),
    (
        reference,
        [
            (
                "Reference",
                {"reference": "https://fhir.example.org/r4/Patient/p/_history/2", "identifier": {"value": "V"}},
            )
        ],
        ({"r": ["Patient/p"], "i": ["|v", "~v"]}, "Patient/p", "Patient/p"),
    ),
    (
        reference,
        [("Reference", {"reference": "http://x.org/Patient/p/_history/2"}), ("Reference", {"reference": "Group/g"})],
        ({"r": ["http://x.org/Patient/p", "Group/g"]}, "Group/g", "http://x.org/Patient/p"),
    ),
    (
        reference,
        [("canonical", "http://x.org/q|1#f")],
        (
            {"r": ["http://x.org/q", "http://x.org/q|1"]},
            "http://x.org/q",
            "http://x.org/q|1",
        ),
    ),
    (reference, [("uri", "http://x.org/q")], ({"r": ["http://x.org/q"]}, "http://x.org/q", "http://x.org/q")),
    (reference, [("Patient", {"resourceType": "Patient"})], None),
    # search.html#uri
    (uri, [("uri", "http://x.org/Q|1")], (["http://x.org/Q|1"], "http://x.org/Q|1", "http://x.org/Q|1")),
    (
        uri,
        [("canonical", "http://x.org/q|1")],
        (["http://x.org/q", "http://x.org/q|1"], "http://x.org/q", "http://x.org/q|1"),
    ),
    (uri, [("uri", "")], None),
]


@pytest.mark.parametrize(("module", "nodes", "expected"), STORED)
def test_what_is_stored_of_a_value(module: Any, nodes: list[Node], expected: Any) -> None:
    assert module.indexed(nodes, CIRCUMSTANCES) == expected


def some(*values: str, path: str = "index.p") -> Expression:
    return In(path, frozenset(values))


ASKED: list[tuple[str, Term, Expression]] = [
    ("token", term("Ab"), some("=Ab", "~ab")),
    ("token", term("s|Ab"), some("s|ab")),
    ("token", term(f"{UCUM}|Mg"), some(f"{UCUM}|Mg")),
    ("token", term("|Ab"), some("|ab")),
    ("token", term("s|"), Prefixed("index.p", "s|")),
    ("token", term("s|", "x"), any_of(some("=x", "~x"), Prefixed("index.p", "s|"))),
    ("token", term("s|a\\|b"), some("s|a%7Cb")),
    ("token", term("a\\|b"), some("=a%7Cb", "~a%7Cb")),
    ("string", term("Éа"), Prefixed("index.p.f", "eа")),
    (
        "string",
        term("Éа", modifier="exact"),
        all_of(some("eа", path="index.p.f"), some("Éа", "E\u0301а", path="index.p.s")),
    ),
    ("string", term("--", modifier="exact"), some("--", path="index.p.s")),
    ("reference", term("x", targets=("Patient", "Group")), some("Patient/x", "Group/x", path="index.p.r")),
    ("reference", term("x", modifier="Group", targets=("Patient", "Group")), some("Group/x", path="index.p.r")),
    ("reference", term("x|y", modifier="identifier"), some("x|y", path="index.p.i")),
    ("uri", term("a\\,b"), some("a,b")),
]


@pytest.mark.parametrize(("type", "asked", "expected"), ASKED)
def test_what_a_value_asks(type: str, asked: Term, expected: Expression) -> None:
    assert TYPES[type].condition(asked) == expected


def test_an_id_alone_may_be_of_any_type_where_the_parameter_names_none() -> None:
    found = reference.condition(term("x"))
    assert isinstance(found, In)
    assert len(found.values) == len(load().resource_types)


@pytest.mark.parametrize(
    ("type", "asked"),
    [
        ("token", term("|")),
        ("token", term("s" * 1001 + "|")),
        ("string", term("ﷺ" * 100)),
        ("string", term("x" * 1001)),
        ("date", term("2026-02-30")),
        ("reference", term("#x")),
        ("reference", term("#")),
        ("reference", term("Nonsense/x")),
        ("reference", term("Patient/x", modifier="Group")),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_name_of_its_parameter(type: str, asked: Term) -> None:
    with pytest.raises(BadRequest, match="The parameter 'p' cannot be read"):
        TYPES[type].condition(asked)


FOLDED = [
    ("", ""),
    ("ABC", "abc"),
    ("  A  b\tc ", "a b c"),
    ("Ёлкин", "елкин"),
    ("Е\u0308лкин", "елкин"),
    ("ЙОД", "йод"),
    ("И\u0306од", "йод"),
    ("Straße", "strasse"),
    ("İstanbul", "istanbul"),
    ("José", "jose"),
    ("O'Brien", "obrien"),
    ("O’Brien", "obrien"),
    ("Mary-Ann", "mary ann"),
    ("J.R.R.", "j r r"),
    ("a_b", "a b"),
    ("ﬁ", "fi"),
    ("½", "1⁄2"),
    ("日本", "日本"),
    ("हिन्दी", "हिन्दी"),
    ("«Мир»", "мир"),
    ("!?.", ""),
    ("C++", "c++"),
]


@pytest.mark.parametrize(("text", "expected"), FOLDED)
def test_texts_are_folded(text: str, expected: str) -> None:
    """search.html#string: case, accents, punctuation and extra spaces do not count."""
    assert fold(text) == expected


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=st.characters(exclude_categories=["M", "Cs"]), min_size=1))
def test_every_text_is_found_by_itself(text: str) -> None:
    """search.html#string"""
    stored = string.indexed([("string", text)], CIRCUMSTANCES)
    assert stored is not None
    asked = [string.condition(term(_escaped(text), modifier=modifier)) for modifier in ("", "exact", "contains")]
    assert all(match(each, {"index": {"p": stored[0]}}) for each in asked)


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_code_is_found_in_each_of_its_forms(system: str, code: str) -> None:
    """search.html#token"""
    stored = token.indexed([("Coding", {"system": system, "code": code})], CIRCUMSTANCES)
    assert stored is not None
    document = {"index": {"p": stored[0]}}
    for text in (_escaped(code), f"{_escaped(system)}|{_escaped(code)}", f"{_escaped(system)}|"):
        assert match(token.condition(term(text)), document)
    assert not match(token.condition(term(f"|{_escaped(code)}")), document)
    assert not match(token.condition(term(_escaped(code), modifier="not")), document)


PARSED = [
    ("2013", Prefix.EQ, "2013-01-01T00:00:00+00:00", 365 * 86_400_000_000),
    ("ne2013-02", Prefix.NE, "2013-02-01T00:00:00+00:00", 28 * 86_400_000_000),
    ("sa2012-02-29", Prefix.SA, "2012-02-29T00:00:00+00:00", 86_400_000_000),
    ("eb2013-01-14T10:00", Prefix.EB, "2013-01-14T10:00:00+00:00", 60_000_000),
    ("le2013-01-14T10:00:00+03:00", Prefix.LE, "2013-01-14T07:00:00+00:00", 1_000_000),
    ("lt2013-01-14T10:00 03:00", Prefix.LT, "2013-01-14T07:00:00+00:00", 60_000_000),
    ("gt2013-01-14T10:00:00.5Z", Prefix.GT, "2013-01-14T10:00:00.500000+00:00", 100_000),
]


@pytest.mark.parametrize(("text", "prefix", "start", "length"), PARSED)
def test_a_date_is_a_prefix_and_an_interval(text: str, prefix: Prefix, start: str, length: int) -> None:
    """search.html#date"""
    low = int(datetime.fromisoformat(start).timestamp() * 1_000_000)
    assert DateRange.parse(text, NOW) == DateRange(prefix, low, low + length - 1)


def test_approximately_is_a_tenth_of_the_distance_from_now() -> None:
    """search.html#prefix"""
    exact, about = DateRange.parse("2025-12-22", NOW), DateRange.parse("ap2025-12-22", NOW)
    tenth = (int(NOW.timestamp() * 1_000_000) - (exact.low + exact.high) // 2) // 10
    assert (about.low, about.high) == (exact.low - tenth, exact.high + tenth)


@given(st.tuples(st.integers(0, 20), st.integers(0, 9)), st.tuples(st.integers(0, 20), st.integers(0, 9)))
def test_the_prefixes_relate_as_the_clause_says(q: tuple[int, int], t: tuple[int, int]) -> None:
    """search.html#prefix, word by word, over small intervals."""
    q_low, q_high, t_low, t_high = q[0], q[0] + q[1], t[0], t[0] + t[1]
    contains = q_low <= t_low and t_high <= q_high
    overlaps = t_low <= q_high and q_low <= t_high
    above, below = t_high > q_high, t_low < q_low
    expected = {
        Prefix.EQ: contains,
        Prefix.NE: not contains,
        Prefix.GT: above,
        Prefix.LT: below,
        Prefix.GE: above or contains,
        Prefix.LE: below or contains,
        Prefix.SA: not overlaps and t_low > q_high,
        Prefix.EB: not overlaps and t_high < q_low,
        Prefix.AP: overlaps,
    }
    document = {"lo": t_low, "hi": t_high}
    found = {prefix: match(compared(DateRange(prefix, q_low, q_high).asked, "lo", "hi"), document) for prefix in Prefix}
    assert found == expected


@pytest.mark.parametrize("data", ["1 wrong 3", "1 NaN 3", "Infinity 1 3", "1 3 1E9999999999999999999999", "1 3 - ,5"])
def test_what_is_no_number_in_sampled_data_is_passed_over(data: str) -> None:
    sampled = {"origin": {"value": 0, "unit": "mV"}, "period": 1, "dimensions": 1, "data": data}
    assert TYPES["quantity"].indexed([("SampledData", sampled)], CIRCUMSTANCES) == TYPES["quantity"].indexed(
        [("SampledData", sampled | {"data": "1 3"})], CIRCUMSTANCES
    )
    nothing = sampled | {"data": "nothing here"}
    assert TYPES["quantity"].indexed([("SampledData", nothing)], CIRCUMSTANCES) is None
