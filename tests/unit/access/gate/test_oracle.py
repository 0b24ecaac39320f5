"""The gate against an oracle: the rules of who sees what, said once more in the plainest way, over generated worlds.

The oracle looks at how the world was made, never at stored facts or at an Expression. Where the two differ, one of them is
wrong about somebody's record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.access.gate.decide import Gate
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import Principal
from fhirserver.access.scopes import parse_scopes
from tests.fakes.facts import FakeFacts
from tests.fakes.records import (
    ACCESS,
    WITNESS,
    actor,
    appointment,
    consent,
    observation,
    organization,
    practitioner_role,
    provision,
    reference,
    resource,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENTS = ("a", "b", "c")
ORGANIZATIONS = ("o1", "o2", "o3")
WRITERS = ("operator", "Patient/a", "Practitioner/d", "Practitioner/e", "Organization/o1", "Device/x")
NAMEABLE = ("Practitioner/d", "Practitioner/e", "PractitionerRole/r1", "PractitionerRole/r2", "Organization/o1")
NAMEABLE += ("Organization/o2", "Organization/o3", "Group/g", "Device/x", "Patient/a")
RESOLVED = ("Practitioner", "PractitionerRole", "Organization")
EXTRAS: dict[str, Any] = {
    "purpose": [{"code": "TREAT"}],
    "class": [{"code": "Observation"}],
    "code": [{"text": "x"}],
    "securityLabel": [{"code": "N"}],
    "dataPeriod": {"start": "2020"},
    "data": [{"meaning": "instance", "reference": {"reference": "Observation/0"}}],
    "modifierExtension": [{"url": "x"}],
    "provision": [{"type": "permit"}],
}


@dataclass(frozen=True)
class Rule:
    """How a Consent was made."""

    patient: str
    effect: str | None
    actors: tuple[tuple[str, bool], ...]
    status: str = "active"
    is_over: bool = False
    extra: str | None = None
    access_only: bool = False
    nested_deny: tuple[str, ...] | None = None
    writer: str = "operator"


@dataclass(frozen=True)
class Record:
    """How a record was made."""

    form: str
    owners: tuple[str, ...]
    writer: str
    participants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """How a world was made: part_of by organisation, roles as (practitioner, organisation, active)."""

    part_of: dict[str, str] = field(default_factory=dict)
    roles: dict[str, tuple[str, str | None, bool]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    records: tuple[Record, ...] = ()


FORMS = ("Observation", "Appointment", "Condition", "List", "Provenance", "Schedule", "Patient", "ValueSet")

rules = st.builds(
    Rule,
    patient=st.sampled_from(PATIENTS),
    effect=st.sampled_from(("permit", "permit", "permit", "deny", None)),
    actors=st.lists(st.tuples(st.sampled_from(NAMEABLE), st.sampled_from((True, True, True, False))), max_size=2).map(
        tuple
    ),
    status=st.sampled_from(("active", "active", "active", "active", "inactive", "draft")),
    is_over=st.sampled_from((False, False, False, True)),
    extra=st.sampled_from((None, None, None, None, *EXTRAS)),
    access_only=st.booleans(),
    nested_deny=st.none() | st.none() | st.lists(st.sampled_from(NAMEABLE), max_size=1).map(tuple),
    writer=st.sampled_from(("operator", "Organization/o1", "Practitioner/d", "Patient/a")),
)
records = st.builds(
    Record,
    form=st.sampled_from(FORMS),
    owners=st.lists(st.sampled_from(PATIENTS), max_size=2, unique=True).map(tuple),
    writer=st.sampled_from(WRITERS),
    participants=st.lists(
        st.sampled_from(("Practitioner/d", "PractitionerRole/r1", "Practitioner/e")), max_size=2, unique=True
    ).map(tuple),
)
worlds = st.builds(
    Made,
    part_of=st.dictionaries(st.sampled_from(ORGANIZATIONS), st.sampled_from(ORGANIZATIONS), max_size=3),
    roles=st.dictionaries(
        st.sampled_from(("r1", "r2")),
        st.tuples(
            st.sampled_from(("d", "d", "e")),
            st.sampled_from((None, *ORGANIZATIONS)),
            st.sampled_from((True, True, False)),
        ),
        max_size=2,
    ),
    rules=st.lists(rules, max_size=5).map(tuple),
    records=st.lists(records, min_size=1, max_size=6).map(tuple),
)
callers = st.sampled_from(
    (
        ("Patient/a", None),
        ("Practitioner/d", None),
        ("Practitioner/d", "PractitionerRole/r1"),
        ("Practitioner/d", "PractitionerRole/r2"),
        ("Organization/o1", None),
        ("Organization/o2", None),
        ("Device/x", None),
    )
)


# The oracle


def lineage(made: Made, organization_id: str | None) -> set[str]:
    found: set[str] = set()
    while organization_id is not None and f"Organization/{organization_id}" not in found:
        found.add(f"Organization/{organization_id}")
        organization_id = made.part_of.get(organization_id)
    return found


def names_for(made: Made, user: str, role: str | None) -> tuple[set[str], set[str]]:
    """Under which names the caller may be permitted, and denied."""
    kind, _, id = user.partition("/")
    if kind == "Organization":
        return lineage(made, id), lineage(made, id)
    if kind != "Practitioner":
        return set(), {user}
    hers = {
        f"PractitionerRole/{name}": {f"PractitionerRole/{name}"} | lineage(made, organization_id)
        for name, (practitioner, organization_id, active) in made.roles.items()
        if practitioner == id and active
    }
    if role in hers:
        return {user} | hers[role], {user} | hers[role]
    return {user}, {user}.union(*hers.values())


def says(rule: Rule, permits: set[str], denies: set[str]) -> str | None:
    if rule.status != "active" or rule.is_over:
        return None
    resolved = {name for name, is_recipient in rule.actors if is_recipient and name.partition("/")[0] in RESOLVED}
    is_everybody = not rule.actors or len(resolved) < len({*rule.actors})
    if rule.effect == "deny" and (is_everybody or resolved & denies):
        return "deny"
    if rule.nested_deny is not None:
        nested = set(rule.nested_deny)
        if not nested or any(each.partition("/")[0] not in RESOLVED for each in nested) or nested & denies:
            return "deny"
    if rule.effect != "permit" or rule.extra is not None or rule.nested_deny is not None:
        return None
    if rule.writer.startswith("Practitioner/") or (rule.writer == "Patient/a" and rule.patient != "a"):
        return None
    return "permit" if resolved & permits else None


def is_permitted(made: Made, patient: str, permits: set[str], denies: set[str]) -> bool:
    said = [says(rule, permits, denies) for rule in made.rules if rule.patient == patient]
    return "deny" not in said and "permit" in said


def is_denied(made: Made, patient: str, permits: set[str], denies: set[str]) -> bool:
    return any(says(rule, permits, denies) == "deny" for rule in made.rules if rule.patient == patient)


def sees(made: Made, user: str, role: str | None, record: Record) -> bool:
    permits, denies = names_for(made, user, role)
    wrote, owners, form = record.writer == user, owners_of(record), record.form
    kind, _, id = user.partition("/")
    if form in ("ValueSet", "Schedule") and not owners:
        return True
    if form == "List" or not owners:
        takes_part = form == "Appointment" and kind == "Practitioner" and participates(made, user, role, record)
        return wrote or takes_part
    if kind == "Patient":
        return owners == {id}
    if form == "Provenance":
        return wrote and kind in ("Organization", "Device")
    if wrote or all(is_permitted(made, owner, permits, denies) for owner in owners):
        return True
    return (
        form == "Appointment"
        and kind == "Practitioner"
        and participates(made, user, role, record)
        and not any(is_denied(made, owner, permits, denies) for owner in owners)
    )


def participates(made: Made, user: str, role: str | None, record: Record) -> bool:
    counts = role is not None and role in names_for(made, user, role)[0]
    return user in record.participants or (counts and role in record.participants)


def owners_of(record: Record) -> set[str]:
    return set(record.owners[:1]) if record.form == "Patient" else set(record.owners)


# The same world as resources


def as_resource(number: int, record: Record) -> dict[str, Any]:
    id, patients = str(number), [reference(f"Patient/{each}") for each in record.owners]
    match record.form:
        case "Observation":
            return observation(id, *record.owners)
        case "Appointment":
            return appointment(id, *(f"Patient/{each}" for each in record.owners), *record.participants)
        case "Condition":
            extensions = [{"url": "x", "valueReference": each} for each in patients[1:]]
            found = resource("Condition", id, asserter=reference("Patient/c"))
            return (
                found
                | ({"subject": patients[0]} if patients else {})
                | ({"extension": extensions} if extensions else {})
            )
        case "List":
            return resource("List", id, entry=[{"item": each} for each in patients])
        case "Provenance":
            return resource("Provenance", id, target=patients)
        case "Schedule":
            return resource("Schedule", id, actor=patients)
        case "Patient":
            return resource("Patient", record.owners[0]) if record.owners else observation(id)
        case _:
            contained = [observation(f"c{n}", each) for n, each in enumerate(record.owners)]
            return resource("ValueSet", id) | ({"contained": contained} if contained else {})


def as_consent(number: int, rule: Rule) -> dict[str, Any]:
    stated = provision(rule.effect)
    if rule.actors:
        stated["actor"] = [actor(name) if is_recipient else actor(name, WITNESS) for name, is_recipient in rule.actors]
    if rule.access_only:
        stated["action"] = [ACCESS]
    if rule.is_over:
        stated["period"] = {"start": "2020", "end": "2026-05"}
    if rule.extra is not None:
        stated[rule.extra] = EXTRAS[rule.extra]
    if rule.nested_deny is not None:
        already = stated.get("provision") or []
        stated["provision"] = [*already, provision("deny", *rule.nested_deny)]
    return consent(f"consent-{number}", rule.patient, stated, status=rule.status)


def build(made: Made) -> FakeFacts:
    facts = FakeFacts()
    for each in ORGANIZATIONS:
        parent = made.part_of.get(each)
        facts.put(organization(each, f"Organization/{parent}" if parent else None))
    for name, (practitioner, organization_id, active) in made.roles.items():
        where = f"Organization/{organization_id}" if organization_id else None
        facts.put(practitioner_role(name, f"Practitioner/{practitioner}", where, active=active))
    for number, rule in enumerate(made.rules):
        facts.put(as_consent(number, rule), by=rule.writer)
    for number, record in enumerate(made.records):
        facts.put(as_resource(number, record), by=record.writer)
    return facts


def caller(user: str, role: str | None) -> Principal:
    level = "system" if user.startswith(("Organization/", "Device/")) else "user"
    return Principal(user, "client", parse_scopes(f"{level}/*.rs"), role=role)


def stored(made: Made) -> dict[tuple[str, str], Record]:
    """The record that is under each address: a Patient may be written over by a later one."""
    return {
        (found["resourceType"], found["id"]): (
            Record("Observation", (), record.writer) if record.form == "Patient" and not record.owners else record
        )
        for number, record in enumerate(made.records)
        for found in (as_resource(number, record),)
    }


@settings(max_examples=400, deadline=None)
@given(worlds, callers)
async def test_the_gate_sees_what_the_oracle_sees(made: Made, who: tuple[str, str | None]) -> None:
    facts, (user, role) = build(made), who
    gate = Gate(facts, lambda: NOW)
    principal = caller(user, role)
    for (resource_type, id), record in stored(made).items():
        expected = sees(made, user, role, record)
        read = await gate.decide(principal, Request("read", resource_type, ids=(id,)))
        assert (id in facts.seen(read, resource_type)) is expected, ("read", resource_type, id)
        search = await gate.decide(principal, Request("search-type", resource_type))
        assert (id in facts.seen(search, resource_type)) is expected, ("search", resource_type, id)
        if owners := owners_of(record):
            narrowed = await gate.decide(
                principal, Request("search-type", resource_type, patients=frozenset(sorted(owners)[:1]))
            )
            assert (id in facts.seen(narrowed, resource_type)) is expected, ("narrowed", resource_type, id)


@settings(max_examples=200, deadline=None)
@given(worlds, callers)
async def test_no_permit_shows_what_the_oracle_hides_of_any_type(made: Made, who: tuple[str, str | None]) -> None:
    """What comes along (an _include, a _revinclude) is under the same permit: nothing of any type may be too much."""
    facts, (user, role) = build(made), who
    gate, principal = Gate(facts, lambda: NOW), caller(user, role)
    allowed = {f"{kind}/{id}" for (kind, id), record in stored(made).items() if sees(made, user, role, record)}
    everything = {f"{kind}/{id}" for kind, id in stored(made)}
    for resource_type in ("Observation", "Appointment", "Patient", "List", "Schedule"):
        for includes in (False, True):
            permit = await gate.decide(principal, Request("search-type", resource_type, includes=includes))
            assert facts.everything_seen(permit) & everything <= allowed
        permit = await gate.decide(principal, Request("read", resource_type, ids=("0",)))
        assert facts.everything_seen(permit) & everything <= allowed


@settings(max_examples=150, deadline=None)
@given(worlds, callers)
async def test_two_worlds_are_one_to_whom_they_differ_in_what_is_hidden(
    made: Made, who: tuple[str, str | None]
) -> None:
    """Take away every record that the caller does not see: her permit and what it shows stay the same."""
    user, role = who
    principal = caller(user, role)
    full = build(made)
    visible = {address for address, record in stored(made).items() if sees(made, user, role, record)}
    empty = build(made)
    for address in set(stored(made)) - visible:
        del empty.rows[address]
    for resource_type, id in stored(made):
        shown = []
        for facts in (full, empty):
            permit = await Gate(facts, lambda: NOW).decide(principal, Request("read", resource_type, ids=(id,)))
            shown.append(facts.seen(permit, resource_type) & {id})
        assert shown[0] == shown[1]
        shown = []
        for facts in (full, empty):
            permit = await Gate(facts, lambda: NOW).decide(principal, Request("search-type", resource_type))
            shown.append(facts.seen(permit, resource_type))
        assert shown[0] == shown[1]
