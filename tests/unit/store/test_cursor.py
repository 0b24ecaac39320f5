"""The sealed cursor: it cannot be read, changed, kept, or used by another or for another query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.outcome import BadRequest
from fhirserver.store.cursor import LIFETIME, Seal, new_key

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SEAL = Seal(bytes(32))

moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
)
scalars = st.none() | st.text() | st.integers(-(2**62), 2**62) | moments


@given(position=st.dictionaries(st.text(), scalars | st.lists(scalars) | st.dictionaries(st.text(), scalars)))
def test_what_is_sealed_is_what_is_opened(position: dict[str, Any]) -> None:
    assert SEAL.open_(SEAL.seal(position, audience="me", now=NOW), audience="me", now=NOW) == position


def test_a_cursor_is_fit_for_a_url_and_shows_nothing_of_its_position() -> None:
    token = SEAL.seal({"id": "secret"}, audience="me", now=NOW)
    assert all(character.isalnum() or character in "-_" for character in token)
    assert "secret" not in token
    assert token != SEAL.seal({"id": "secret"}, audience="me", now=NOW)


def test_it_lives_a_quarter_of_an_hour() -> None:
    token = SEAL.seal({"id": "a"}, audience="me", now=NOW)
    assert SEAL.open_(token, audience="me", now=NOW + LIFETIME - timedelta(seconds=1)) == {"id": "a"}
    with pytest.raises(BadRequest):
        SEAL.open_(token, audience="me", now=NOW + LIFETIME)


def test_it_is_for_its_audience_and_its_key() -> None:
    token = SEAL.seal({"id": "a"}, audience="me", now=NOW)
    for seal, audience in ((SEAL, "you"), (SEAL, ""), (Seal(new_key()), "me")):
        with pytest.raises(BadRequest):
            seal.open_(token, audience=audience, now=NOW)


@given(place=st.integers(0, 60), bit=st.integers(0, 63))
def test_every_changed_character_is_refused(place: int, bit: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = SEAL.seal({"id": "a" * 10}, audience="me", now=NOW)
    changed = token[:place] + alphabet[bit] + token[place + 1 :]
    if changed != token:
        with pytest.raises(BadRequest):
            SEAL.open_(changed, audience="me", now=NOW)


@given(token=st.text() | st.binary().map(lambda raw: raw.hex()))
def test_no_other_text_is_a_cursor_and_every_refusal_reads_the_same(token: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        SEAL.open_(token, audience="me", now=NOW)
    assert (
        str(refusal.value)
        == "The page link is not valid any more, or not for this caller and query. Start the search again."
    )
