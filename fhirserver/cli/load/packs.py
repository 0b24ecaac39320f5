"""Single resources, many in one batch: one way to the server for a hundred of them, each still by itself.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhirserver.interactions.load import Candidate, Outcome
from fhirserver.interactions.load.tally import Fate
from fhirserver.model.outcome import FhirError

PACK: Final = 100
PACK_BYTES: Final = 2 * 1024 * 1024
"""Resources, and their bytes, of one batch."""


@dataclass(frozen=True, slots=True)
class Single:
    """A resource that is put by itself, with its text."""

    number: int
    candidate: Candidate
    body: bytes

    @property
    def request(self) -> dict[str, Any]:
        """The request of its entry in a batch."""
        resource = self.candidate.resource
        return put_request(resource["resourceType"], resource["id"]) | {"ifNoneMatch": "*"}

    @property
    def reading(self) -> dict[str, Any]:
        """The request that reads it."""
        return {"method": "GET", "url": self.request["url"]}

    def said(self, fate: Fate) -> Outcome:
        """What came of it."""
        return Outcome(self.number, self.candidate.entry, fate)

    def refused(self, error: FhirError) -> Outcome:
        """It was refused."""
        return Outcome(self.number, self.candidate.entry, "refused", error)


def batch(entries: Sequence[bytes]) -> bytes:
    """The batch of these entries."""
    return b'{"resourceType":"Bundle","type":"batch","entry":[%b]}' % b",".join(entries)


def packs(singles: Sequence[Single]) -> Iterator[list[Single]]:
    """The resources in portions that go together."""
    pack: list[Single] = []
    size = 0
    for each in singles:
        if pack and (len(pack) == PACK or size + len(each.body) > PACK_BYTES):
            yield pack
            pack, size = [], 0
        pack.append(each)
        size += len(each.body)
    if pack:
        yield pack


def put_request(resource_type: str, id: str) -> dict[str, Any]:
    """The request of an entry that puts."""
    return {"method": "PUT", "url": f"{resource_type}/{id}"}
