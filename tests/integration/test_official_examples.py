"""The main job on real input: HL7's official examples of every type go in through REST and come back the same.

What is refused is listed, with the reason, in docs/examples-refused.md: the list and the server must agree.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fhirserver.model.json import Number, parse
from tests.data.examples import example_texts
from tests.integration.serving import Server

REFUSED = Path(__file__).parents[2] / "docs" / "examples-refused.md"
JSON = {"Content-Type": "application/fhir+json"}


def exact(value: Any) -> Any:
    """A value in which numbers are their own digits and nothing else compares equal to them."""
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    if isinstance(value, list):
        return [exact(each) for each in value]
    if isinstance(value, Number):
        return ("number", value.text)
    return (type(value).__name__, value)


def without_server_meta(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource without what the server says itself: versionId and lastUpdated."""
    meta = {name: each for name, each in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    rest = {name: each for name, each in resource.items() if name != "meta"}
    return rest | ({"meta": meta} if meta else {})


def listed() -> set[str]:
    """The file names in the table of docs/examples-refused.md."""
    return set(re.findall(r"^\| `([^`]+)` \|", REFUSED.read_text(encoding="utf-8"), re.MULTILINE))


async def test_the_official_examples_come_back_as_they_went_in(server: Server) -> None:
    """What went in comes out; decimals keep their digits, nothing else changes."""
    refused: dict[str, str] = {}
    count = 0
    for name, text in example_texts():
        sent = parse(text)
        if sent["resourceType"] == "Parameters":  # has no address of its own
            continue
        count += 1
        path = f"/{sent['resourceType']}/{sent['id']}"
        put = await server("PUT", path, content=text, headers=JSON)
        if put.status_code not in (200, 201):
            assert put.status_code in (400, 422), (name, put.text)
            refused[name] = put.text
            continue
        got = await server("GET", path, headers={"Accept": "application/fhir+json"})
        assert got.status_code == 200, name
        assert exact(without_server_meta(parse(got.content))) == exact(without_server_meta(sent)), name
        assert exact(parse(put.content)) == exact(parse(got.content)), name
    assert count > 700
    assert {name: why for name, why in refused.items() if name not in listed()} == {}
    assert listed() - set(refused) == set(), "these are accepted now"
