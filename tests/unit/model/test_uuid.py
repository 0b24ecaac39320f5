"""https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.uuid import RANDOM_BYTES, version_7

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(MOMENTS, RANDOM)
def test_it_is_a_uuid_of_version_7_that_says_its_moment(moment: datetime, random: bytes) -> None:
    made = uuid.UUID(text := version_7(moment, random))
    assert (str(made), made.version, made.variant) == (text, 7, uuid.RFC_4122)
    assert made.int >> 80 == int(moment.timestamp() * 1000)


@given(MOMENTS, RANDOM, RANDOM)
def test_a_later_one_sorts_behind(moment: datetime, one: bytes, other: bytes) -> None:
    assert version_7(moment, one) < version_7(moment + timedelta(milliseconds=2), other)


def test_the_example_of_the_rfc() -> None:
    """Its appendix A.6: `rand_a` is CC3, `rand_b` is 18C4DC0C0C07398F."""
    random = (0xCC3 << 68 | 0x18C4DC0C0C07398F).to_bytes(RANDOM_BYTES)
    moment = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    assert version_7(moment, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
