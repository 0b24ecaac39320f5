"""What `doctor` says of a database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fhirserver.cli.doctor import judged
from fhirserver.store.layout.examine import Examined

WELL = Examined((8, 0, 4), "rs0", True, 1, 1, 16, ())


def test_a_good_database_has_no_problem() -> None:
    assert [finding for finding in judged(WELL) if not finding.well] == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": (5, 0, 9)}, "MongoDB 5.0.9: 6.0 or newer is needed"),
        ({"replica_set": None}, "no replica set"),
        ({"primary": False}, "replica set rs0: it has no primary"),
        ({"layout": 2}, "made by a newer program"),
        ({"layout": 0}, "run `fhirserver reindex` for layout 1"),
        ({"missing_indexes": ("Patient.name",)}, "Patient.name missing"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], sentence: str) -> None:
    (problem,) = [finding for finding in judged(replace(WELL, **change)) if not finding.well]
    assert sentence in problem.text


def test_a_new_database_has_no_layout_yet() -> None:
    assert all(finding.well for finding in judged(replace(WELL, layout=None)))
