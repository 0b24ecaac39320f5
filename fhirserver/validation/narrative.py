"""The xhtml of a Narrative: one well-formed `div` in the XHTML namespace, without a document type or entities of its own.

Which elements and attributes may stand in it are the invariants `txt-1` and `txt-2`.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from __future__ import annotations

from fhirserver.fhirpath.xhtml import xhtml_fault


def narrative_fault(text: str) -> str | None:
    """What is wrong with the text of a `div`, as the rest of a sentence; None if nothing is."""
    return xhtml_fault(text, is_strict=False)
