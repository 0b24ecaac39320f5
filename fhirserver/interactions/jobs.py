"""The jobs of the server, as those see them who may begin any: the operator, and systems that write SearchParameters.

https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

from typing import Final

from fhirserver.access.principal import Kind, Principal
from fhirserver.access.scopes import names
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import Keeper
from fhirserver.jobs import Job, State
from fhirserver.model.outcome import Conflict, Forbidden, NotFound, NotSupported

_MAY_NOT: Final = "Jobs are for the operator, and for systems whose scope names SearchParameter for writing."
_ENDED: Final = "The job has come to its end."


def check_may(principal: Principal) -> None:
    """Raise Forbidden for a principal that jobs are not for; nothing is looked up for it."""
    if principal.is_operator:
        return
    writes = all(names(principal.scopes, "SearchParameter", letter) for letter in "cu")
    if principal.kind is not Kind.SYSTEM or not writes:
        raise Forbidden(_MAY_NOT, scope=True)


def keeper_of(context: Context) -> Keeper:
    """Who knows the jobs."""
    if context.services.parameters is None:
        raise NotSupported
    return context.services.parameters


async def job_status(context: Context, id: str) -> Job:
    """The job as it is."""
    check_may(context.principal)
    job = await keeper_of(context).queue.get(id)
    if job is None:
        raise NotFound
    return job


async def job_cancel(context: Context, id: str) -> Job:
    """End the job where it is. Raises Conflict where it has come to its end by itself."""
    check_may(context.principal)
    job = await keeper_of(context).queue.cancel(id)
    if job is None:
        raise NotFound
    if job.state is not State.CANCELLED:
        raise Conflict(_ENDED)
    return job
