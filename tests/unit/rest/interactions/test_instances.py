"""If-Unmodified-Since on a write: the version that it was decided by is the one that may be replaced, and no other.

https://www.rfc-editor.org/rfc/rfc9110#section-13.1.4
"""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from fhirserver.model.outcome import Gone, NotFound, PreconditionFailed
from fhirserver.model.resource import Version
from fhirserver.rest.interactions import instances

CHANGED = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def asked(**headers: str) -> Any:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return SimpleNamespace(headers=named, context=None, address=SimpleNamespace(resource_type="Patient", id="a"))


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("Fri, 02 Jan 2026 03:04:05 GMT", ("3",)),
        ("Fri, 02 Jan 2026 03:04:06 GMT", ("3",)),
        ("Fri, 02 Jan 2026 03:04:04 GMT", PreconditionFailed),
        ("yesterday", None),
    ],
)
async def test_a_date_stands_for_the_version_that_is_current(
    monkeypatch: pytest.MonkeyPatch, since: str, expected: Any
) -> None:
    """What another writes between the look at the date and the write is not lost."""

    async def read(*_: Any) -> Version:
        return Version("Patient", "a", 3, CHANGED, b"{}")

    monkeypatch.setattr(instances, "read_interaction", read)
    if expected is PreconditionFailed:
        with pytest.raises(PreconditionFailed):
            await instances.to_match(asked(if_unmodified_since=since))
        return
    assert await instances.to_match(asked(if_unmodified_since=since)) == expected
    assert await instances.to_match(asked(if_unmodified_since=since, if_match='W/"1"')) == ("1",)


@pytest.mark.parametrize("nothing", [NotFound, Gone])
async def test_what_is_not_there_was_not_changed(monkeypatch: pytest.MonkeyPatch, nothing: type[Exception]) -> None:
    async def read(*_: Any) -> Version:
        raise nothing

    monkeypatch.setattr(instances, "read_interaction", read)
    assert await instances.to_match(asked(if_unmodified_since="Fri, 02 Jan 2026 03:04:04 GMT")) is None
