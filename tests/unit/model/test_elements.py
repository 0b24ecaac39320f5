"""Resources read element by element are what the parser reads, whatever is known by then; all else is left to the parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.elements import REMEMBERED, TRIED, Elements
from fhirserver.model.json import NESTING_LIMIT, dump, parse, texts

numbers = st.sampled_from(["1.50", "-0.0", "1E-22", "7", "-123456789.123456789", "0.10"])
elements = st.sampled_from(["status", "code", "a", "é"])
values = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9).map(lambda text: dump(text).decode()),
    numbers,
    numbers.map(lambda number: f'[{{"value":{number},"unit":"\\u0067"}}, true]'),
)


@given(st.lists(st.lists(st.tuples(elements, values), max_size=5), max_size=9), st.sampled_from(["", " "]))
def test_what_is_read_is_what_the_parser_reads(resources: list[list[tuple[str, str]]], space: str) -> None:
    reader = Elements()
    for members in resources:
        text = f"{{{','.join(f'{space}{dump(key).decode()}:{value}' for key, value in members)}}}".encode()
        found = reader.read(text)
        is_plain = 0 < len(dict(members)) == len(members) and "é" not in dict(members) and not space
        assert (found is not None) == is_plain
        if found is None:
            continue
        value, read = found
        assert dump(value) == dump(parse(text))
        assert read.contents == texts(value)
        assert b"{%b}" % b",".join(read.members.values()) == dump(value)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":"x","\\u0061":"y"}',
        b'{"a":1 }',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":1e6145}',
        b'{"a":"\\ud800"}',
        b'{"a":01}',
        b'{"a":"\xff"}',
        b'{"a":' * NESTING_LIMIT + b"{}" + b"}" * NESTING_LIMIT,
        b"[1]",
        b"1",
        b"",
    ],
)
def test_what_is_refused_or_in_another_form_is_left_to_the_parser(text: bytes) -> None:
    reader = Elements()
    assert reader.read(b'{"a":1}') is not None
    assert reader.read(text) is None
    assert reader.read(text) is None


def test_what_never_comes_again_is_not_remembered() -> None:
    reader = Elements()
    for number in range(3 * TRIED):
        assert reader.read(b'{"status":"final","id":"%d"}' % number) is not None
    assert {key: len(known) for key, known in reader._known.items()} == {"status": 1}
    assert REMEMBERED - reader._left < 1_000, "what was forgotten leaves its room"


def test_a_file_with_white_space_is_soon_not_tried() -> None:
    reader = Elements()
    for _ in range(TRIED):
        assert reader.read(b'{"status": "final"}') is None
    assert reader.read(b'{"status":"final"}') is None
