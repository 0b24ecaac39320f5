"""The xhtml of a Narrative: one well-formed `div` of the elements and attributes that R4 allows, and no active content.

No document type is accepted, so there are no entities to expand, inner or outer.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from __future__ import annotations

import re
from xml.parsers import expat

NAMESPACE = "http://www.w3.org/1999/xhtml"
_ROOT = f"{NAMESPACE} div"

# HTML 4.0, chapters 7 to 11 and 15 without forms, scripts and frames, and a and img; section by section.
_SECTIONS = (
    "h1 h2 h3 h4 h5 h6 div p br hr pre blockquote address ins del em strong dfn code samp kbd var cite abbr acronym q sub",
    "sup span bdo b i big small tt u strike s font center a img ul ol li dl dt dd table caption thead tfoot tbody tr th td",
    "col colgroup map area",
)
ELEMENTS = frozenset(name for section in _SECTIONS for name in section.split())
_SHARED = frozenset({"class", "dir", "id", "lang", "style", "title"})
_OWN = {
    "a": "accesskey charset coords href hreflang name rel rev shape tabindex type target",
    "img": "align alt border height hspace ismap longdesc name src usemap vspace width",
    "table": "align bgcolor border cellpadding cellspacing frame rules summary width",
    "td": "abbr align axis bgcolor char charoff colspan headers height nowrap rowspan scope valign width",
    "tr": "align bgcolor char charoff valign",
    "col": "align char charoff span valign width",
    "thead": "align char charoff valign",
    "ol": "compact start type",
    "ul": "compact type",
    "li": "type value",
    "dl": "compact",
    "br": "clear",
    "hr": "align noshade size width",
    "pre": "width",
    "div": "align",
    "font": "color face size",
    "q": "cite",
    "ins": "cite datetime",
    "map": "name",
    "area": "alt coords href nohref shape",
}
_LIKE = {
    "th": "td", "colgroup": "col", "tbody": "thead", "tfoot": "thead", "blockquote": "q", "del": "ins", "p": "div",
    "caption": "div", **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "div"),
}  # fmt: skip
ATTRIBUTES = {name: _SHARED | set(_OWN.get(_LIKE.get(name, name), "").split()) for name in ELEMENTS}
_XML = "http://www.w3.org/XML/1998/namespace "
_SCRIPT = re.compile(
    r"[\x00-\x20]*(?:javascript|vbscript)[\x00-\x20]*:|[\x00-\x20]*data[\x00-\x20]*:(?![\x00-\x20]*image/)",
    re.IGNORECASE,
)

# Most narratives are made of these alone: tags with attributes that any element may have, and those of tables. What is
# not written so is looked at element by element.
_VALUE = r'\s*=\s*"[^"<>]*"'
_COMMON = rf"(?:\s+(?:class|dir|id|lang|style|title){_VALUE})*+"
_PLAIN = re.compile(
    rf'<div\s+xmlns="{NAMESPACE}"{_COMMON}\s*>'
    rf"(?:[^<]++|</?(?:{'|'.join(sorted(ELEMENTS, key=len, reverse=True))}){_COMMON}\s*/?>"
    rf"|<t[dh](?:\s+(?:class|id|style|align|colspan|rowspan|valign|width){_VALUE})*+\s*>"
    rf"|<table(?:\s+(?:class|id|style|border|cellpadding|cellspacing|width){_VALUE})*+\s*>)*+"
)
_TEXT = re.compile(r">[^<]*[^\s<]")


class _Refused(Exception):
    """Raised inside the parser; the argument is the sentence."""


def xhtml_fault(text: str, *, is_strict: bool = True) -> str | None:
    """What is wrong with the text of a `div`, as the rest of a sentence; None if nothing is.

    Without `is_strict`, only whether it is one well-formed `div`.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    is_strict = is_strict and _PLAIN.fullmatch(text) is None
    roots: list[str] = []

    def root(name: str, attributes: dict[str, str]) -> None:
        roots.append(name)
        parser.StartElementHandler = element if is_strict else None
        if is_strict:
            element(name, attributes)

    def element(name: str, attributes: dict[str, str]) -> None:
        _look_at(name, attributes)

    def refuse(sentence: str) -> None:
        raise _Refused(sentence)

    parser.StartElementHandler = root
    parser.XmlDeclHandler = lambda *_: refuse("must not have an XML declaration.")
    parser.StartDoctypeDeclHandler = lambda *_: refuse("must not have a document type.")
    parser.ProcessingInstructionHandler = lambda *_: refuse("must not have processing instructions.")
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        return (
            f"must be well-formed XHTML: {expat.ErrorString(error.code)} at line {error.lineno}, "
            f"column {error.offset + 1}."
        )
    except ValueError:
        return "must be well-formed XHTML: it has half of a surrogate pair."
    except _Refused as refused:
        return str(refused)
    if roots != [_ROOT]:
        return f'must be one <div xmlns="{NAMESPACE}"> element.'
    return None


def _look_at(name: str, attributes: dict[str, str]) -> None:
    """Refuse what R4 does not allow."""
    namespace, _, tag = name.rpartition(" ")
    if namespace != NAMESPACE or tag not in ATTRIBUTES:
        raise _Refused(f"must not have the element <{tag[:32]}>.")
    for attribute, value in attributes.items():
        if attribute.startswith(_XML):
            continue
        if attribute not in ATTRIBUTES[tag]:
            raise _Refused(f'must not have the attribute "{attribute.rpartition(" ")[2][:32]}" on <{tag}>.')
        if attribute in ("href", "src", "longdesc", "cite", "usemap") and _SCRIPT.match(value):
            raise _Refused(f'must not have a script in the attribute "{attribute}" of <{tag}>.')


def has_content(text: str) -> bool:
    """Whether something is there to see: text that is not white space, or an image."""
    if "<!" not in text and _TEXT.search(text) is not None:
        return True
    parser = expat.ParserCreate()
    seen: list[bool] = []

    def element(name: str, attributes: dict[str, str]) -> None:
        if name == "img":
            seen.append(True)

    def characters(data: str) -> None:
        if data.strip():
            seen.append(True)

    parser.StartElementHandler = element
    parser.CharacterDataHandler = characters
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError):
        return True
    return bool(seen)
