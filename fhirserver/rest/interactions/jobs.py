"""Jobs over HTTP: `202` while one goes on, with how far it is; then what came of it.

https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.jobs import job_cancel, job_status
from fhirserver.jobs import Job, State
from fhirserver.model.dates import instant
from fhirserver.model.json import dump
from fhirserver.model.outcome import Issue
from fhirserver.rest.messages.request import Request
from fhirserver.rest.messages.responses import Answer, outcome

PLACE: Final = "_jobs"
RETRY_AFTER: Final = b"2"


async def status(request: Request) -> Answer:
    """`GET [base]/_jobs/[id]`."""
    content_type = request.content_type()
    job = await job_status(request.context, request.address.id)
    if job.is_open:
        answer = outcome(202, Issue("information", "informational", _progress(job)), content_type=content_type)
        answer.headers += [(b"x-progress", _progress(job).encode("ascii")), (b"retry-after", RETRY_AFTER)]
        return answer
    if job.state is State.FAILED:
        return outcome(500, Issue("error", "exception", f"The job failed. {job.reason}"), content_type=content_type)
    return Answer(200, dump(_parameters(job)), content_type)


async def cancel(request: Request) -> Answer:
    """`DELETE [base]/_jobs/[id]`."""
    content_type = request.content_type()
    await job_cancel(request.context, request.address.id)
    return outcome(202, Issue("information", "informational", "The job is cancelled."), content_type=content_type)


def accepted(request: Request, id: str, content_type: bytes) -> Answer:
    """What was asked for goes on as this job."""
    place = f"{request.context.services.base_url}/{PLACE}/{id}"
    answer = outcome(202, Issue("information", "informational", f"It goes on at {place}"), content_type=content_type)
    answer.headers.append((b"content-location", place.encode("ascii")))
    return answer


def _progress(job: Job) -> str:
    # How many resources there are is nobody's business who may not see them.
    return f"{job.state.value}, {job.percent} %"


def _parameters(job: Job) -> dict[str, Any]:
    parameters = [
        {"name": "state", "valueCode": job.state.value},
        {"name": "kind", "valueCode": job.kind},
        {"name": "created", "valueInstant": instant(job.created)},
    ]
    if job.ended is not None:
        parameters.append({"name": "ended", "valueInstant": instant(job.ended)})
    return {"resourceType": "Parameters", "parameter": parameters}
