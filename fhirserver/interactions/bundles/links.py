"""Links between the entries of a Bundle: found by `fullUrl`, and rewritten to where the resources really go.

Rewritten are references, elements of the types uri, url, oid and uuid, and `href` and `src` in narratives. Canonicals are not,
nor what names a thing rather than links to it: `system`, and the `url` of an extension or of the resource itself.

https://hl7.org/fhir/R4/http.html#trules and https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os.path import commonprefix
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.model.json import dump, parse
from fhirserver.model.reference import Reference
from fhirserver.model.resource import Resource

Target = str
"""`Type/id`."""

_RESTFUL_BASE = re.compile(r"(https?://\S+)/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_ATTRIBUTE = re.compile(r"""(\b(?:href|src)\s*=\s*)("[^"]*"|'[^']*')""")
# In a text of our own no white space stands between the parts, and no quote in a string goes without its backslash.
_ANY_REFERENCE = re.compile(rb'"reference":"((?:[^"\\]|\\.)*)"')
_URI = re.compile(rb'(?<!"reference":)"((?:urn:|https?:)[^"\\]*)"')
_LINK_TYPES: Final = frozenset(("uri", "url", "oid", "uuid"))
_NAMES: Final = frozenset(("system", "url"))


def link_key(url: str, base_url: str) -> str:
    """What a `fullUrl` or an absolute reference is found by: what lies on our own base by its relative form."""
    reference = Reference.parse(url, base_url)
    return reference.local or url


@dataclass(frozen=True)
class Links:
    """Where the entries of a Bundle go, by the key of their `fullUrl`; and the conditional references that are resolved."""

    definitions: Definitions
    base_url: str
    targets: Mapping[str, Target]
    resolved: Mapping[str, Target]
    _known: dict[tuple[str | bytes, str | None], str | None] = field(default_factory=dict, repr=False)
    """What was found out already: resources of one Bundle refer to the same things, and name the same systems."""

    def rewritten(self, resource: Resource, full_url: str | None, text: bytes | None = None) -> Resource:
        """The resource with its links rewritten; itself, where there are none. `full_url` is that of its own entry, `text` the
        resource's, if it is at hand."""
        if not self.targets and not self.resolved:
            return resource
        if text is None:
            text = dump(resource)
        if self._mark not in text and not (self.resolved and b"?" in text):
            return resource
        base = _base_of(full_url, self.base_url)
        if not self._has_others(text):
            linked: Resource = self._with_references(resource, base)
            return linked
        found = _Rewriting(self, resource["resourceType"], base).value(resource, ())
        return found if isinstance(found, dict) else resource

    @cached_property
    def _mark(self) -> bytes:
        """What every text with a link to one of these entries has in it: most resources of a Bundle have none."""
        if not all(key.startswith("urn:") for key in self.targets):
            return b""  # a reference may be written in several ways
        return commonprefix(list(self.targets)).encode()  # noqa: RUF071  # characters are what is meant

    def _has_others(self, text: bytes) -> bool:
        """Whether there may be links that are not references: in uris, or in narratives."""
        if b'"div":"' in text or b"\\" in text:
            return True
        if not self.targets:
            return False
        if self._mark and text.count(self._mark) == text.count(b'"reference":"' + self._mark):
            return False
        known = self._known
        for link in _URI.findall(text):
            if (link, "uri") not in known:
                url = link.decode()
                is_link = url in self.targets or link_key(url, self.base_url) in self.targets
                known[link, "uri"] = url if is_link else None
            if known[link, "uri"] is not None:
                return True
        return False

    def _with_references(self, value: Any, base: str | None) -> Any:
        """The same where there are none but references: the value itself, or a copy as far as it changes."""
        changed = value
        for key, each in value.items() if type(value) is dict else enumerate(value):
            kind = type(each)
            if kind is dict or kind is list:
                new = self._with_references(each, base)
                if new is each:
                    continue
            elif kind is str and key == "reference":
                if (each, base) not in self._known:
                    self._known[each, base] = self.reference(each, base)
                new = self._known[each, base]
                if new is None:
                    continue
            else:
                continue
            if changed is value:
                changed = value.copy()
            changed[key] = new
        return changed

    def reference(self, text: str, base: str | None) -> str | None:
        """Where this reference leads; None where it stays as it is."""
        if text.startswith("#"):
            return None
        if (target := self.resolved.get(text)) is not None:
            return target
        if (target := self.targets.get(text)) is not None and base is None:
            return target
        found = Reference.parse(text, self.base_url)
        key = found.local
        if key is None:
            url = found.url or ""
            key = url if found.version is None else url.removesuffix(f"/_history/{found.version}")
        elif base is not None and not text.startswith(("http:", "https:")):
            key = f"{base}/{key}"
        target = self.targets.get(key)
        if target is None or target == found.local:
            return None  # what keeps its place keeps its version as well
        return target if found.fragment is None else f"{target}#{found.fragment}"

    def place_of_link(self, resource: Resource, full_url: str | None, text: bytes) -> str | None:
        """Where the first reference stands that leads to another entry, below the resource; None where none does."""
        if self._mark not in text:
            return None
        base = _base_of(full_url, self.base_url)
        own = None if full_url is None else self.targets.get(link_key(full_url, self.base_url))
        links = {each for each in _references(text) if self.reference(each, base) not in (None, own)}
        return _place_of(resource, links) if links else None


class _Rewriting:
    """One resource on its way."""

    def __init__(self, links: Links, resource_type: str, base: str | None) -> None:
        self._links = links
        self._resource_type = resource_type
        self._base = base

    def value(self, value: Any, path: tuple[str, ...]) -> Any:
        """The value rewritten, or None where nothing in it changes."""
        if type(value) is dict:
            return self._object(value, path)
        if type(value) is list:
            changed = None
            for index, item in enumerate(value):
                new = self._text(item, path) if type(item) is str else self.value(item, path)
                if new is not None:
                    changed = changed if changed is not None else list(value)
                    changed[index] = new
            return changed
        return None

    def _object(self, value: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
        changed: dict[str, Any] | None = None
        if path and isinstance(inner := value.get("resourceType"), str):
            new = _Rewriting(self._links, inner, self._base)._members(value, ())
        else:
            new = self._members(value, path)
        for key, each in new:
            changed = changed if changed is not None else dict(value)
            changed[key] = each
        return changed

    def _members(self, value: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for key, each in value.items():
            kind = type(each)
            if kind is str:
                if key == "reference":
                    new = self._links.reference(each, self._base)
                elif key == "div" and path and path[-1] == "text":
                    new = self._narrative(each)
                else:
                    new = self._text(each, (*path, key))
            elif kind is dict or kind is list:
                new = self.value(each, (*path, key))
            else:
                continue
            if new is not None:
                yield key, new

    def _text(self, text: str, path: tuple[str, ...]) -> str | None:
        links = self._links
        if ":" not in text:
            return None
        target = links.targets.get(text)
        if target is None and text.startswith(links.base_url):
            target = links.targets.get(link_key(text, links.base_url))
        if target is None or (path[-1] in _NAMES and (path[-1] == "system" or self._is_name(path))):
            return None
        return target if _type_at(links.definitions, self._resource_type, path) in _LINK_TYPES else None

    def _is_name(self, path: tuple[str, ...]) -> bool:
        return len(path) == 1 or path[-2] in ("extension", "modifierExtension")

    def _narrative(self, text: str) -> str | None:
        def replaced(match: re.Match[str]) -> str:
            quote, link = match[2][0], html.unescape(match[2][1:-1])
            target = self._links.reference(link, self._base)
            return match[0] if target is None else f"{match[1]}{quote}{target}{quote}"

        new = _ATTRIBUTE.sub(replaced, text)
        return new if new != text else None


def conditional_references(text: bytes) -> set[str]:
    """The references in the text of a resource that hold a query."""
    return _references(text, b"?") if b"?" in text else set()


def _references(text: bytes, part: bytes = b"") -> set[str]:
    """The references in the text of a resource that hold this part."""
    found = {each[1] for each in _ANY_REFERENCE.finditer(text) if part in each[1]}
    return {parse(b'"%b"' % each) for each in found}


def _place_of(value: Any, references: set[str]) -> str | None:
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        step = f".{key}" if isinstance(key, str) else f"[{key}]"
        if key == "reference" and isinstance(each, str) and each in references:
            return step
        if isinstance(each, (dict, list)) and (place := _place_of(each, references)) is not None:
            return step + place
    return None


def _base_of(full_url: str | None, base_url: str) -> str | None:
    """The base that relative references of this entry are relative to, if it is not our own."""
    found = _RESTFUL_BASE.fullmatch(full_url or "")
    if found is None or Reference.parse(full_url or "", base_url).local is not None:
        return None
    return found[1]


def _type_at(definitions: Definitions, resource_type: str, path: tuple[str, ...]) -> str | None:
    """The type of the element that these JSON names lead to."""
    place, code = resource_type, None
    for name in path:
        if code is not None and not definitions.children(place):
            place = code
        found = _named(definitions, place, name)
        if found is None:
            return None
        place, code = found
    return code


def _named(definitions: Definitions, place: str, name: str) -> tuple[str, str] | None:
    """The path, and the type, of the element with this JSON name right below a place."""
    for element in definitions.children(place):
        for json_name, type in element.json_names():
            if json_name == name:
                return element.path, type.code if type is not None else "BackboneElement"
    return None
