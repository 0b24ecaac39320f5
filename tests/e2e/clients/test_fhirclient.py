"""fhirclient, SMART's own client for Python: everything that it offers and the server has.

It has no methods for versions and histories; its `read_from` takes any address. Signing in is not tried: the tokens are issued
by the command line.

https://github.com/smart-on-fhir/client-py
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.binary import Binary
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException, FHIRServer
from requests import HTTPError

from tests.e2e.clients.place import Place, bundle, number, observation, patient
from tests.e2e.clients.table import Name


def created(server: FHIRServer, family: str = "Proba") -> Patient:
    made = Patient(patient(family)).create(server)
    return Patient(made)


def capabilities(server: FHIRServer) -> None:
    assert server.client.prepare()
    assert server.capabilityStatement.fhirVersion == "4.0.1"
    assert {each.type for each in server.capabilityStatement.rest[0].resource} > {"Patient", "Consent"}


def create(server: FHIRServer) -> None:
    made = created(server)
    assert (made.meta.versionId, made.name[0].family) == ("1", "Proba")


def read(server: FHIRServer) -> None:
    made = created(server)
    assert Patient.read(made.id, server).as_json() == made.as_json()
    with pytest.raises(FHIRNotFoundException):
        Patient.read(number(), server)


def vread(server: FHIRServer) -> None:
    made = created(server)
    made.gender = "unknown"
    made.update(server)
    assert Patient.read_from(f"Patient/{made.id}/_history/1", server).gender == "female"


def update(server: FHIRServer) -> None:
    made = created(server)
    made.gender = "male"
    assert made.update(server)["meta"]["versionId"] == "2"
    own = Patient({**patient(), "id": number()})
    assert own.update(server)["meta"]["versionId"] == "1"
    del made.name[:]
    made.gender = "nobody"
    with pytest.raises(HTTPError) as refused:
        made.update(server)
    assert refused.value.response.json()["issue"][0]["expression"] == ["Patient.gender"]


def delete(server: FHIRServer) -> None:
    made = created(server)
    made.delete(server)
    with pytest.raises(HTTPError) as refused:
        Patient.read(made.id, server)
    assert refused.value.response.status_code == 410


def search(server: FHIRServer) -> None:
    family = f"F{number()}"
    made = created(server, family)
    created(server)
    found = Patient.where({"family": family, "gender": "female,male"})
    assert [each.id for each in found.perform_resources_iter(server)] == [made.id]


def pages(server: FHIRServer) -> None:
    family = f"F{number()}"
    made = {created(server, family).id for _ in range(5)}
    walked = list(Patient.where({"family": family, "_count": "2"}).perform_iter(server))
    assert [len(page.entry) for page in walked] == [2, 2, 1]
    assert {entry.resource.id for page in walked for entry in page.entry} == made


def count(server: FHIRServer) -> None:
    family = f"F{number()}"
    created(server, family)
    page = next(Patient.where({"family": family, "_total": "accurate"}).perform_iter(server))
    assert page.total == 1


def includes(server: FHIRServer) -> None:
    made = created(server)
    result = Observation(observation(f"Patient/{made.id}")).create(server)
    found = Observation.where({"_id": result["id"]}).include("subject").perform_resources_iter(server)
    assert {each.resource_type for each in found} == {"Observation", "Patient"}


def compartment(server: FHIRServer) -> None:
    made = created(server)
    Observation(observation(f"Patient/{made.id}")).create(server)
    page = Bundle.read_from(f"Patient/{made.id}/Observation", server)
    assert len(page.entry) == 1


def instance_history(server: FHIRServer) -> None:
    made = created(server)
    made.update(server)
    versions = Bundle.read_from(f"Patient/{made.id}/_history", server)
    assert [each.resource.meta.versionId for each in versions.entry] == ["2", "1"]


def type_history(server: FHIRServer) -> None:
    made = created(server)
    assert Bundle.read_from("Patient/_history?_count=1", server).entry[0].resource.id == made.id


def system_history(server: FHIRServer) -> None:
    made = created(server)
    assert Bundle.read_from("_history?_count=1", server).entry[0].resource.id == made.id


def batch(server: FHIRServer) -> None:
    wanted = {"request": {"method": "GET", "url": f"Patient/{number()}"}}
    done = Bundle(Bundle(bundle("batch", _create(patient()), wanted)).create(server))
    assert [each.response.status[:3] for each in done.entry] == ["201", "404"]


def transaction(server: FHIRServer) -> None:
    family = f"F{number()}"
    broken = {**patient(family), "gender": "nobody"}
    with pytest.raises(HTTPError):
        Bundle(bundle("transaction", _create(patient(family)), _create(broken))).create(server)
    assert list(Patient.where({"family": family}).perform_resources_iter(server)) == []
    done = Bundle(Bundle(bundle("transaction", _create(patient(family)))).create(server))
    assert done.type == "transaction-response"


def binary(server: FHIRServer) -> None:
    """It asks for JSON, so a Binary comes as a resource."""
    made = Binary({"contentType": "text/plain", "data": "YWJj"}).create(server)
    assert Binary.read(made["id"], server).data == "YWJj"


def everything(server: FHIRServer) -> None:
    made = created(server)
    Observation(observation(f"Patient/{made.id}")).create(server)
    page = Bundle.read_from(f"Patient/{made.id}/$everything", server)
    assert {each.resource.resource_type for each in page.entry} == {"Observation", "Patient"}


def validate(server: FHIRServer) -> None:
    found = server.post_json("Patient/$validate", patient(gender="nobody")).json()
    assert (found["issue"][0]["severity"], found["issue"][0]["expression"]) == ("error", ["Patient.gender"])


def _create(resource: dict[str, object]) -> dict[str, object]:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


DOES: dict[Name, Callable[[FHIRServer], None]] = {
    "capabilities": capabilities,
    "create": create,
    "read": read,
    "vread": vread,
    "update": update,
    "delete": delete,
    "search": search,
    "search: the next page": pages,
    "search: how many": count,
    "search: includes": includes,
    "search in a compartment": compartment,
    "history of a resource": instance_history,
    "history of a type": type_history,
    "history of the system": system_history,
    "batch": batch,
    "transaction": transaction,
    "binary": binary,
    "operation: everything": everything,
    "operation: validate": validate,
}


@pytest.mark.parametrize("name", DOES)
def test_fhirclient_does(name: Name, place: Place) -> None:
    client = FHIRClient(settings={"app_id": "clients", "api_base": place.base})
    with client.server.session as session:
        if place.token is not None:
            session.headers["Authorization"] = f"Bearer {place.token}"
        DOES[name](client.server)
