"""The pages: what they link to is there, and every decision is in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for name in ("docs", "benchmarks", "capability", "profiles") for page in (ROOT / name).rglob("*.md")),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_decision_is_in_the_index_once_and_in_order() -> None:
    rows = re.findall(r"^\| \[(\d{4})\]\((.+?)\)", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    assert [path.name for path in sorted(DECISIONS.glob("[0-9]*.md"))] == [name for _, name in rows]
    assert [name for number, name in rows if not name.startswith(number)] == []


def test_a_decision_opens_with_its_number() -> None:
    first = {path.name: path.read_text().partition("\n")[0] for path in DECISIONS.glob("[0-9]*.md")}
    assert {name: line for name, line in first.items() if not re.match(rf"# {name[:4]}: \S", line)} == {}
