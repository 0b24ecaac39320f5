"""What asks about other documents is found and replaced wherever it stands."""

from __future__ import annotations

from fhirserver.search.expression import (
    All,
    And,
    Chain,
    Expression,
    Has,
    In,
    Member,
    Not,
    Nothing,
    Or,
    Pending,
    Relation,
    Some,
)
from fhirserver.search.pending import asked, members, pending, replace_members, replaced

CODE = In("index.code", frozenset({"a"}))
MEMBER = Member("index.code", Relation.IN, "http://example.org/vs")
CHAIN = Chain("index.subject", "Patient", MEMBER)
HAS = Has("Observation", "index.patient", And((CODE, MEMBER)))


def test_a_plain_expression_has_nothing_pending() -> None:
    plain = And((CODE, Not(Or((CODE, All())))))
    assert not pending(plain)
    assert members(plain) == set()
    assert replace_members(CODE, {}) == CODE


def test_members_are_found_inside_everything() -> None:
    for around in (MEMBER, CHAIN, HAS, Not(CHAIN), Or((CODE, HAS)), Some("index.pair", MEMBER), Has("X", "p", CHAIN)):
        assert pending(around)
        assert members(around) == {MEMBER}
        assert members(replace_members(around, {MEMBER: CODE})) == set()


def test_the_inner_node_comes_first() -> None:
    outer = Chain("index.patient", "Patient", Has("Observation", "index.patient", CODE))
    assert list(asked(outer)) == [outer.term, outer]


def test_an_answer_of_nothing_folds_its_way_up() -> None:
    nothing = {MEMBER: Nothing()}
    assert replace_members(CHAIN, nothing) == Nothing()
    assert replace_members(Not(CHAIN), nothing) == All()
    assert replace_members(And((CODE, HAS)), nothing) == Nothing()
    assert replace_members(Or((CODE, HAS)), nothing) == CODE
    assert replace_members(Some("index.pair", MEMBER), nothing) == Nothing()


def test_a_node_is_handed_over_with_its_term_replaced() -> None:
    seen: list[Pending] = []

    def answer(node: Pending) -> Expression:
        seen.append(node)
        return CODE if isinstance(node, Member) else node

    assert replaced(CHAIN, answer) == Chain("index.subject", "Patient", CODE)
    assert seen == [MEMBER, Chain("index.subject", "Patient", CODE)]
