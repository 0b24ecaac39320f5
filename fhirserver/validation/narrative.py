"""The xhtml of a Narrative: one well-formed `div` in the XHTML namespace, without a document type or entities of its own.

Which elements and attributes may stand in it are the invariants `txt-1` and `txt-2`.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from __future__ import annotations

from xml.parsers import expat

_ROOT = "http://www.w3.org/1999/xhtml div"


class _Refused(Exception):
    """Raised inside the parser; the argument is the sentence."""


def narrative_fault(text: str) -> str | None:
    """What is wrong with the text of a `div`, as the rest of a sentence; None if nothing is."""
    # No document type is accepted, so there are no entities to expand, inner or outer.
    parser = expat.ParserCreate(namespace_separator=" ")
    roots: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        roots.append(name)
        parser.StartElementHandler = None

    def doctype(*_: object) -> None:
        raise _Refused("must not have a document type.")

    def instruction(*_: object) -> None:
        raise _Refused("must not have processing instructions.")

    def declaration(*_: object) -> None:
        raise _Refused("must not have an XML declaration.")

    parser.StartElementHandler = start
    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = doctype
    parser.ProcessingInstructionHandler = instruction
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        return (
            f"must be well-formed XHTML: {expat.ErrorString(error.code)} at line {error.lineno}, "
            f"column {error.offset + 1}."
        )
    except _Refused as refused:
        return str(refused)
    if roots != [_ROOT]:
        return 'must be one <div xmlns="http://www.w3.org/1999/xhtml"> element.'
    return None
