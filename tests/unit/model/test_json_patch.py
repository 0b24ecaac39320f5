"""JSON Patch, RFC 6902, and JSON Pointer, RFC 6901: what a patch makes of a document, or why it cannot.

https://www.rfc-editor.org/rfc/rfc6902
"""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.json import dump, parse
from fhirserver.model.json_patch import OPERATIONS_LIMIT, JsonPatch, equal
from fhirserver.model.outcome import BadRequest, TooLarge, Unprocessable


def op(name: str, path: str, *value: Any, **more: Any) -> dict[str, Any]:
    """An operation."""
    return {"op": name, "path": path, **({"value": value[0]} if value else {}), **more}


def applied(document: Any, *operations: Any) -> Any:
    """The document as the server would parse, patch and write it."""
    patch = JsonPatch.read(parse(dump(list(operations))))
    return parse(dump(patch.apply(parse(dump(document)))))


FITTING: list[tuple[str, Any, list[Any], Any]] = [
    ("an empty patch", {"a": 1}, [], {"a": 1}),
    ("a member is added", {"a": 1}, [op("add", "/b", 2)], {"a": 1, "b": 2}),
    ("a member that exists is replaced by add", {"a": 1}, [op("add", "/a", 2)], {"a": 2}),
    ("null is a value", {"a": 1}, [op("add", "/b", None)], {"a": 1, "b": None}),
    ("an element is inserted", {"a": [1, 3]}, [op("add", "/a/1", 2)], {"a": [1, 2, 3]}),
    ("an element is put before the first", [2], [op("add", "/0", 1)], [1, 2]),
    ("the index of the length appends", [1], [op("add", "/1", 2)], [1, 2]),
    ("a dash appends", {"a": [1]}, [op("add", "/a/-", [2, 3])], {"a": [1, [2, 3]]}),
    ("a dash is a name in an object", {"a": {}}, [op("add", "/a/-", 1)], {"a": {"-": 1}}),
    ("an object is added and then filled", {}, [op("add", "/a", {}), op("add", "/a/b", 1)], {"a": {"b": 1}}),
    ("the whole document is replaced by add", {"a": 1}, [op("add", "", [1])], [1]),
    ("the whole document is replaced", {"a": 1}, [op("replace", "", {"b": 2})], {"b": 2}),
    ("a removed document is put back", {"a": 1}, [op("remove", ""), op("add", "", {"b": 2})], {"b": 2}),
    ("a member is removed", {"a": 1, "b": 2}, [op("remove", "/a")], {"b": 2}),
    ("an element is removed", [1, 2, 3], [op("remove", "/1")], [1, 3]),
    ("the indexes move up as elements go", [1, 2, 3], [op("remove", "/0"), op("remove", "/0")], [3]),
    ("a member is replaced", {"a": 1, "b": 2}, [op("replace", "/a", "x")], {"a": "x", "b": 2}),
    ("an element is replaced", [1, 2], [op("replace", "/1", {})], [1, {}]),
    ("a member is moved", {"a": {"x": 1}, "b": {}}, [op("move", "/b/y", **{"from": "/a/x"})], {"a": {}, "b": {"y": 1}}),
    ("an element is moved", [1, 2, 3], [op("move", "/2", **{"from": "/0"})], [2, 3, 1]),
    ("a move to its own place", {"a": 1}, [op("move", "/a", **{"from": "/a"})], {"a": 1}),
    ("a move out of what it replaces", {"a": {"b": 1}}, [op("move", "/a", **{"from": "/a/b"})], {"a": 1}),
    ("a move to the whole document", {"a": {"b": 1}}, [op("move", "", **{"from": "/a"})], {"b": 1}),
    ("a member whose name only begins alike", {"a": 1}, [op("move", "/ab", **{"from": "/a"})], {"ab": 1}),
    ("a member is copied", {"a": [1]}, [op("copy", "/b", **{"from": "/a"})], {"a": [1], "b": [1]}),
    ("a document is copied into itself", {"a": 1}, [op("copy", "/b", **{"from": ""})], {"a": 1, "b": {"a": 1}}),
    (
        "a copy shares nothing",
        {"a": [1]},
        [op("copy", "/b", **{"from": "/a"}), op("add", "/b/-", 2)],
        {"a": [1], "b": [1, 2]},
    ),
    (
        "a value added twice shares nothing",
        {},
        [op("add", "/a", [1]), op("copy", "/b", **{"from": "/a"}), op("add", "/a/-", 2)],
        {"a": [1, 2], "b": [1]},
    ),
    ("a test of a member", {"a": "x"}, [op("test", "/a", "x")], {"a": "x"}),
    ("a test of the whole", {"a": [1]}, [op("test", "", {"a": [1]})], {"a": [1]}),
    ("a test of null", {"a": None}, [op("test", "/a", None)], {"a": None}),
    ("the order of members says nothing", {"a": 1, "b": 2}, [op("test", "", {"b": 2, "a": 1})], {"a": 1, "b": 2}),
    ("a slash and a tilde in names", {"a/b": 1, "m~n": 2}, [op("test", "/a~1b", 1), op("remove", "/m~0n")], {"a/b": 1}),
    ("an escaped tilde before a one", {"~1": 1}, [op("test", "/~01", 1)], {"~1": 1}),
    ("an empty name", {"": {"": 1}}, [op("test", "//", 1)], {"": {"": 1}}),
    ("names of every kind", {" ": 1, '"': 2, "ё": 3}, [op("test", "/ ", 1), op("test", '/"', 2), op("test", "/ё", 3)], ...),
    ("a name that looks like an index", {"0": 1}, [op("replace", "/0", 2)], {"0": 2}),
    ("members that RFC 6902 does not know", {"a": 1}, [op("test", "/a", 1, comment="x")], {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "operations", "expected"), [row[1:] for row in FITTING], ids=[r[0] for r in FITTING]
)
def test_a_patch_that_fits_makes(document: Any, operations: list[Any], expected: Any) -> None:
    assert applied(document, *operations) == (document if expected is ... else expected)


UNFITTING: list[tuple[str, Any, list[Any], str | None]] = [
    ("a test of another value", {"a": 1}, [op("test", "/a", 2)], "$this.a"),
    ("a test of what is not there", {}, [op("test", "/a", None)], "$this.a"),
    ("true is not one", {"a": True}, [op("test", "/a", 1)], "$this.a"),
    ("one is not true", {"a": 1}, [op("test", "/a", True)], "$this.a"),
    ("zero is not false", {"a": [0]}, [op("test", "/a", [False])], "$this.a"),
    ("a number is not its text", {"a": 1}, [op("test", "/a", "1")], "$this.a"),
    ("null is not false", {"a": None}, [op("test", "/a", False)], "$this.a"),
    ("an empty array is not an empty object", {"a": []}, [op("test", "/a", {})], "$this.a"),
    ("the order of elements counts", [1, 2], [op("test", "", [2, 1])], "$this"),
    ("a shorter array", [1, 2], [op("test", "", [1])], "$this"),
    ("a member more", {"a": 1}, [op("test", "", {"a": 1, "b": 2})], "$this"),
    ("remove of what is not there", {}, [op("remove", "/a")], "$this.a"),
    ("replace of what is not there", {}, [op("replace", "/a", 1)], "$this.a"),
    ("add below what is not there", {}, [op("add", "/a/b", 1)], "$this.a"),
    ("add inside a string", {"a": "x"}, [op("add", "/a/0", 1)], "$this.a[0]"),
    ("add inside null", {"a": None}, [op("add", "/a/b", 1)], "$this.a.b"),
    ("an index past the end", [1], [op("add", "/2", 1)], "$this[2]"),
    ("an index of the length is not there yet", [1], [op("replace", "/1", 1)], "$this[1]"),
    ("a dash names nothing that is there", [1], [op("remove", "/-")], "$this"),
    ("an index with a leading zero", [1, 2], [op("test", "/01", 2)], None),
    ("a negative index", [1], [op("remove", "/-1")], None),
    ("an index with a sign", [1, 2], [op("remove", "/+1")], None),
    ("an index in other digits", [1, 2], [op("remove", "/\u0661")], None),
    ("an index past all sizes", [1], [op("remove", "/" + "9" * 30)], None),
    ("a name in an array", [1], [op("test", "/a", 1)], "$this.a"),
    ("a copy of what is not there", {"b": 1}, [op("copy", "/b", **{"from": "/a"})], "$this.a"),
    ("a move of what is not there", {"b": 1}, [op("move", "/b", **{"from": "/a/0/x"})], "$this.a"),
    ("a move to its own place that is not there", {}, [op("move", "/a", **{"from": "/a"})], "$this.a"),
    ("a move of the end", [1], [op("move", "/0", **{"from": "/-"})], "$this"),
    ("nothing is left", {"a": 1}, [op("remove", "")], "$this"),
    ("a patch after nothing is left", {"a": 1}, [op("remove", ""), op("test", "/a", 1)], "$this"),
    ("the place of the last operation", {"a": {"b": [1]}}, [op("test", "/a/b/0", 1), op("test", "/a/b/0", 2)], "$this.a.b[0]"),
    ("a name that FHIRPath does not write", {"a b": 1}, [op("test", "/a b", 2)], None),
]  # fmt: skip


@pytest.mark.parametrize(("document", "operations", "place"), [r[1:] for r in UNFITTING], ids=[r[0] for r in UNFITTING])
def test_a_patch_that_does_not_fit_says_where(document: Any, operations: list[Any], place: str | None) -> None:
    with pytest.raises(Unprocessable) as caught:
        applied(document, *operations)
    assert [issue.expression for issue in caught.value.issues] == [place]


MALFORMED: list[tuple[str, Any, list[str]]] = [
    ("an object", {"op": "add"}, ["$this"]),
    ("a number", 1, ["$this"]),
    ("null", None, ["$this"]),
    ("an operation that is no object", ["add", 1, None], ["$this[0]", "$this[1]", "$this[2]"]),
    ("no op", [{"path": "/a", "value": 1}], ["$this[0].op"]),
    ("an op of another name", [op("spam", "/a", 1)], ["$this[0].op"]),
    ("an op in capitals", [op("Add", "/a", 1)], ["$this[0].op"]),
    ("an op that is no string", [op("add", "/a", 1) | {"op": ["add"]}], ["$this[0].op"]),
    ("no path", [{"op": "remove"}], ["$this[0].path"]),
    ("a path that is no string", [{"op": "remove", "path": 1}], ["$this[0].path"]),
    ("a path without a slash", [op("remove", "a/b")], ["$this[0].path"]),
    ("a path as a fragment", [op("remove", "#/a")], ["$this[0].path"]),
    ("a bare tilde", [op("remove", "/a~b")], ["$this[0].path"]),
    ("a tilde at the end", [op("remove", "/a~")], ["$this[0].path"]),
    ("a tilde and a two", [op("remove", "/~2")], ["$this[0].path"]),
    ("a path without end", [op("remove", "/a" * 65)], ["$this[0].path"]),
    ("add without a value", [op("add", "/a")], ["$this[0].value"]),
    ("replace without a value", [op("replace", "/a")], ["$this[0].value"]),
    ("test without a value", [op("test", "/a")], ["$this[0].value"]),
    ("move without from", [op("move", "/a")], ["$this[0].from"]),
    ("copy without from", [op("copy", "/a")], ["$this[0].from"]),
    ("from that is no pointer", [op("copy", "/a", **{"from": "b"})], ["$this[0].from"]),
    ("a move into itself", [op("move", "/a/b", **{"from": "/a"})], ["$this[0].path"]),
    ("a move of the whole into itself", [op("move", "/a", **{"from": ""})], ["$this[0].path"]),
    ("everything that is wrong", [op("add", "/a"), op("test", "/a", 1), op("remove", "b")], ["$this[0].value", "$this[2].path"]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "places"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_what_is_no_patch_is_refused_with_every_place(document: Any, places: list[str]) -> None:
    with pytest.raises(BadRequest) as caught:
        JsonPatch.read(document)
    assert [issue.expression for issue in caught.value.issues] == places


NUMBERS = [
    (b'{"a":1.50}', b'[{"op":"test","path":"/a","value":1.5}]', b'{"a":1.50}'),
    (b'{"a":100}', b'[{"op":"test","path":"/a","value":1e2}]', b'{"a":100}'),
    (b'{"a":-0}', b'[{"op":"test","path":"/a","value":0}]', b'{"a":-0}'),
    (b'{"a":1}', b'[{"op":"add","path":"/b","value":1.500}]', b'{"a":1,"b":1.500}'),
    (b'{"a":1E-22}', b'[{"op":"copy","from":"/a","path":"/b"}]', b'{"a":1E-22,"b":1E-22}'),
    (b'{"a":1E-22}', b'[{"op":"move","from":"/a","path":"/b"}]', b'{"b":1E-22}'),
    (b'{"a":12345678901234567890}', b'[{"op":"copy","from":"/a","path":"/b"}]',
     b'{"a":12345678901234567890,"b":12345678901234567890}'),
]  # fmt: skip


@pytest.mark.parametrize(("document", "patch", "expected"), NUMBERS)
def test_numbers_are_compared_by_value_and_keep_their_digits(document: bytes, patch: bytes, expected: bytes) -> None:
    assert dump(JsonPatch.read(parse(patch)).apply(parse(document))) == expected


def test_a_decimal_that_a_float_would_take_for_another_is_another() -> None:
    with pytest.raises(Unprocessable):
        JsonPatch.read(parse(b'[{"op":"test","path":"/a","value":0.1000000000000000055}]')).apply(parse(b'{"a":0.1}'))


def test_a_patch_can_be_applied_again_and_again() -> None:
    """A conflicting write makes it start anew, on another version: what the first attempt did leaves no trace in it."""
    patch = JsonPatch.read([op("add", "/a", {"b": []}), op("add", "/a/b/-", {"c": 1}), op("add", "/a/b/0/d", 2)])
    assert patch.apply({}) == patch.apply({}) == {"a": {"b": [{"c": 1, "d": 2}]}}


def test_a_small_patch_cannot_fill_the_memory() -> None:
    """Each copy doubles the document: a hundred would be more than there is."""
    patch = JsonPatch.read([op("copy", "/a/-", **{"from": "/a"})] * 100)
    with pytest.raises(TooLarge, match="5000000"):
        patch.apply({"a": ["x" * 1000]})


def test_a_patch_cannot_nest_without_end() -> None:
    deep = op("add", "/a", {"a": {}})
    patch = JsonPatch.read(
        [deep, *[op("move", "/b" + "/a" * 30, **{"from": "/a"}), op("copy", "/a", **{"from": "/b"})] * 400]
    )
    with pytest.raises((Unprocessable, TooLarge)):
        patch.apply({"b": parse(b'{"a":' * 40 + b"1" + b"}" * 40)})


def test_the_number_of_operations_is_bounded() -> None:
    one = op("test", "", {})
    assert JsonPatch.read([one] * OPERATIONS_LIMIT).apply({}) == {}
    with pytest.raises(BadRequest, match=str(OPERATIONS_LIMIT)):
        JsonPatch.read([one] * (OPERATIONS_LIMIT + 1))


def test_a_refusal_names_the_operation_and_quotes_no_more_than_the_request() -> None:
    """The stored value is not in the sentence: it goes to logs and to screens."""
    with pytest.raises(Unprocessable) as caught:
        JsonPatch.read([op("test", "/a", 1), op("test", "/b", "guess")]).apply({"a": 1, "b": "SECRET"}, root="Patient")
    assert str(caught.value.issues[0].expression) == "Patient.b"
    assert caught.value.issues[0].diagnostics == (
        'Operation 2 of the patch (test) cannot be done: "/b" is not equal to the value that the test names.'
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["", "a", "b", "~/"]), inner, max_size=3)
    ),
    max_leaves=8,
)
pointers = st.lists(st.sampled_from(["a", "b", "", "~0~1", "0", "1", "-"]), max_size=3).map(
    lambda tokens: "".join(f"/{token}" for token in tokens)
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": pointers},
    optional={"value": values, "from": pointers},
)


@given(values, st.lists(operations, max_size=5))
def test_every_patch_is_applied_or_refused(document: Any, sent: list[Any]) -> None:
    """And the patch itself is as it was."""
    before = copy.deepcopy(sent)
    with suppress(BadRequest, Unprocessable):
        JsonPatch.read(sent).apply(copy.deepcopy(document))
    assert sent == before


@given(values, values)
def test_equal_means_the_same_text_where_there_are_no_decimals(one: Any, other: Any) -> None:
    assert equal(one, other) is (_sorted(one) == _sorted(other))


def _sorted(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"{" + b",".join(dump(key) + b":" + _sorted(value[key]) for key in sorted(value)) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_sorted, value)) + b"]"
    return dump(value)


@given(values)
def test_a_document_replaced_by_its_copy_is_itself(document: Any) -> None:
    patch = JsonPatch.read([op("add", "/x", document), op("test", "/x", document), op("move", "", **{"from": "/x"})])
    assert equal(patch.apply({}), document)
