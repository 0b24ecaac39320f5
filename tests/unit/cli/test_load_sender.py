"""What a load takes for the end of it, whatever else it was to send."""

from __future__ import annotations

import httpx
import pytest

from fhirserver.cli.failure import Failure
from fhirserver.cli.load.sender import Sender

FHIR = {"Content-Type": "application/fhir+json"}


async def _sent(answer: httpx.Response, path: str) -> int:
    transport = httpx.MockTransport(lambda _: answer)
    async with httpx.AsyncClient(base_url="http://127.0.0.1/fhir", transport=transport) as client:
        return (await Sender(client, 1).send("POST", path, b"{}")).status


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (httpx.Response(401, headers=FHIR), "does not accept the access token"),
        (httpx.Response(404, json={"detail": "Not Found"}), r"No FHIR server answers at that address \(404\)"),
        (httpx.Response(301, headers={"Location": "https://127.0.0.1/fhir"}), r"at that address \(301\)"),
    ],
)
async def test_a_base_where_nothing_can_be_loaded_ends_the_load(answer: httpx.Response, sentence: str) -> None:
    """A hundred thousand lines were refused one by one, each with "The server answered 404"."""
    with pytest.raises(Failure, match=sentence):
        await _sent(answer, "")


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (httpx.Response(404, headers=FHIR), ""),  # a server without batches
        (httpx.Response(404), "/Patient/p"),
        (httpx.Response(403, headers=FHIR), ""),
    ],
)
async def test_another_refusal_is_one_of_what_was_sent(answer: httpx.Response, path: str) -> None:
    assert await _sent(answer, path) == answer.status_code
