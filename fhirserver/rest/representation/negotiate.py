"""Content negotiation: `Accept` and `_format` for what goes out, `Content-Type` for what comes in, `Prefer`.

https://hl7.org/fhir/R4/http.html#mime-type and https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from fhirserver.model.outcome import BadRequest, NotAcceptable, UnsupportedMediaType
from fhirserver.model.remembered import remembered

FHIR_JSON: Final = "application/fhir+json"
FHIR_XML: Final = "application/fhir+xml"
JSON_TYPES: Final = (FHIR_JSON, "application/json", "text/json", "application/json+fhir")
XML_TYPES: Final = (FHIR_XML, "application/xml", "text/xml", "application/xml+fhir")
"""The last of each is DSTU2's, which R4 encourages servers to go on taking."""
FHIR_VERSIONS: Final = ("4.0", "4.0.1")
DEFAULT: Final = b"application/fhir+json; charset=utf-8"

_SERVED: Final = {name: f"{name}; charset=utf-8".encode() for name in JSON_TYPES[1:] + XML_TYPES} | {FHIR_JSON: DEFAULT}
_FORMATS: Final = _SERVED | {
    "json": DEFAULT,
    "application/fhir json": DEFAULT,  # a + that nobody encoded
    "application/json fhir": _SERVED["application/json+fhir"],
    "application/xml fhir": _SERVED["application/xml+fhir"],
    "xml": _SERVED[FHIR_XML],
    "application/fhir xml": _SERVED[FHIR_XML],
}
_XML_SERVED: Final = frozenset(_SERVED[name] for name in XML_TYPES)
LONGEST: Final = 500
"""Characters of a header that is remembered: anybody may send 64 KiB, without a token too."""
_ACCEPT_BOUND = 50

Return = Literal["minimal", "representation", "OperationOutcome"]
_RETURNS: Final[dict[str, Return]] = {
    "minimal": "minimal",
    "representation": "representation",
    "operationoutcome": "OperationOutcome",
}


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One member of an `Accept` header."""

    type: str
    parameters: tuple[tuple[str, str], ...]
    quality: float

    def specificity(self, media_type: str) -> int:
        """How exactly this names the type: 3 itself, 2 its tree, 1 anything; 0 not at all."""
        if self.type == media_type:
            return 3
        if self.type.endswith("/*") and media_type.startswith(self.type[:-1]):
            return 2
        return 1 if self.type == "*/*" else 0


@dataclass(frozen=True, slots=True)
class Preferences:
    """The `Prefer` header: what a write answers with, and whether unknown search parameters are passed over."""

    returns: Return | None = None
    lenient: bool = False


@remembered(1_024, longest=LONGEST)
def media_ranges(accept: str) -> tuple[MediaRange, ...]:
    """The members of an `Accept` header, as written. Members that cannot be read are left out."""
    found = []
    for member in accept.split(",")[:_ACCEPT_BOUND]:
        type, parameters = media_type(member)
        quality = 1.0
        kept = []
        for name, value in parameters:
            if name == "q":
                quality = _quality(value)
            else:
                kept.append((name, value))
        if "/" in type:
            found.append(MediaRange(type, tuple(kept), quality))
    return tuple(found)


def media_type(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A media type and its parameters; names in lower case, values without quotes."""
    type, *rest = text.split(";")
    parameters = []
    for part in rest:
        name, found, value = part.partition("=")
        if found:
            parameters.append((name.strip().lower(), value.strip().strip('"')))
    return type.strip().lower(), tuple(parameters)


def quality_of(ranges: tuple[MediaRange, ...], media_type: str) -> tuple[float, int]:
    """The quality that the most specific member gives this type, and how specific that is. (0, 0): not acceptable."""
    best = (0, 0.0)
    for member in ranges:
        specificity = member.specificity(media_type)
        if specificity and _is_our_version(member):
            best = max(best, (specificity, member.quality))
    return best[1], best[0]


def negotiate(accept: str | None, format: str | None, *, sent_xml: bool = False) -> bytes:
    """The Content-Type to answer with. `_format` goes before `Accept`. Raises NotAcceptable.

    Where the caller leaves the choice, who sent XML gets it; otherwise the answer is JSON.
    """
    is_short = len(accept or "") + len(format or "") <= LONGEST
    return (_negotiate if is_short else _negotiate.__wrapped__)(accept, format, sent_xml)


@lru_cache(maxsize=1024)
def _negotiate(accept: str | None, format: str | None, sent_xml: bool) -> bytes:
    if format is not None:
        return _of_format(format)
    ours = XML_TYPES + JSON_TYPES if sent_xml else JSON_TYPES + XML_TYPES
    if accept is None or not accept.strip():
        return _SERVED[ours[0]]
    ranges = media_ranges(accept)
    ranked = [(*quality_of(ranges, name), -place, name) for place, name in enumerate(ours)]
    quality, _, _, name = max(ranked)
    if quality <= 0:
        raise NotAcceptable("Resources are served as application/fhir+json and application/fhir+xml, FHIR version 4.0.")
    return _SERVED[name]


def is_xml(content_type: bytes) -> bool:
    """Whether an answer of this Content-Type is FHIR's XML."""
    return content_type in _XML_SERVED


def sent_format(content_type: str | None) -> Literal["json", "xml"]:
    """The format of a body. Raises UnsupportedMediaType unless it is FHIR's JSON or XML, in UTF-8."""
    if content_type is None:
        raise UnsupportedMediaType("Content-Type is missing; send application/fhir+json or application/fhir+xml.")
    type, parameters = media_type(content_type)
    if type not in _SERVED:
        raise UnsupportedMediaType("Resources are accepted as application/fhir+json and application/fhir+xml.")
    for name, value in parameters:
        if name == "charset" and value.lower() not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType("FHIR's formats are always UTF-8; another charset was named.")
        if name == "fhirversion" and value not in FHIR_VERSIONS:
            raise UnsupportedMediaType("This server speaks FHIR version 4.0.")
    return "xml" if type in XML_TYPES else "json"


@remembered(256, longest=LONGEST)
def preferences(prefer: str) -> Preferences:
    """Read a `Prefer` header; what is unknown is passed over, as RFC 7240 wants it."""
    said: dict[str, str] = {}
    for member in prefer.replace(";", ",").split(","):
        name, _, value = member.partition("=")
        said.setdefault(name.strip().lower(), value.strip().strip('"').lower())  # of several the first counts
    return Preferences(_RETURNS.get(said.get("return", "")), said.get("handling") == "lenient")


def is_pretty(value: str | None) -> bool:
    """Read `_pretty`."""
    if value in (None, "false"):
        return False
    if value == "true":
        return True
    raise BadRequest("_pretty is true or false.")


def _of_format(format: str) -> bytes:
    type, parameters = media_type(format)
    version = dict(parameters).get("fhirversion", FHIR_VERSIONS[0])
    if type not in _FORMATS or version not in FHIR_VERSIONS:
        raise NotAcceptable("The _format asked for is not served; use json or xml.")
    return _FORMATS[type]


def _is_our_version(member: MediaRange) -> bool:
    return all(name != "fhirversion" or value in FHIR_VERSIONS for name, value in member.parameters)


def _quality(value: str) -> float:
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
