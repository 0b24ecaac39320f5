"""The grammar of FHIRPath.

https://hl7.org/fhirpath/N1/grammar.html
"""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.fhirpath import FhirPathError, compile_path, parse
from fhirserver.fhirpath.language.lexer import MAX_LENGTH
from fhirserver.fhirpath.language.parser import MAX_DEPTH
from fhirserver.fhirpath.language.syntax import Syntax


def shape(tree: Any) -> Any:
    """The tree as nested tuples, to compare with."""
    if isinstance(tree, tuple):
        return tuple(shape(item) for item in tree)
    if not isinstance(tree, Syntax):
        return tree
    parts = (shape(getattr(tree, field.name)) for field in fields(tree) if field.name != "position")
    return (type(tree).__name__, *parts)


def same_tree(left: str, right: str) -> bool:
    return parse(left) == parse(right)


@pytest.mark.parametrize(
    ("expression", "grouped"),
    [
        ("a.b.c", "((a.b).c)"),
        ("a.b[0].c", "((a.b)[0]).c"),
        ("-a.b", "-(a.b)"),
        ("-a * b", "(-a) * b"),
        ("a * b / c div d mod e", "(((a * b) / c) div d) mod e"),
        ("a + b * c - d & e", "((a + (b * c)) - d) & e"),
        ("a + b is Integer", "(a + b) is Integer"),
        ("a.b as Quantity | c", "((a.b) as Quantity) | c"),
        ("a | b > c | d", "(a | b) > (c | d)"),
        ("a > b = c <= d", "(a > b) = (c <= d)"),
        ("a = b != c ~ d !~ e", "(((a = b) != c) ~ d) !~ e"),
        ("a = b in c", "(a = b) in c"),
        ("a contains b and c in d", "(a contains b) and (c in d)"),
        ("a and b or c and d", "(a and b) or (c and d)"),
        ("a or b xor c", "(a or b) xor c"),
        ("a implies b or c", "a implies (b or c)"),
        ("a implies b implies c", "(a implies b) implies c"),
    ],
)
def test_operators_bind_as_the_table_of_precedence_says(expression: str, grouped: str) -> None:
    assert same_tree(expression, grouped)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'it\\'s'", ("Literal", "string", "it's")),
        ("'\\u0416\\n\\t\\r\\f\\\\\\/\\\"\\`'", ("Literal", "string", 'Ж\n\t\r\f\\/"`')),
        ("''", ("Literal", "string", "")),
        ("true", ("Literal", "boolean", True)),
        ("42", ("Literal", "integer", 42)),
        ("1.50", ("Literal", "decimal", Decimal("1.50"))),
        ("@2015", ("Literal", "date", "2015")),
        ("@2015-02-04", ("Literal", "date", "2015-02-04")),
        ("@2015T", ("Literal", "dateTime", "2015T")),
        ("@2015-02-04T14:34:28.123+09:00", ("Literal", "dateTime", "2015-02-04T14:34:28.123+09:00")),
        ("@T14:34", ("Literal", "time", "T14:34")),
        ("4 days", ("QuantityLiteral", Decimal(4), "day", True)),
        ("1 second", ("QuantityLiteral", Decimal(1), "second", True)),
        ("4.5 'mg'", ("QuantityLiteral", Decimal("4.5"), "mg", False)),
        ("{}", ("Empty",)),
        ("$this", ("Variable", "this")),
        ("%resource", ("External", "resource")),
        ("%'us-zip'", ("External", "us-zip")),
        ("%`vs-name`", ("External", "vs-name")),
        ("`div`", ("Member", None, "div")),
        ("a.`PID-1`", ("Member", ("Member", None, "a"), "PID-1")),
        ("contains", ("Member", None, "contains")),
        ("a.as(b)", ("Call", ("Member", None, "a"), "as", (("Member", None, "b"),))),
        ("a.is.in", ("Member", ("Member", ("Member", None, "a"), "is"), "in")),
        (
            "iif(a, 1, 2)",
            ("Call", None, "iif", (shape(parse("a")), ("Literal", "integer", 1), ("Literal", "integer", 2))),
        ),
        ("a is FHIR.Patient", ("TypeOperation", "is", ("Member", None, "a"), ("TypeName", "FHIR", "Patient"))),
        ("a | b | c", ("Union", (shape(parse("a")), shape(parse("b")), shape(parse("c"))))),
        (" a // comment\n /* another\n */ . b ", shape(parse("a.b"))),
        ("-1", ("Polarity", "-", ("Literal", "integer", 1))),
    ],
)
def test_what_is_written_is_what_is_read(expression: str, expected: Any) -> None:
    assert shape(parse(expression)) == expected


@pytest.mark.parametrize(
    ("expression", "position"),
    [
        ("", 0),
        ("a.", 2),
        ("a..b", 2),
        ("a b", 2),
        ("(a", 2),
        ("a)", 1),
        ("a[0", 3),
        ("a.where(", 8),
        ("a.where(b,)", 10),
        ("a = 'x", 4),
        ("a = 'x\\q'", 6),
        ("a /* b", 2),
        ("a # b", 2),
        ("a and", 5),
        ("and", 0),
        ("a.5", 2),
        ("a is 5", 5),
        ("%", 0),
        ("@x", 0),
        ("$that", 0),
        ("a.$this", 2),
        ("{a}", 1),
        ("a = b, c", 5),
        ("123456789012345678901234567890", 0),
        ("`a", 0),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_position(expression: str, position: int) -> None:
    with pytest.raises(FhirPathError) as caught:
        parse(expression)
    assert (caught.value.position, caught.value.expression) == (position, expression)


@pytest.mark.parametrize(
    "expression",
    [
        "(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1),
        "-" * (MAX_DEPTH + 1) + "1",
        "a" + ".a" * MAX_DEPTH,
        "a" + "[0]" * MAX_DEPTH,
        " and ".join(["a"] * (MAX_DEPTH + 1)),
        "a(" * (MAX_DEPTH + 1) + ")" * (MAX_DEPTH + 1),
        "a" * (MAX_LENGTH + 1),
    ],
    ids=["brackets", "signs", "members", "indexers", "operators", "calls", "length"],
)
def test_depth_and_length_are_bounded(expression: str) -> None:
    with pytest.raises(FhirPathError, match="at most"):
        parse(expression)


def test_a_union_may_have_any_number_of_parts() -> None:
    parts = [f"a{number}" for number in range(1000)]
    assert shape(parse("|".join(parts))) == ("Union", tuple(("Member", None, part) for part in parts))


def test_every_expression_of_r4_can_be_read() -> None:
    """Search parameters and invariants of every type."""
    definitions = load()
    expressions = {
        constraint.expression
        for structure in definitions.structures.values()
        for element in structure.elements
        for constraint in element.constraints
    }
    invariants = len(expressions)
    for resource_type in definitions.concrete_types:
        for parameter in definitions.search_parameters(resource_type).values():
            expressions |= {parameter.expression, *(component.expression for component in parameter.components)}
    for expression in expressions - {""}:
        parse(expression)
    assert invariants > 150
    assert len(expressions) > 1200


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_string_survives_being_written_as_a_literal(text: str) -> None:
    written = text.replace("\\", "\\\\").replace("'", "\\'")
    assert shape(parse(f"'{written}'")) == ("Literal", "string", text)


WORDS = st.sampled_from(
    [
        *(
            "Patient",
            "Observation",
            "value",
            "name",
            "given",
            "extension",
            "where",
            "resolve",
            "exists",
            "as",
            "is",
            "ofType",
        ),
        *(
            "and",
            "or",
            "implies",
            "div",
            "in",
            "contains",
            "true",
            "$this",
            "%resource",
            "'x'",
            "'",
            "1",
            "2.5",
            "@2015",
            "@",
        ),
        *(
            "(",
            ")",
            "[",
            "]",
            ".",
            ",",
            "|",
            "=",
            "!=",
            "~",
            "<",
            ">=",
            "+",
            "-",
            "{",
            "}",
            "`",
            "\\",
            "/*",
            "//",
            " ",
            "\n",
            "not()",
        ),
        *(
            "days",
            "4 days",
            "Quantity",
            "Reference",
            "string",
            "first()",
            "subject",
            "deceased",
            "where(",
            "exists()",
            "()",
            "[0]",
        ),
    ]
)


@given(
    st.one_of(
        st.text(max_size=80), st.lists(WORDS, max_size=25).map("".join), st.lists(WORDS, max_size=12).map(" ".join)
    )
)
def test_no_text_raises_anything_but_a_fhirpath_error(expression: str) -> None:
    try:
        path = compile_path(load(), expression, "Observation")
        path({"resourceType": "Observation", "subject": {"reference": "Patient/p"}, "performer": [{"display": "A"}]})
    except FhirPathError as error:
        position = error.position
    else:
        position = 0
    assert 0 <= position <= len(expression)
