"""The demonstration of `serve --demo`: records of a small polyclinic, loaded once, with tokens and lines to try it by.

The seed is built for a week, the anchor, that each Bundle states; what lies near it is moved by whole weeks into the current
one. Entries are written each by itself under their own ids, several at a time. A load that was killed goes on where it ended;
what a user has changed since is left alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from fhirserver.access.bearer import Grant, issue_token
from fhirserver.access.principal import OPEN
from fhirserver.definitions import shipped
from fhirserver.interactions.context import Context, Services
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.writing.update import update
from fhirserver.model.json import parse
from fhirserver.model.outcome import Gone, NotFound

NEAR = timedelta(days=60)
MINUTES = 8 * 60
AT_ONCE = 64
REASON = "demonstration"

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(T[\d:.]+(?:Z|[+-]\d\d:\d\d))?")


class Who(msgspec.Struct):
    """A principal that the demonstration speaks of."""

    user: str
    role: str | None = None
    scope: str = "user/*.rs"


class Cast(msgspec.Struct):
    """`seed/demo.json`: who plays which part."""

    patient: str
    permitted: Who
    refused: Who
    laboratory: Who
    consent: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The cast, with an access token for each part."""

    cast: Cast
    tokens: dict[str, str]


async def load(services: Services) -> Shown:
    """Load what is not there yet, and issue the tokens."""
    now = services.clock()
    progress = services.store.documents("seed")
    state = await progress.get("demo") or {"_id": "demo", "week": _monday(now.date()).isoformat(), "loaded": False}
    if not state["loaded"]:
        await progress.put(state)
        operator = Context(services, replace(OPEN, client=REASON), REASON)
        await _write(operator, _resources(date.fromisoformat(state["week"])))
        await progress.put({**state, "loaded": True})
    return await _issue(services, now)


def bundles() -> Iterator[dict[str, Any]]:
    """The seed's Bundles, in the order of their file names."""
    for path in sorted(shipped("seed").glob("[0-9]*.json")):
        yield parse(path.read_bytes())


def moved(value: Any, anchor: date, weeks: int) -> Any:
    """The value with every date that is not long before the anchor moved by whole weeks."""
    if isinstance(value, dict):
        return {key: moved(each, anchor, weeks) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, anchor, weeks) for each in value]
    if isinstance(value, str) and (day := _DAY.fullmatch(value)) and (at := date.fromisoformat(day[1])) > anchor - NEAR:
        return f"{at + timedelta(weeks=weeks)}{day[2] or ''}"
    return value


def how_to_try(shown: Shown, base_url: str) -> str:
    """The lines of the main job, to paste into a shell."""
    cast, tokens = shown.cast, shown.tokens
    variables = "\n".join(f"{name}={token}" for name, token in tokens.items())
    json = "-H 'Content-Type: application/fhir+json'"
    result = (
        '{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},'
        f'"subject":{{"reference":"{cast.patient}"}},'
        '"valueQuantity":{"value":131,"unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L"}}'
    )

    def status(token: str) -> str:
        return f'curl -s -o /dev/null -w \'%{{http_code}}\\n\' -H "Authorization: Bearer ${token}" "$RESULT"'

    def change(old: str, new: str) -> str:
        return (
            f'curl -s -H "Authorization: Bearer $PATIENT" "$FHIR/{cast.consent}" '
            f'| sed \'s/"status":"{old}"/"status":"{new}"/\' '
            f"| curl -s -o /dev/null -w '%{{http_code}}\\n' -X PUT {json} -H \"Authorization: Bearer $PATIENT\" "
            f'--data-binary @- "$FHIR/{cast.consent}"'
        )

    return f"""
Access tokens, for {MINUTES // 60} hours: {cast.patient}, {cast.permitted.user} (whom the patient permits),
{cast.refused.user} (whom she does not), and the laboratory {cast.laboratory.user}. To try it, paste into another shell:

FHIR={base_url}
{variables}

# The laboratory posts a result: its address
RESULT=$(curl -s -D - -o /dev/null {json} -H "Authorization: Bearer $LABORATORY" \\
  -d '{result}' \\
  "$FHIR/Observation" | tr -d '\\r' | sed -n 's/^[Ll]ocation: \\(.*\\)\\/_history\\/.*/\\1/p'); echo "$RESULT"
# The permitted doctor reads it: 200
{status("DOCTOR")}
# For the other doctor it does not exist: 404
{status("OTHER")}
# The patient revokes her consent: 200
{change("active", "inactive")}
# Now it does not exist for the first doctor either: 404
{status("DOCTOR")}
# To begin again, the patient gives it back: 200
{change("inactive", "active")}
"""


def _resources(week: date) -> Iterator[dict[str, Any]]:
    """What is to be written, with its dates moved into the week."""
    for bundle in bundles():
        anchor = date.fromisoformat(bundle["timestamp"][:10])
        weeks = (week - _monday(anchor)).days // 7
        for entry in bundle["entry"]:
            yield moved(entry["resource"], anchor, weeks)


async def _write(operator: Context, resources: Iterator[dict[str, Any]]) -> None:
    async def writer() -> None:
        # Every writer takes from the same iterator. Each write is its own; those that wait together share a commit.
        for resource in resources:
            await _put(operator, resource)

    async with asyncio.TaskGroup() as writers:
        for _ in range(AT_ONCE):
            writers.create_task(writer())


async def _put(operator: Context, resource: dict[str, Any]) -> None:
    resource_type, id = resource["resourceType"], resource["id"]
    if await _absent(operator, resource_type, id):
        await update(operator, resource_type, id, resource)


async def _absent(operator: Context, resource_type: str, id: str) -> bool:
    try:
        await read(operator, resource_type, id)
    except NotFound:
        return True
    except Gone:
        return False
    return False


async def _issue(services: Services, now: datetime) -> Shown:
    cast = msgspec.json.decode(shipped("seed", "demo.json").read_bytes(), type=Cast)
    patient = Who(user=cast.patient, scope="patient/*.cruds")
    parts = {"PATIENT": patient, "DOCTOR": cast.permitted, "OTHER": cast.refused, "LABORATORY": cast.laboratory}
    tokens = {
        name: await issue_token(
            services.store.documents("tokens"),
            Grant(
                who.user,
                who.scope,
                client=REASON,
                role=who.role,
                patient=who.user.split("/")[1] if who is patient else None,
                purpose="TREAT",
            ),
            minutes=MINUTES,
            now=now,
        )
        for name, who in parts.items()
    }
    return Shown(cast, tokens)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
