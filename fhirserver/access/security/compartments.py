"""The security facts of a resource: whose it is, its class, its labels, and what the gate needs to know of it.

They are computed from the whole resource at every write, stored beside it, and never taken from a client. Owners are patients:
those in the compartment's subject and participant elements, in extensions and in contained resources.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html and https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final, Protocol

from fhirserver.access.security.classes import ACCESS_CLASS, OPEN_CLASSES, AccessClass
from fhirserver.access.security.consent import rule_of
from fhirserver.access.security.elements import local, local_text, objects, period_bounds, text
from fhirserver.access.security.ownership import MENTION_ENDINGS, MENTIONS, SUBJECTS
from fhirserver.model.dates import BEGINNING, END, interval
from fhirserver.model.json import texts as texts_of
from fhirserver.model.resource import Resource

UNRESOLVED: Final = "?"
"""Stands among the owners for a patient who is no record of this server. It is no id, so nobody permits for it."""

CONFIDENTIALITY_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
CONFIDENTIALITY: Final = {"U": 0, "L": 1, "M": 2, "N": 3, "R": 4, "V": 5}
NORMAL: Final = CONFIDENTIALITY["N"]
"""What a resource without a confidentiality label counts as."""

_AUTHORS: Final = ("author", "performer", "recorder", "asserter", "requester", "informationSource", "sender", "enterer")
_CUSTODIANS: Final = ("custodian", "managingOrganization", "serviceProvider")
_CLINICAL: Final = (
    "effectiveDateTime",
    "effectivePeriod",
    "effectiveInstant",
    "onsetDateTime",
    "onsetPeriod",
    "performedDateTime",
    "performedPeriod",
    "occurrenceDateTime",
    "occurrencePeriod",
    "authoredOn",
    "period",
    "date",
    "issued",
    "recordedDate",
    "created",
)


class Facts(Protocol):
    """From a resource to its facts; `texts` are those of its elements, where the caller has them."""

    def __call__(
        self, resource_type: str, resource: Resource, texts: Mapping[str, str | bytes] | None = None
    ) -> dict[str, Any]: ...


def security_facts(base_url: str = "", zone: tzinfo = UTC) -> Facts:
    """The function from a resource to its facts, for a server whose own addresses begin with `base_url`, in a place of this time zone."""

    known: Known = {}

    def facts(resource_type: str, resource: Resource, texts: Mapping[str, str | bytes] | None = None) -> dict[str, Any]:
        found = _facts(resource_type, resource, texts_of(resource) if texts is None else texts, base_url, known)
        found.update(_of_type(resource_type, resource, base_url, zone))
        return found

    return facts


def _facts(
    resource_type: str, resource: Resource, texts: Mapping[str, str | bytes], base_url: str, known: Known
) -> dict[str, Any]:
    """The facts that every type has."""
    owned = _Owned(ACCESS_CLASS.get(resource_type) in OPEN_CLASSES, base_url)
    if resource_type == "Patient":
        if isinstance(id := resource.get("id"), str) and id:
            owned.owners.add(id)
    else:
        owned.scan_elements(resource_type, resource, texts, known)
    owners = sorted(owned.owners)
    sole = owners[0] if len(owners) == 1 and not owned.is_unresolved else None
    if owners and owned.is_unresolved:
        owners.append(UNRESOLVED)
    labels = sorted(_labels(resource))
    low, high = _clinical_dates(resource)
    return {
        "class": _class(resource_type, owned),
        "owner": sole,
        "owners": owners,
        "labels": labels,
        "confidentiality": confidentiality(labels),
        "authors": sorted(_references(resource, _AUTHORS, base_url)),
        "custodians": sorted(_references(resource, _CUSTODIANS, base_url)),
        "low": low,
        "high": high,
        **({"mentions": mentioned} if (mentioned := sorted(owned.mentioned - owned.owners)) else {}),
    }


def _class(resource_type: str, owned: _Owned) -> AccessClass | None:
    """The class of this resource: that of its type, unless its content belongs to somebody, or to nobody known."""
    access_class = ACCESS_CLASS.get(resource_type)
    match access_class:
        case "directory" | "public":
            if owned.owners:
                return "patient"
            return "adjacent" if owned.is_unresolved else access_class
        case "patient" | "system":
            return access_class if owned.owners else "adjacent"
        case "adjacent":
            return "patient" if resource_type == "Binary" and owned.owners else "adjacent"
        case _:
            return None


Named = tuple[frozenset[str], bool, frozenset[str]]
"""Whom an element names: owners, whether there is one that is unresolved, and who is only mentioned."""
Known = dict[tuple[str, str, str | bytes], Named]
"""Whom an element names, by its type, its name and its text: most elements come again."""

_NOBODY: Final[Named] = (frozenset(), False, frozenset())
_NONE: Final[frozenset[str]] = frozenset()
_KNOWN: Final = 8_192
_LONGEST: Final = 1_000
_LARGE: Final = frozenset({"text", "contained", "entry"})
"""Elements that hardly come again."""
_SUBJECT_ELEMENTS: Final = {
    name: frozenset(path.partition(".")[0] for path in paths) for name, paths in SUBJECTS.items()
}
"""By type: the elements in which there is a subject's place, where also what names nobody counts."""


@dataclass(slots=True)
class _Owned:
    """What the scan of a resource finds. `mentions_count`: whoever is named anywhere is an owner."""

    mentions_count: bool
    base_url: str
    owners: set[str] = field(default_factory=set)
    is_unresolved: bool = False
    mentions: frozenset[str] = _NONE
    subjects: frozenset[str] = _NONE
    mentioned: set[str] = field(default_factory=set)

    def scan_elements(
        self, resource_type: str, resource: Resource, texts: Mapping[str, str | bytes], known: Known
    ) -> None:
        """The same as `scan`, of which what is known of an element is not looked for again."""
        for name, value in resource.items():
            if type(value) is not dict and type(value) is not list:
                continue
            if name in _LARGE:
                self.scan(resource_type, {name: value})
                continue
            key = resource_type, name, texts[name]
            found = known.get(key)
            if found is None:
                found = self._element(resource_type, name, value, key[2])
                if len(key[2]) <= _LONGEST:
                    if len(known) >= _KNOWN:
                        known.clear()
                    known[key] = found
            if found is not _NOBODY:
                self.owners |= found[0]
                self.is_unresolved |= found[1]
                self.mentioned |= found[2]

    def _element(self, resource_type: str, name: str, value: Any, text: str | bytes) -> Named:
        if name not in _SUBJECT_ELEMENTS.get(resource_type, _NONE) and not _may_name(text):
            return _NOBODY
        element = _Owned(self.mentions_count, self.base_url)
        element.scan(resource_type, {name: value})
        return frozenset(element.owners), element.is_unresolved, frozenset(element.mentioned)

    def scan(self, resource_type: str, resource: Resource) -> None:
        """Look through a resource of this type, and through what it contains."""
        around = self.mentions, self.subjects
        self.mentions, self.subjects = MENTIONS.get(resource_type, _NONE), SUBJECTS.get(resource_type, _NONE)
        self._scan(resource, "", "", False)
        self.mentions, self.subjects = around

    def _scan(self, node: Resource, path: str, name: str, is_extension: bool) -> None:
        for key, value in node.items():
            kind = type(value)
            if kind is dict:
                value = (value,)  # one element is looked at as several are
            elif kind is not list:
                continue
            if key == "contained":
                self._scan_contained(value)
                continue
            # `item.item` is `item`: an element that shares its own content is in the table once.
            below = path if key == name else f"{path}.{key}" if path else key
            extended = is_extension or key == "extension" or key == "modifierExtension"
            for child in value:
                if type(child) is dict:
                    if "reference" in child or "identifier" in child or below in self.subjects:
                        self._weigh(child, below, extended)
                    self._scan(child, below, key, extended)

    def _scan_contained(self, resources: Iterable[Any]) -> None:
        for resource in resources:
            contained_type = resource.get("resourceType") if isinstance(resource, dict) else None
            if contained_type == "Patient":
                # Somebody's data, and no record of this server says whose.
                self.is_unresolved = True
            if isinstance(resource, dict):
                self.scan(contained_type if isinstance(contained_type, str) else "", resource)

    def _weigh(self, node: Resource, path: str, is_extension: bool) -> None:
        """Who an element that may be a Reference names, and whether that makes an owner."""
        is_mention = not (is_extension or self.mentions_count) and (
            path in self.mentions or path.endswith(MENTION_ENDINGS)
        )
        if is_mention:
            reference = node.get("reference")
            if type(reference) is str and "Patient/" in reference:
                target = local_text(reference, self.base_url)
                if target is not None and target.startswith("Patient/"):
                    self.mentioned.add(target[8:])
            return
        is_subject = path in self.subjects and not is_extension
        reference = node.get("reference")
        if not isinstance(reference, str):
            if is_subject or (node.get("type") == "Patient" and isinstance(node.get("identifier"), dict)):
                self.is_unresolved = True
            return
        target = local_text(reference, self.base_url)
        if target is None:
            if is_subject or node.get("type") == "Patient" or _names_patient(reference):
                self.is_unresolved = True
        elif target.startswith("Patient/"):
            self.owners.add(target[8:])
        elif is_subject and target.startswith("Group/"):
            self.is_unresolved = True


def _may_name(text: str | bytes) -> bool:
    """Whether an element of this text may name somebody: no key is escaped in what we write."""
    return type(text) is bytes and (b'"reference":' in text or b'"identifier":' in text or b'"contained":' in text)


def _names_patient(reference: str) -> bool:
    """Whether a reference that resolves to nothing here is to a Patient all the same: another server's, or conditional."""
    return reference.startswith(("Patient/", "Patient?")) or "/Patient/" in reference or "/Patient?" in reference


def _of_type(resource_type: str, resource: Resource, base_url: str, zone: tzinfo) -> dict[str, Any]:
    """What the gate needs to know of some types apart from their owners."""
    match resource_type:
        case "Consent":
            return {"rule": rule_of(resource, base_url, zone)}
        case "Appointment":
            return {"actors": sorted(_participants(resource, base_url)), "status": text(resource.get("status"))}
        case "PractitionerRole":
            return {"role": _role(resource, base_url, zone)}
        case "Organization":
            return {"part_of": local(resource.get("partOf"), base_url)}
        case "Binary":
            return {"context": local(resource.get("securityContext"), base_url)}
        case _:
            return {}


def _participants(resource: Resource, base_url: str) -> Iterator[str]:
    """Who takes part in an Appointment; who declined does not."""
    for participant in objects(resource.get("participant")):
        actor = local(participant.get("actor"), base_url)
        if actor is not None and participant.get("status") != "declined":
            yield actor


def _role(resource: Resource, base_url: str, zone: tzinfo) -> dict[str, Any]:
    """A role: whose, where, and when it counts. `active` missing means active; a period that cannot be read is None."""
    low, high = period_bounds(resource["period"], zone) if "period" in resource else (BEGINNING, END)
    return {
        "active": resource.get("active", True) is True,
        "practitioner": local(resource.get("practitioner"), base_url),
        "organization": local(resource.get("organization"), base_url),
        "low": low,
        "high": high,
    }


def _labels(resource: Resource) -> set[str]:
    """The security labels, `system|code`."""
    meta = resource.get("meta")
    found = objects(meta.get("security")) if isinstance(meta, dict) else []
    return {f"{text(each.get('system')) or ''}|{code}" for each in found if (code := text(each.get("code")))}


def confidentiality(labels: Any) -> int:
    """The highest confidentiality among labels `system|code`; without one: normal."""
    prefix = CONFIDENTIALITY_SYSTEM + "|"
    found = [CONFIDENTIALITY.get(label[len(prefix) :]) for label in labels if label.startswith(prefix)]
    return max((rank for rank in found if rank is not None), default=NORMAL) if found else NORMAL


def _references(resource: Resource, names: tuple[str, ...], base_url: str) -> set[str]:
    """The local references in some elements, or one step below them (`performer.actor`)."""
    found: set[str] = set()
    for name in names:
        if name not in resource:
            continue
        value = resource[name]
        for each in (value,) if isinstance(value, dict) else objects(value):
            if (target := local(each, base_url)) is not None:
                found.add(target)
            if "actor" in each and (target := local(each["actor"], base_url)) is not None:
                found.add(target)
    return found


def _clinical_dates(resource: Resource) -> tuple[int | None, int | None]:
    """The clinical time: of the first of its elements that is there and can be read."""
    for name in _CLINICAL:
        value = resource.get(name)
        if isinstance(value, dict):
            low, high = period_bounds(value)
            if low is not None and high is not None and (low, high) != (BEGINNING, END):
                return low, high
        elif isinstance(value, str):
            try:
                return interval(value)
            except ValueError:
                continue
    return None, None
