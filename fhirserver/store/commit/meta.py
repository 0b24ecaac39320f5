"""The meta of the version that an update replaces: what of it is carried forward is the writer's to say, and asked here.

https://hl7.org/fhir/R4/resource.html#tag-updates
"""

from __future__ import annotations

import msgspec

from fhirserver.model import json
from fhirserver.model.outcome import Conflict
from fhirserver.store.commit.write import Write
from fhirserver.store.connection.client import Document


class Behind(Conflict):
    """The version that would be replaced says more in its `meta` than the write carries forward."""

    text = "The resource's tags were changed meanwhile. Send the update again."

    def __init__(self, meta: Document) -> None:
        super().__init__()
        self.meta = meta


class _Head(msgspec.Struct):
    meta: msgspec.Raw


_meta = msgspec.json.Decoder(_Head).decode


def check_meta(write: Write, current: Document) -> None:
    """Raise Behind, unless the write has all that it shall have of this version's meta. What was deleted has none."""
    text = current.get("json")
    if write.carries is None or not text or (b'"tag":' not in text and b'"security":' not in text):
        return
    meta = json.parse(bytes(_meta(text).meta))
    if not write.carries(meta):
        raise Behind(meta)
