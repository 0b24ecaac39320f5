"""Identifier and dictionary systems that go by several names, and identifiers and telephone numbers that are written in several ways.

Senders name one Russian system by its URI of the RuCore guide, by its OID, or by an older address; people write numbers with
hyphens and spaces. Searches compare the first name and the bare number, whichever was sent.

https://hl7.org/fhir/R4/identifier-registry.html and https://fhir.ru/ig/core
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SNILS = "https://fhir.ru/ig/core/systems/snils"
ENP = "https://fhir.ru/ig/core/systems/oms"
DOCUMENT = "https://fhir.ru/ig/core/systems/identity-document"
INN = "https://fhir.ru/ig/core/systems/inn"
OGRN = "https://fhir.ru/ig/core/systems/ogrn"
_ORGANIZATIONS = "https://fhir.ru/ig/core/CodeSystem/core-cs-nsi-register-of-medical-organizations"
_DOCUMENTS = "urn:oid:1.2.643.2.69.1.1.1.6"

_NAMES: Mapping[str, tuple[str, ...]] = {
    SNILS: (
        "urn:oid:1.2.643.100.3", f"{_DOCUMENTS}.223", "urn:ru:id:snils", "http://fhir.ru/core/systems/snils",
        "https://fhir.ru/core/systems/snils", "http://fhir.ru/ig/core/systems/snils", "https://fhir.ru/ig/semd/systems/snils",
        "urn:identity:snils:Patient",
    ),
    ENP: (
        "https://fhir.ru/ig/core/systems/OMS", "http://fhir.ru/ig/core/systems/oms", "http://fhir.ru/ig/core/systems/OMS",
        f"{_DOCUMENTS}.226", f"{_DOCUMENTS}.227", f"{_DOCUMENTS}.228", "urn:identity:enp:Patient",
    ),
    DOCUMENT: (
        "https://fhir.ru/ig/core/systems/passport", "http://fhir.ru/ig/core/systems/identity-document",
        "https://fhir.ru/ig/core/systems/birth-certificate", f"{_DOCUMENTS}.14", f"{_DOCUMENTS}.249",
    ),
    INN: ("urn:oid:1.2.643.3.131.1.1", "https://www.nalog.gov.ru/inn", "http://fhir.ru/ig/core/systems/inn"),
    OGRN: ("urn:oid:1.2.643.100.1", "http://fhir.ru/ig/core/systems/ogrn"),
    _ORGANIZATIONS: ("urn:oid:1.2.643.5.1.13.13.11.1461",),
    "urn:oid:1.2.643.5.1.13.13.99.2.183": ("urn:oid:1.2.643.5.1.13.2.1.1.635",),
}  # fmt: skip

ALIASES: Mapping[str, str] = {alias: name for name, names in _NAMES.items() for alias in (name, *names)}
"""The first name of a system, by each of its names."""

_MARKS = r"[\s\-\u2010-\u2015.]*"


def _grouped(*digits: int) -> re.Pattern[str]:
    return re.compile(_MARKS.join(f"([0-9]{{{count}}})" for count in digits))


_NUMBERS: Mapping[str, tuple[re.Pattern[str], str]] = {
    SNILS: (_grouped(3, 3, 3, 2), ""),
    ENP: (_grouped(4, 4, 4, 4), ""),
    DOCUMENT: (re.compile(r"([0-9]{2}) ?([0-9]{2})(?:[\s:№N]*)([0-9]{6})"), ":"),
    INN: (re.compile(r"([0-9]{4}) ?([0-9]{6})(?: ?([0-9]{2}))?"), ""),
    OGRN: (_grouped(1, 2, 2, 2, 5, 1), ""),
}
_DIALLED = re.compile(r"(?:tel:)?(\+?)[\s(]*([0-9](?:[\s().\-/\u2010-\u2015]*[0-9]){4,19})[\s)]*")
_RUSSIA = 11
"""Digits of a Russian number, whose first is 8 within the country and 7 from abroad."""
LONGEST = 40
"""A longer text is no such number."""


def named(system: str, value: str) -> tuple[str, str]:
    """The first name of the system, and the value as it is written there."""
    name = ALIASES.get(system, system)
    return name, _bare(name, value) or value if name in _NUMBERS else value


def spellings(value: str) -> set[str]:
    """What the value may be in the systems whose numbers are written in several ways."""
    if len(value) > LONGEST or value.isalpha():
        return set()
    return {bare for name in _NUMBERS if (bare := _bare(name, value)) is not None}


def dialled(text: str) -> tuple[str, ...]:
    """A telephone number by its digits alone; none for any other text. The first is how it is kept, all are what it may be kept as:
    without a plus in front nobody can tell an 8 for "within Russia" from the code of a country."""
    match = _DIALLED.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if match is None:
        return ()
    digits = "".join(each for each in match[2] if each.isdecimal())
    if not match[1] and len(digits) == _RUSSIA and digits.startswith("8"):
        return f"7{digits[1:]}", digits
    return (digits,)


def _bare(name: str, value: str) -> str | None:
    pattern, mark = _NUMBERS[name]
    match = pattern.fullmatch(value.strip()) if len(value) <= LONGEST else None
    if match is None:
        return None
    groups = [group for group in match.groups() if group]
    return mark.join(("".join(groups[:-1]), groups[-1])) if mark else "".join(groups)
