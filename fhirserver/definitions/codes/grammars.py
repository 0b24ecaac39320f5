"""Code systems that are known by a grammar and not by a list: languages, media types, units and URIs.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

LANGUAGES = "urn:ietf:bcp:47"
MEDIA_TYPES = "urn:ietf:bcp:13"
UNITS = "http://unitsofmeasure.org"
URIS = "urn:ietf:rfc:3986"

# RFC 5646, section 2.1, with its irregular tags; "regular" grandfathered tags already fit the general form.
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"
    r"(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+"
    r"|en-gb-oed|i-(?:ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)|sgn-(?:be-fr|be-nl|ch-de)"
    r"|art-lojban|cel-gaulish|no-(?:bok|nyn)|zh-(?:guoyu|hakka|min|min-nan|xiang)",
    re.IGNORECASE | re.ASCII,
)

# RFC 6838, section 4.2 (names) and RFC 2045, section 5.1 (parameters); HL7's own examples write spaces and slashes in
# an unquoted value, so there anything printable stands.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}"
_ATTRIBUTE = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"
_VALUE = r'[^\s;"]+(?: [^\s;"]+)*|"(?:[^"\\\r\n]|\\.)*"'
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(?:[ \t]*;[ \t]*{_ATTRIBUTE}=(?:{_VALUE}))*")

# FHIR's own short names for its formats, which CapabilityStatement.format may hold in place of a media type.
_FORMATS = frozenset({"xml", "json", "ttl"})

# UCUM, section 2: a symbol is made of printable ASCII without the operators, or of anything within square brackets;
# outside the brackets it does not end in a digit, save for the powers of ten 10* and 10^. Annotations hold no space
# there, but HL7's own lists of units have some that do.
_SYMBOL = r"(?:10[*^]|(?:[0-9]*(?:\[[!-Z\\^-z|~]+\]|[!#-'*,:-Z\\^-z|~]))+)"
_ANNOTATION = r"(?:\{[ -z|~]*\})"
_COMPONENT = rf"(?:{_SYMBOL}(?:[+-]?[0-9]+)?{_ANNOTATION}?|{_ANNOTATION}|[0-9]+{_ANNOTATION}?)"
_TERM = re.compile(rf"/?{_COMPONENT}(?:[./]{_COMPONENT})*")
_INNERMOST = re.compile(r"\(([^()]*)\)(?:[+-]?[0-9]+)?")
_ANNOTATIONS = re.compile(_ANNOTATION)
_BRACKETS = re.compile(r"\[[!-Z\\^-z|~]+\]")


# RFC 3986, section 4.1: a URI, or a reference relative to one; what may stand in it.
_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def is_uri(code: str) -> bool:
    """Whether the code is a URI or a relative reference."""
    return len(code) <= 4096 and _URI.fullmatch(code) is not None


def is_language(code: str) -> bool:
    """Whether the code is a well-formed language tag (BCP 47)."""
    return len(code) <= 255 and _LANGUAGE.fullmatch(code) is not None


def is_media_type(code: str) -> bool:
    """Whether the code is a well-formed media type (BCP 13), or one of FHIR's names for its formats."""
    return code in _FORMATS or (len(code) <= 1024 and _MEDIA_TYPE.fullmatch(code) is not None)


def is_unit(code: str) -> bool:
    """Whether the code is a well-formed UCUM unit; whether its atoms exist is not asked."""
    if not code or len(code) > 255:
        return False
    # Annotations and brackets may hold parentheses of their own, which group nothing.
    text = _BRACKETS.sub("[x]", _ANNOTATIONS.sub("{}", code))
    while "(" in text:
        group = _INNERMOST.search(text)
        if group is None or _TERM.fullmatch(group[1]) is None:
            return False
        if text[group.start() - 1 : group.start()] not in ("", ".", "/", "("):
            return False
        text = text[: group.start()] + "1" + text[group.end() :]
        if text[group.start() + 1 : group.start() + 2] not in ("", ".", "/", ")", "{"):
            return False
    return _TERM.fullmatch(text) is not None


GRAMMARS: Mapping[str, Callable[[str], bool]] = {
    LANGUAGES: is_language,
    MEDIA_TYPES: is_media_type,
    UNITS: is_unit,
    URIS: is_uri,
}
TITLES: Mapping[str, str] = {LANGUAGES: "BCP 47", MEDIA_TYPES: "BCP 13", UNITS: "UCUM", URIS: "RFC 3986"}
"""How these code systems are called."""
