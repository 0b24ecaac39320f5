"""What a caller may not see changes no byte of an answer of `$graphql`: each hop is an interaction under a permit of its own.

SC-41, SC-01 to SC-11 as GraphQL has them: reads, references, searches, what refers back, counts and cursors. The oracle
of a search is the same search by REST.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.access.conftest import World, consent, observation
from tests.access.test_hidden_equals_absent import ABSENT, HIDDEN, seen

ABSENT_ID = ABSENT[: len(HIDDEN)]
CALLERS = ("doctor", "stranger", "anna", "laboratory")

QUERIES = [
    '{Observation(id: "~"){id status}}',
    '{a: Observation(id: "~"){id} b: Observation(id: "~"){subject{reference}}}',
    '{Observation(id: "~"){subject{resource{id}}}}',
    '{ObservationList(_id: "~"){id}}',
    '{ObservationList(_id: "~,anna-0", _sort: date){id}}',
    '{ObservationConnection(_id: "~"){count next edges{mode resource{id}}}}',
    '{ObservationConnection(_id: "~", value_quantity: "gt100"){count}}',
    '{ObservationList(_id: "~", _sort: "-date") @first @singleton {id}}',
    '{ObservationList(_id: "~") @flatten {id}}',
    '{ObservationList(_filter: "_id eq ~"){id}}',
    '{DiagnosticReportList(result: "Observation/~"){result @first {resource(optional: true){id}}}}',
    '{ProvenanceList(target: "Observation/~"){id}}',
    '{AuditEventList(entity: "Observation/~"){id}}',
]
AT = [
    "{id status}",
    "{__typename}",
    "{subject{resource{id}}}",
    "{valueQuantity{value}}",
    "{ProvenanceList(_reference: target){id}}",
    "{nothing}",
    "{",
]
REFERRING = [
    "{result{reference resource{id}}}",
    "{result{resource(optional: true){id}}}",
    "{result{resource(type: Observation){status}}}",
    "{result{resource(type: Observation, optional: true){status subject{resource{id}}}}}",
    "{result{resource(type: Patient){id}}}",
    "{result @flatten {resource(optional: true) @flatten {resourceType}}}",
    '{result(fhirpath: "reference.exists()"){resource{id}}}',
]


@pytest.fixture(scope="module")
async def tokens(world: World, doctor: str, stranger: str, anna: str, laboratory: str) -> dict[str, str]:
    """The callers, and two reports of Anna's: one refers to what is hidden, one to what never was."""
    for name, id in (("report-h", HIDDEN), ("report-a", ABSENT_ID)):
        await world.open.put(report(name, id))
    return {"doctor": doctor, "stranger": stranger, "anna": anna, "laboratory": laboratory}


def report(id: str, result: str) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": id,
        "status": "final",
        "code": {"text": "report"},
        "subject": {"reference": "Patient/anna"},
        "result": [{"reference": f"Observation/{result}"}],
    }


async def asked(world: World, token: str, query: str, place: str = "") -> httpx.Response:
    """A query through the gate."""
    return await world.asks(token, "POST", f"{place}/$graphql", json={"query": query})


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("query", QUERIES)
async def test_a_query_for_the_hidden_is_one_for_the_absent(
    world: World, tokens: dict[str, str], who: str, query: str
) -> None:
    """SC-01, SC-04, SC-11: hidden and absent are one answer, as data, errors, counts and cursors."""
    answers = [seen(await asked(world, tokens[who], query.replace("~", id)), id) for id in (HIDDEN, ABSENT_ID)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("query", AT)
async def test_a_query_at_the_hidden_is_one_at_the_absent(
    world: World, tokens: dict[str, str], who: str, query: str
) -> None:
    """SC-01: at its own address it is a 404, and before that the query is refused for what it is."""
    answers = [seen(await asked(world, tokens[who], query, f"/Observation/{id}"), id) for id in (HIDDEN, ABSENT_ID)]
    assert answers[0] == answers[1]
    assert answers[0][0] in (400, 404)


@pytest.mark.parametrize("who", ["doctor", "anna"])
@pytest.mark.parametrize("query", REFERRING)
async def test_a_reference_to_the_hidden_is_one_to_the_absent(
    world: World, tokens: dict[str, str], who: str, query: str
) -> None:
    """SC-06, SC-10: the hop is invisible, whatever is selected behind it."""
    answers = []
    for name, id in (("report-h", HIDDEN), ("report-a", ABSENT_ID)):
        answers.append(seen(await asked(world, tokens[who], query, f"/DiagnosticReport/{name}"), id))
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


SEARCHES = [
    ("Observation", {}),
    ("Observation", {"code": "718-7"}),
    ("Observation", {"value_quantity": "gt100"}),
    ("Observation", {"patient": "Patient/anna,Patient/boris"}),
    ("Observation", {"patient": "Patient/boris"}),
    ("Observation", {"_filter": "code eq 718-7"}),
    ("Patient", {}),
    ("Patient", {"family": "boris"}),
    ("Consent", {}),
    ("DiagnosticReport", {}),
    ("Practitioner", {}),
    ("Organization", {}),
    ("Provenance", {}),
]


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize(("resource_type", "arguments"), SEARCHES)
async def test_a_search_finds_what_rest_finds(
    world: World, tokens: dict[str, str], who: str, resource_type: str, arguments: dict[str, str]
) -> None:
    """SC-03, SC-04, SC-41: visible ones only, in lists, in pages and in counts; and a type that no scope names is refused."""
    query = {name.replace("_", "-", 1) if not name.startswith("_") else name: each for name, each in arguments.items()}
    wanted = {"_sort": "_id", "_count": "100", "_total": "accurate", **query}
    by_rest = await world.asks(tokens[who], "GET", f"/{resource_type}", params=wanted)
    said = ", ".join(f'{name}: "{each}"' for name, each in ({"_sort": "_id"} | arguments).items())
    select = (
        f"{{l: {resource_type}List({said}, _count: 100){{id}} "
        f"c: {resource_type}Connection({said}, _count: 100){{count edges{{resource{{id}}}}}}}}"
    )
    found = (await asked(world, tokens[who], select)).json()
    if by_rest.status_code != 200:
        assert found["data"] == {"l": None, "c": None}
        codes = {each["extensions"]["code"] for each in found["errors"]}
        assert codes == {each["code"] for each in by_rest.json()["issue"]} == {"forbidden"}
        return
    ids = [entry["resource"]["id"] for entry in by_rest.json().get("entry", ())]
    assert [each["id"] for each in found["data"]["l"]] == ids
    assert [each["resource"]["id"] for each in found["data"]["c"]["edges"]] == ids
    assert found["data"]["c"]["count"] == by_rest.json()["total"]


async def test_what_refers_back_is_found_under_its_own_permit(world: World, tokens: dict[str, str]) -> None:
    """SC-07: a clinic that everybody sees shows to each the patients and records that she sees anyway."""
    query = "{__typename PractitionerRoleList(_reference: organization){id} ObservationList(_reference: performer){id}}"
    await world.open.put(observation("boris-9", "boris", performer=[{"reference": "Organization/clinic"}]))
    await world.open.put(observation("anna-9", "anna", performer=[{"reference": "Organization/clinic"}]))
    found = {
        who: (await asked(world, tokens[who], query, "/Organization/clinic")).json()["data"]["ObservationList"]
        for who in ("doctor", "stranger", "anna")
    }
    assert found == {"doctor": [{"id": "anna-9"}], "stranger": [], "anna": [{"id": "anna-9"}]}


async def test_no_answer_to_a_wide_query_names_the_hidden(world: World, tokens: dict[str, str]) -> None:
    """SC-47: all that can be reached in four hops from everything that the doctor sees."""
    hop = "subject{resource(optional: true){id ... on Patient{name{family} ObservationList(_reference: patient){id}}}}"
    query = (
        f'{{ObservationList(_id: "anna-0,anna-1,boris-0,boris-1", _count: 100){{id {hop}}} '
        f'DiagnosticReportList(_id: "report-a,report-h"){{id {hop} result{{resource(optional: true)'
        '{id ... on Observation{note{text}}}}} PatientList(_id: "anna,boris"){id ConsentList(_reference: patient){id}'
        " ListList(_reference: item){id} DiagnosticReportList(_reference: subject){id}}}"
    )
    answer = await asked(world, tokens["doctor"], query)
    assert answer.status_code == 200
    assert "anna-0" in answer.text
    # A record of Anna's has the id "by-boris": what begins so is his.
    assert re.findall('.{0,150}"boris.{0,80}', answer.text) == []


async def test_a_type_that_no_scope_names_is_forbidden_before_its_data(world: World, tokens: dict[str, str]) -> None:
    """SC-09: the same refusal for what is there and what is not; what else was asked for is answered."""
    token = await world.token("Practitioner/doctor", "user/DiagnosticReport.rs", role="PractitionerRole/doctor")
    bodies = []
    for id in ("anna-0", HIDDEN, ABSENT_ID):
        await world.open.put(report("report-s", id))
        answer = await asked(
            world, token, "{status result{resource(optional: true){id}}}", "/DiagnosticReport/report-s"
        )
        bodies.append(answer.json())
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["data"] == {"status": "final", "result": [{"resource": None}]}
    assert [each["extensions"]["code"] for each in bodies[0]["errors"]] == ["forbidden"]
    for id in ("anna-0", HIDDEN, ABSENT_ID):
        answer = await asked(world, token, "{id}", f"/Observation/{id}")
        assert answer.status_code == 403
        answer = await asked(world, token, f'{{Observation(id: "{id}"){{id}}}}')
        assert answer.json()["errors"][0]["extensions"]["code"] == "forbidden"


async def test_a_scope_to_read_is_none_to_search(world: World) -> None:
    """Each field is the interaction that it is."""
    reading = await world.token("Practitioner/doctor", "user/Observation.r", role="PractitionerRole/doctor")
    searching = await world.token("Practitioner/doctor", "user/Observation.s", role="PractitionerRole/doctor")
    query = '{r: Observation(id: "anna-0"){id} s: ObservationList(_id: "anna-0"){id}}'
    data = [(await asked(world, token, query)).json()["data"] for token in (reading, searching)]
    assert data == [{"r": {"id": "anna-0"}, "s": None}, {"r": None, "s": [{"id": "anna-0"}]}]


async def test_a_cursor_is_good_for_its_caller_and_query(world: World, tokens: dict[str, str]) -> None:
    """SC-37: another caller, or another search, is answered as if the cursor were none."""
    query = '{{ObservationConnection(code: "718-7", {0}_count: 1{1}){{next edges{{resource{{id}}}}}}}}'
    found = (await asked(world, tokens["doctor"], query.format("", ""))).json()["data"]["ObservationConnection"]
    more = f', _cursor: "{found["next"]}"'
    second = (await asked(world, tokens["doctor"], query.format("", more))).json()
    assert second["data"]["ObservationConnection"]["edges"] not in ([], found["edges"])
    none = (await asked(world, tokens["anna"], query.format("", ', _cursor: "spam"'))).json()
    for who, other in (("anna", ""), ("stranger", ""), ("doctor", 'status: "final", ')):
        assert (await asked(world, tokens[who], query.format(other, more))).json() == none


async def test_a_consent_that_is_withdrawn_counts_on_the_next_query(world: World) -> None:
    """Nothing of a decision is kept from one query to the next."""
    await world.open.put({"resourceType": "Patient", "id": "galya", "name": [{"family": "galya"}]})
    await world.open.put(observation("galya-0", "galya"))
    await world.open.put(consent("galya-clinic", "galya", "Organization/clinic"))
    doctor = await world.token("Practitioner/doctor", "user/*.rs", role="PractitionerRole/doctor")
    query = '{ObservationList(patient: "Patient/galya"){id subject{resource(optional: true){id}}}}'
    before = (await asked(world, doctor, query)).json()
    assert before["data"]["ObservationList"] == [{"id": "galya-0", "subject": {"resource": {"id": "galya"}}}]
    await world.open.put(consent("galya-clinic", "galya", "Organization/clinic", status="inactive"))
    assert (await asked(world, doctor, query)).json() == {"data": {"ObservationList": []}}


async def test_without_a_token_nothing_is_read(world: World) -> None:
    """Not even the query: a broken one gets the same answer."""
    for query in ('{Observation(id: "anna-0"){id}}', "{"):
        assert (await world.asks(None, "POST", "/$graphql", json={"query": query})).status_code == 401
