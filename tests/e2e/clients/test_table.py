"""The table in `docs/clients.md` is what the clients' tests do, and no interaction hangs on one client alone."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.clients import test_fhirclient, test_fhirpy
from tests.e2e.clients.table import NAMES
from tests.e2e.clients.test_javascript import names

PAGE = Path(__file__).parents[3] / "docs" / "clients.md"
DOES = {
    "fhirpy": set(test_fhirpy.DOES),
    "fhirclient": set(test_fhirclient.DOES),
    "fhir-kit-client": set(names("fhir-kit-client")),
    "@medplum/core": set(names("medplum")),
}


def test_the_page_says_what_is_tested() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    clients = [cell.rpartition(" ")[0] for cell in head[1:]]
    assert clients == list(DOES)
    assert tuple(row[0] for row in body) == NAMES
    for place, client in enumerate(clients, 1):
        assert {row[0] for row in body if row[place].startswith("yes")} == DOES[client], client


def test_every_interaction_is_done_by_two_clients() -> None:
    counts = {name: sum(name in does for does in DOES.values()) for name in NAMES}
    assert {name for name, count in counts.items() if count < 2} == set()
