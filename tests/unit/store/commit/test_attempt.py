"""What an attempt sends: MongoDB takes 16 MiB in one command, however much a transaction holds."""

from __future__ import annotations

import pytest

from fhirserver.store.commit.attempt import COMMAND_BYTES, _portions

HALF = COMMAND_BYTES // 2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([HALF, HALF], [[HALF, HALF]]),
        ([HALF, HALF, 1], [[HALF, HALF], [1]]),
        ([1, COMMAND_BYTES, 1], [[1], [COMMAND_BYTES], [1]]),
        ([COMMAND_BYTES + 1, 1], [[COMMAND_BYTES + 1], [1]]),
    ],
)
def test_documents_go_in_runs_that_each_fit_one_command(sizes: list[int], expected: list[list[int]]) -> None:
    assert list(_portions(sizes, lambda size: size)) == expected
