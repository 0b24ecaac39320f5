"""JSON in and out is strict and exact. https://hl7.org/fhir/R4/json.html"""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.json import DIGITS_LIMIT, NESTING_LIMIT, RESOURCE_LIMIT, dump, parse
from fhirserver.model.outcome import BadRequest, TooLarge

EXACT_NUMBERS = [
    "0", "-0", "0.0", "-0.0", "1.50", "1e3", "1E3", "1e+3", "1E-22", "1.00000000000000000E-24", "0.10", "100.00",
    "-1.0000000000000000000e+245", "9007199254740993", "-9223372036854775809", "18446744073709551616",
    "123456789012345678901234567890", "0." + "1" * 29,
]  # fmt: skip

REFUSED = [
    (b'{"resourceType":"Patient","id":"a","id":"b"}', "Patient.id", "twice"),
    (b'{"resourceType":"Patient","name":[{"family":"a"},{"family":"a","family":"a"}]}', "Patient.name[1].family", "twice"),
    (b'{"a" :1,"a" :2}', "$this.a", "twice"),
    (b'{"a"\n:1,"a":2}', "$this.a", "twice"),
    (b'{"a":"\\u0022:","a":1}', "$this.a", "twice"),
    (b'{"a":"\\"\\u0020:","a":1}', "$this.a", "twice"),
    (b'{"a":"\\"\\u003a","a":1}', "$this.a", "twice"),
    (b'{"a":1,"\\u0061":2}', "$this.a", "twice"),
    (b'{"a":{"b":1,"b":2},"a":3}', "$this.a", "twice"),
    (b'{"a":NaN}', None, "NaN"),
    (b'{"a":Infinity}', None, "Infinity"),
    (b'{"a":-Infinity}', None, "-Infinity"),
    (b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}', "Patient.name[0].family", "surrogate"),
    (b'{"a":"\\ude00\\ud83d"}', "$this.a", "surrogate"),
    (b'{"\\ud800":1}', "$this", "surrogate"),
    (b"\xef\xbb\xbf{}", None, "byte order mark"),
    ('{"a":1}'.encode("utf-16"), None, "UTF-8"),
    (b'{"a":"\xff"}', None, "byte 6"),
    (b'{"a":"\xed\xa0\x80"}', None, "UTF-8"),
    (b'{"a":"\xc0\x80"}', None, "UTF-8"),
    (b'{"a":' + b"1" * 5000 + b"}", "$this.a", "30 digits"),
    (b'{"a":0.' + b"1" * 31 + b"}", "$this.a", "30 digits"),
    (b'{"a":1e6145}', "$this.a", "exponent"),
    (b'{"a":1e999999999999}', "$this.a", "exponent"),
    (b"[" * 65 + b"]" * 65, "$this" + "[0]" * 64, "64 levels"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "$this" + ".a" * 64, "64 levels"),
    (b'{"a":"}","b":' * 65 + b'{"c":"{"}' + b"}" * 65, "$this" + ".b" * 64, "64 levels"),
    (b"[" * 100_000, None, "JSON"),
    (b"[" * 100_000 + b"]" * 100_000, None, "64 levels"),
    (b"", None, "ends too early"),
    (b"  ", None, "ends too early"),
    (b'{"a":', None, "ends too early"),
    (b'{"a":1}x', None, "more text follows"),
    (b'{"a":1}{"a":1}', None, "more text follows"),
    (b'{"a":1,}', None, "line 1"),
    (b"{'a':1}", None, "line 1"),
    (b'{\n"a":1\n"b":2}', None, "line 3"),
    (b'{"a":"\n"}', None, "control character"),
    (b'{"a":"\x00"}', None, "control character"),
    (b'{"a":"\\x"}', None, "escape"),
    (b"01", None, "more text follows"),
    (b"[1.]", None, "JSON"),
    (b"[.5]", None, "JSON"),
    (b"[+1]", None, "JSON"),
    (b"[1]\x0b", None, "more text follows"),
    (b"// a\n1", None, "JSON"),
]  # fmt: skip


@pytest.mark.parametrize("text", EXACT_NUMBERS)
@pytest.mark.parametrize(
    ("form", "plain"),
    [
        ("%s", "%s"),
        ('{"a":%s}', '{"a":%s}'),
        ('{"a": [%s ]}', '{"a":[%s]}'),
        ('{"a" :%s,"b":"\\u0022:"}', '{"a":%s,"b":"\\":"}'),
    ],
)
def test_a_number_comes_out_with_the_digits_it_came_in_with(text: str, form: str, plain: str) -> None:
    assert dump(parse((form % text).encode())) == (plain % text).encode()


@pytest.mark.parametrize(("data", "place", "words"), REFUSED, ids=[repr(row[0][:40]) for row in REFUSED])
def test_bad_json_is_refused_with_its_place(data: bytes, place: str | None, words: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(data)
    (issue,) = refused.value.issues
    assert (issue.severity, issue.code, issue.expression) == ("error", "structure", place)
    assert words in issue.diagnostics


def test_the_bounds_themselves_are_accepted() -> None:
    deep = b"[" * NESTING_LIMIT + b"]" * NESTING_LIMIT
    assert parse(deep) == json.loads(deep)
    assert parse(b'{"a":' * 64 + b"1" + b"}" * 64)
    assert parse(b"0." + b"1" * (DIGITS_LIMIT - 1)).text == "0." + "1" * (DIGITS_LIMIT - 1)
    assert parse(b"1e6144") == Decimal("1e6144")
    assert parse(b'"' + b"a" * (RESOURCE_LIMIT - 2) + b'"')


def test_text_past_the_size_bound_is_too_large() -> None:
    with pytest.raises(TooLarge) as refused:
        parse(b'"' + b"a" * (RESOURCE_LIMIT - 1) + b'"')
    assert str(RESOURCE_LIMIT) in refused.value.issues[0].diagnostics
    assert parse(b'"' + b"a" * RESOURCE_LIMIT + b'"', limit=RESOURCE_LIMIT + 2)


def test_keys_that_look_twice_but_are_not_are_accepted() -> None:
    for text in (
        rb'{"a":"\"a\":1","b":"\\\":"}',
        rb'{"a":"\u0022:\u003a","A":1}',
        b'{"a": "x\\" :", "b" : 1}',
        b'{"a":" :  :","b":"\\n:"}',
        rb'[{"a":1},{"a":1}]',
        b"[" + b'{"a":[]},' * 100 + b"1]",
    ):
        assert parse(text) == json.loads(text)


def test_a_number_is_a_decimal_that_survives_copies() -> None:
    number = parse(b"1e3")
    assert number == 1000
    assert number + 1 == Decimal(1001)
    assert isinstance(number, Decimal)
    for copied in (copy.copy(number), copy.deepcopy([number])[0], pickle.loads(pickle.dumps(number))):
        assert (copied, copied.text) == (number, "1e3")


def test_what_has_no_json_form_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        dump({"a": object()})


digits = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,14})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.text() | digits.map(lambda text: parse(text.encode())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(values)
def test_what_is_written_is_read_back_the_same_digit_for_digit(value: Any) -> None:
    written = dump(value)
    assert dump(parse(written)) == written
    assert parse(written) == value


@given(
    values,
    st.sampled_from([None, 1, "\t"]),
    st.sampled_from([(",", ":"), (", ", " : "), (" ,\r\n", "\t: ")]),
    st.booleans(),
)
def test_every_way_of_writing_the_same_value_is_read_the_same(
    value: Any, indent: Any, separators: tuple[str, str], escaped: bool
) -> None:
    plain = json.loads(dump(value), parse_float=str, parse_int=str)
    text = json.dumps(plain, indent=indent, separators=separators, ensure_ascii=escaped)
    assert parse(text.encode()) == plain


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", '"', ":", '":', " "]), st.sampled_from(['"', '":', ' ":', "x", "\u0022 :"])
        ),
        max_size=6,
    ),
    st.sampled_from([(",", ":"), (", ", " : "), (",", "\n:")]),
    st.booleans(),
)
def test_a_key_that_stands_twice_is_always_seen(
    pairs: list[tuple[str, str]], separators: tuple[str, str], escape: bool
) -> None:
    def write(text: str) -> str:
        return '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"' if escape else json.dumps(text)

    comma, colon = separators
    data = ("{" + comma.join(write(key) + colon + write(text) for key, text in pairs) + "}").encode()
    if len({key for key, _ in pairs}) == len(pairs):
        assert parse(data) == dict(pairs)
    else:
        with pytest.raises(BadRequest, match="twice"):
            parse(data)


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\u01e.-nulltrue \ud83d'[:-1], max_size=40).map(str.encode))
def test_parsing_agrees_with_the_standard_library_or_refuses(data: bytes) -> None:
    try:
        value = parse(data)
    except BadRequest:
        return
    assert value == json.loads(data.decode(), parse_float=Decimal)
