"""The target that is a server, through REST: single resources by PUT side by side, transactions as Bundles.

Everything is sent so that it may be sent again: what is new is put under an id of our making with `If-None-Match: *`. A client that
may not assign ids has its POSTs sent as they are, and those not twice.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx

from fhirserver.cli.load.memory import Memory
from fhirserver.cli.load.packs import Single, batch, packs, put_request
from fhirserver.cli.load.sender import TIMEOUT, Answer, Sender, refusal, status_of
from fhirserver.interactions.bundles.transaction import placed
from fhirserver.interactions.load import Candidate, Checkpoint, Job, Outcome, Unit
from fhirserver.interactions.load.direct import is_equal
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.load.tally import Fate
from fhirserver.model.json import dump
from fhirserver.model.outcome import BadRequest, FhirError, PreconditionFailed
from fhirserver.model.resource import Resource

TRIES: Final = 3
_FHIR: Final = "application/fhir+json"
_CHANGED: Final = "The resource was changed again and again while it was being loaded."


@dataclass(frozen=True, slots=True)
class Ready:
    """A unit, and the bodies of its single resources."""

    unit: Unit
    bodies: tuple[bytes, ...]


def _ready(unit: Unit) -> Ready:
    return Ready(unit, () if unit.whole else tuple(dump(each.resource) for each in unit.candidates))


class Remote:
    """Sends to the server at one base address."""

    def __init__(self, sender: Sender, memory: Memory) -> None:
        self._sender = sender
        self._memory = memory

    @classmethod
    @asynccontextmanager
    async def open(cls, base: str, token: str | None, parallel: int) -> AsyncIterator[Self]:
        """The target, with its connections."""
        headers = {"Accept": _FHIR, "Content-Type": _FHIR} | ({"Authorization": f"Bearer {token}"} if token else {})
        limits = httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel)
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=TIMEOUT, limits=limits) as client:
            yield cls(Sender(client, parallel), Memory(base))

    async def recall(self, key: str) -> Checkpoint | None:
        """Where an unfinished load of this content stands."""
        return self._memory.recall(key)

    async def remember(self, key: str, checkpoint: Checkpoint) -> None:
        """Write down where it stands."""
        self._memory.remember(key, checkpoint)

    async def forget(self, key: str) -> None:
        """It is done."""
        self._memory.forget(key)

    @property
    def ahead(self) -> int:
        """One batch is made ready while another is sent."""
        return 1

    @property
    def beside(self) -> int:
        """None: requests go side by side within a batch."""
        return 0

    async def judge(self, texts: Sequence[Text], job: Job) -> list[Ready]:
        """The bodies of the requests; the server judges."""
        return await asyncio.to_thread(lambda: [_ready(job.units.of(text)) for text in texts])

    async def write(self, ready: Sequence[Ready], job: Job) -> list[Outcome]:
        """Send them, and say what came of each."""
        # Requests about one resource keep their order: only different ones go side by side.
        lanes: dict[tuple[str, str], list[Single]] = {}
        for each in ready:
            for candidate, body in zip(each.unit.candidates, each.bodies, strict=not each.unit.whole):
                key = candidate.resource["resourceType"], candidate.resource["id"]
                lanes.setdefault(key, []).append(Single(each.unit.number, candidate, body))
        wholes = [each.unit for each in ready if each.unit.whole]
        others = [each.unit for each in ready if not each.unit.whole and each.unit.entries]
        done = await asyncio.gather(
            *(self._pack(pack, job) for pack in packs([lane[0] for lane in lanes.values()])),
            *(self._whole(unit, job) for unit in wholes),
            *(self._others(unit) for unit in others),
        )
        done += await asyncio.gather(*(self._lane(lane[1:], job) for lane in lanes.values() if lane[1:]))
        outcomes = [outcome for each in done for outcome in each]
        for each in ready:
            if not each.unit.whole:
                outcomes += [Outcome(each.unit.number, entry, "refused", error) for entry, error in each.unit.refusals]
        return outcomes

    # Single resources

    async def _pack(self, pack: Sequence[Single], job: Job) -> list[Outcome]:
        """Different resources in one batch. What is there already, or is not simply put, goes on by itself."""
        entries = [b'{"resource":%b,"request":%b}' % (each.body, dump(each.request)) for each in pack]
        answer = await self._sender.send("POST", "", batch(entries), Prefer="return=minimal")
        said = answer.entries(len(pack))
        if said is None:
            return await self._lane(pack, job)
        outcomes: list[Outcome] = []
        left: list[Single] = []
        for each, response in zip(pack, said, strict=True):
            if status_of(response) == 201:
                outcomes.append(each.said("created"))
            elif status_of(response) in (405, 412, 503):
                left.append(each)
            else:
                outcomes.append(
                    each.refused(refusal(status_of(response), (response.get("response") or {}).get("outcome")))
                )
        if left:
            outcomes += await self._compared(left, job, was_resent=answer.was_resent)
        return outcomes

    async def _compared(self, left: Sequence[Single], job: Job, *, was_resent: bool) -> list[Outcome]:
        """Read in one batch what may be there just so; the others are put one by one."""
        answer = await self._sender.send("POST", "", batch([dump({"request": each.reading}) for each in left]))
        said = answer.entries(len(left)) or [{}] * len(left)
        outcomes: list[Outcome] = []
        different: list[Single] = []
        for each, response in zip(left, said, strict=True):
            stored = response.get("resource")
            if status_of(response) == 200 and isinstance(stored, dict) and is_equal(stored, each.candidate.resource):
                outcomes.append(each.said(_fate(stored, job, was_resent=was_resent)))
            else:
                different.append(each)
        lanes = await asyncio.gather(*(self._lane([each], job) for each in different))
        return outcomes + [outcome for lane in lanes for outcome in lane]

    async def _lane(self, lane: Sequence[Single], job: Job) -> list[Outcome]:
        outcomes = []
        for each in lane:
            try:
                outcomes.append(each.said(await self._put(each.candidate, each.body, job)))
            except FhirError as error:
                outcomes.append(each.refused(error))
        return outcomes

    async def _put(self, candidate: Candidate, body: bytes, job: Job) -> Fate:
        resource = candidate.resource
        path = f"/{resource['resourceType']}/{resource['id']}"
        answer = await self._sender.send("PUT", path, body, If_None_Match="*", Prefer="return=minimal")
        was_resent = answer.was_resent
        for _ in range(TRIES):
            if answer.is_good:
                return "created" if answer.status == 201 else "updated"
            if answer.status == 405 and candidate.is_new:
                return await self._post(resource)
            if answer.status != 412:
                raise answer.refusal()
            stored = await self._sender.send("GET", path)
            if not stored.is_good:
                raise stored.refusal()
            if is_equal(found := stored.value(), resource):
                return _fate(found, job, was_resent=was_resent)
            tag = stored.headers.get("ETag", "*")
            answer = await self._sender.send("PUT", path, body, If_Match=tag, Prefer="return=minimal")
            was_resent = was_resent or answer.was_resent
        raise PreconditionFailed(_CHANGED)

    async def _post(self, resource: Resource) -> Fate:
        body = dump({name: value for name, value in resource.items() if name != "id"})
        answer = await self._sender.send(
            "POST", f"/{resource['resourceType']}", body, may_resend=False, Prefer="return=minimal"
        )
        if not answer.is_good:
            raise answer.refusal()
        return "created"

    # Bundles

    async def _others(self, unit: Unit) -> list[Outcome]:
        """Entries of a batch that are more than a put, one after the other."""
        outcomes: list[Outcome] = []
        for index, _ in unit.entries:
            entry = (unit.bundle or {})["entry"][index]
            may_resend = entry["request"]["method"] != "POST" or "ifNoneExist" in entry["request"]
            sent = dump({"resourceType": "Bundle", "type": "batch", "entry": [entry]})
            try:
                answer = await self._sender.send("POST", "", sent, may_resend=may_resend)
                outcomes += self._said(unit, answer, [index], [entry])
            except FhirError as error:
                outcomes.append(Outcome(unit.number, index, "refused", error))
        return outcomes

    async def _whole(self, unit: Unit, job: Job) -> list[Outcome]:
        try:
            if unit.refusals:
                raise placed([(entry or 0, error) for entry, error in unit.refusals])
            return await self._transaction(unit, job)
        except FhirError as error:
            return [Outcome(unit.number, None, "refused", error, unit.size)]

    async def _transaction(self, unit: Unit, job: Job) -> list[Outcome]:
        bundle = unit.bundle or {}
        sent = bundle.get("entry", [])
        entries = [_repeatable(each, job.units.new_id(unit.number, index)) for index, each in enumerate(sent)]
        answer = await self._sender.send("POST", "", _bundle(entries), may_resend=True)
        indexes = list(range(len(entries)))
        if answer.status == 412 and (stored := await self._stored(entries)):
            return await self._again(unit, job, entries, stored, was_resent=answer.was_resent)
        if answer.status == 405 and any(each["request"]["method"] == "POST" for each in sent):
            answer = await self._sender.send("POST", "", dump(bundle), may_resend=False)
        return self._said(unit, answer, indexes, sent)

    async def _stored(self, entries: Sequence[dict[str, Any]]) -> dict[int, Answer]:
        """Of the entries that put, what is stored already."""
        puts = [index for index, each in enumerate(entries) if _is_put(each)]
        answers = await asyncio.gather(
            *(self._sender.send("GET", f"/{entries[index]['request']['url']}") for index in puts)
        )
        return {index: answer for index, answer in zip(puts, answers, strict=True) if answer.is_good}

    async def _again(
        self, unit: Unit, job: Job, entries: Sequence[dict[str, Any]], stored: dict[int, Answer], *, was_resent: bool
    ) -> list[Outcome]:
        """Some of it is there already: send what differs, as updates. What is there whole was done before."""
        if not unit.candidates:
            if all(index in stored for index, each in enumerate(entries) if _is_put(each)):
                return [Outcome(unit.number, index, "unchanged") for index in range(len(entries))]
            raise PreconditionFailed
        fates: dict[int, Fate] = {}
        changed: list[Candidate] = []
        for index, candidate in enumerate(unit.candidates):
            found = stored[index].value() if index in stored else None
            if found is not None and is_equal(found, candidate.resource):
                fates[index] = _fate(found, job, was_resent=was_resent)
            else:
                changed.append(candidate)
        outcomes = [Outcome(unit.number, index, fate) for index, fate in fates.items()]
        if changed:
            puts = [_put_entry(each.resource) for each in changed]
            answer = await self._sender.send("POST", "", _bundle(puts))
            outcomes += self._said(unit, answer, [each.entry or 0 for each in changed], puts)
        return outcomes

    def _said(
        self, unit: Unit, answer: Answer, indexes: Sequence[int], entries: Sequence[dict[str, Any]]
    ) -> list[Outcome]:
        """What the answer to a Bundle says of each entry."""
        if not answer.is_good:
            raise answer.refusal()
        said = answer.entries(len(entries))
        if said is None:
            raise BadRequest("The server's answer does not have an entry for each that was sent.")
        return [
            _outcome(unit, index, entry["request"]["method"], each)
            for index, entry, each in zip(indexes, entries, said, strict=True)
        ]


def _outcome(unit: Unit, index: int, method: str, said: dict[str, Any]) -> Outcome:
    status = status_of(said)
    if status >= 300:
        return Outcome(unit.number, index, "refused", refusal(status, (said.get("response") or {}).get("outcome")))
    fate: Fate = "created" if status == 201 else "unchanged" if method == "POST" else "updated"
    return Outcome(unit.number, index, "deleted" if method == "DELETE" else fate)


def _repeatable(entry: dict[str, Any], id: str) -> dict[str, Any]:
    """The entry so that it may be sent twice: a plain POST becomes a PUT under an id of our making."""
    request = entry["request"]
    if request["method"] == "POST" and "ifNoneExist" not in request:
        resource_type = entry["resource"]["resourceType"]
        resource = {**entry["resource"], "id": id}
        return {**entry, "resource": resource, "request": put_request(resource_type, id) | {"ifNoneMatch": "*"}}
    if _is_put(entry) and "ifMatch" not in request and "ifNoneMatch" not in request:
        return {**entry, "request": {**request, "ifNoneMatch": "*"}}
    return entry


def _is_put(entry: dict[str, Any]) -> bool:
    return bool(entry["request"]["method"] == "PUT" and "?" not in entry["request"]["url"])


def _put_entry(resource: Resource) -> dict[str, Any]:
    return {"resource": resource, "request": put_request(resource["resourceType"], resource["id"])}


def _bundle(entries: Sequence[dict[str, Any]]) -> bytes:
    return dump({"resourceType": "Bundle", "type": "transaction", "entry": list(entries)})


def _fate(stored: Resource, job: Job, *, was_resent: bool) -> Fate:
    """What is stored just so is unchanged, unless it was this load that put it there: then it counts as that."""
    meta = stored.get("meta", {})
    is_ours = was_resent or (job.is_uncertain and meta.get("lastUpdated", "") >= job.run)
    if not is_ours:
        return "unchanged"
    return "created" if meta.get("versionId") == "1" else "updated"
