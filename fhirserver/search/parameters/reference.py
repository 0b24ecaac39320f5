"""Reference parameters: links to resources of this server, to addresses elsewhere, to canonical URLs.

Stored are `r`, strings: `Type/id` for what is on this server however it was written, the address of what is elsewhere, and of a
canonical the URL with and without its version (and `Type/id`, if it lies on this server); and `i`, the tokens of logical references' identifiers. The version in a
reference (`/_history/2`) is left out on both sides: a search finds references to any version.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

import re

from fhirserver.model.reference import Reference
from fhirserver.search.expression import Expression, In
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Term
from fhirserver.search.parameters.token import pair, tokens

MODIFIERS = frozenset({"missing", "identifier", "[type]"})

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# What nearly every reference looks like, and stays as it is. An id of dots alone is left to the careful reader.
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-][A-Za-z0-9\-.]{0,63}")


def condition(term: Term) -> Expression:
    """What the query asks; a modifier other than `identifier` is the type that the reference must point to."""
    if term.modifier == "identifier":
        return tokens(term, term.path + ".i")
    found: set[str] = set()
    for text in term.texts():
        found.update(_strings(term, text))
    return In(term.path + ".r", frozenset(found))


def _strings(term: Term, text: str) -> list[str]:
    if _ID.fullmatch(text):
        types = (term.modifier,) if term.modifier else term.targets or term.circumstances.resource_types
        return [f"{type}/{text}" for type in types]
    reference = Reference.parse(text, term.circumstances.base_url)
    if reference.is_contained:
        raise term.refuse("a contained resource cannot be searched for.")
    if term.modifier and reference.type != term.modifier:
        raise term.refuse(f"the modifier says {term.modifier}, the value does not.")
    local = reference.local
    if local is None:
        return [_address(reference)]
    if reference.type not in term.circumstances.resource_types:
        raise term.refuse("no such resource type.")
    return [local]


def _address(reference: Reference) -> str:
    url = reference.url or ""
    return url if reference.version is None else url.removesuffix(f"/_history/{reference.version}")


def indexed(nodes: list[Node], circumstances: Circumstances) -> Indexed | None:
    """What is stored for these values; a reference into the resource itself is not."""
    references: dict[str, None] = {}
    identifiers: dict[str, None] = {}
    for kind, value in nodes:
        if kind == "Reference":
            text = value.get("reference")
            if text:
                _reference(text, circumstances.base_url, references)
            identifier = value.get("identifier")
            if identifier is not None and identifier.get("value"):
                both = pair(identifier.get("system"), identifier["value"], circumstances.case_sensitive_systems)
                identifiers.update(dict.fromkeys(both))
        elif kind == "canonical":
            references.update(dict.fromkeys(canonical(value)))
            local = Reference.parse(value.partition("|")[0], circumstances.base_url).local
            if local is not None:
                references[local] = None
        elif isinstance(value, str) and value:
            _reference(value, circumstances.base_url, references)
    if not references:
        return ({"i": list(identifiers)}, None, None) if identifiers else None
    texts = list(references)
    stored = {"r": texts, "i": list(identifiers)} if identifiers else {"r": texts}
    return (stored, texts[0], texts[0]) if len(texts) == 1 else (stored, min(texts), max(texts))


def _reference(text: str, base_url: str, references: dict[str, None]) -> None:
    if _RELATIVE.fullmatch(text):
        references[text] = None
        return
    reference = Reference.parse(text, base_url)
    if not reference.is_contained:
        references[reference.local or _address(reference)] = None


def canonical(value: str) -> list[str]:
    """The strings of a canonical: the URL, and with its version if it has one."""
    url = value.partition("#")[0]
    bare, bar, version = url.partition("|")
    return [bare, url] if bar and version else [bare]
