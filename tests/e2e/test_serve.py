"""The server as a process: ready, told to stop, killed, shared, with several workers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from fhirserver.store.embedded import find, free_port
from tests.e2e.server import Server, end, serving

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
}


def ready(server: Server, wanted: int) -> None:
    """Wait until `/health/ready` answers this."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{server.address}/health/ready", timeout=15).status_code == wanted:
                return
        except httpx.TransportError:
            pass
    raise AssertionError(f"/health/ready does not answer {wanted}: {server.log.read_text()}")


def test_it_says_that_it_is_ready_serves_and_stops_with_its_database(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "none") as server:
        assert server.told == f"Serving FHIR R4 at {server.base}\n"
        statement = httpx.get(f"{server.base}/metadata")
        assert statement.json()["fhirVersion"] == "4.0.1"
        assert "server" not in statement.headers
        assert len(statement.headers.get_list("date")) == 1
        unknown = httpx.request("FOO", f"{server.base}/Patient")
        assert (unknown.status_code, unknown.json()["resourceType"]) == (501, "OperationOutcome")
        assert httpx.get(f"{server.address}/health/ready").status_code == 200
        pid = server.mongod()
        assert pid is not None
        assert server.stop() == 0
        assert server.mongod() is None
        password = (server.data / "password").read_text()
        assert password not in server.log.read_text() + server.told


def test_a_write_under_way_is_finished_before_it_stops(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "none") as server:
        answers: list[tuple[int, str]] = []
        stopping = threading.Event()

        def post() -> None:
            with httpx.Client(base_url=server.base, timeout=30) as client:
                while not stopping.is_set():
                    try:
                        answer = client.post("/Observation", json=OBSERVATION)
                    except httpx.TransportError:
                        return  # it takes no more connections
                    answers.append((answer.status_code, answer.headers.get("Location", "")))

        writers = [threading.Thread(target=post) for _ in range(4)]
        for writer in writers:
            writer.start()
        while len(answers) < 50:
            assert any(writer.is_alive() for writer in writers)
        assert server.stop() == 0
        stopping.set()
        for writer in writers:
            writer.join()
        assert {status for status, _ in answers} == {201}
        server.start()
        with httpx.Client() as client:
            assert {client.get(location).status_code for _, location in answers} == {200}


def test_commands_reach_the_database_of_the_running_server(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        token = server.token("--user", "Organization/lab", "--scope", "system/Observation.cr")
        assert server.told == f"Serving FHIR R4 at {server.base}\n"
        headers = {"Authorization": f"Bearer {token}"}
        created = httpx.post(f"{server.base}/Observation", json=OBSERVATION, headers=headers)
        assert created.status_code == 201, created.text
        assert httpx.get(created.headers["Location"], headers=headers).json()["code"] == OBSERVATION["code"]
        assert httpx.get(created.headers["Location"]).status_code == 401
        examined = server.run("doctor")
        assert examined.returncode == 0, examined.stdout
        assert "indexes: all there" in examined.stdout
        rebuilt = server.run("reindex", "Observation")
        assert (rebuilt.returncode, rebuilt.stdout) == (0, "1 versions\n")
        assert httpx.get(f"{server.base}/Observation", headers=headers).status_code in (200, 403)


def test_a_second_server_on_the_folder_is_refused_and_the_first_serves_on(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "none") as first:
        second = Server(tmp_path)
        second.launch()
        assert second.process is not None
        out, _ = second.process.communicate(timeout=60)
        assert (second.process.returncode, out) == (1, "")
        assert "Another fhirserver already serves the folder" in first.log.read_text()
        assert httpx.get(f"{first.address}/health/ready").status_code == 200


def test_a_port_that_is_taken_is_said_before_a_database_is_started(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)):
        server.launch()
        assert server.process is not None
        out, _ = server.process.communicate(timeout=60)
    assert (server.process.returncode, out) == (1, "")
    assert f"127.0.0.1:{server.port} cannot be listened on" in server.log.read_text()
    assert not server.data.exists()


def test_it_is_not_ready_while_its_database_is_down_and_ready_again_after(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "none") as server:
        pid = server.mongod()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        ready(server, 503)
        os.kill(pid, signal.SIGKILL)
        ready(server, 200)
        assert server.mongod() != pid
        assert httpx.post(f"{server.base}/Observation", json=OBSERVATION, timeout=30).status_code == 201


def figures(server: Server) -> tuple[float, float, set[int]]:
    """Of `/metrics`: how many versions were read, by the counter and by the histogram, and the processes that are told of."""
    text = httpx.get(f"{server.address}/metrics").text
    told = {(each.name, each.labels.get("interaction")): each for family in families(text) for each in family.samples}
    processes = re.findall(r'^process_start_time_seconds\{pid="(\d+)"\}', text, re.MULTILINE)
    counted, timed = (told[name, "vread"].value for name in ("fhir_requests_total", "fhir_request_seconds_count"))
    return counted, timed, {int(each) for each in processes}


def left(server: Server) -> list[Path]:
    """The folders of the workers' figures that are there."""
    return list(server.folder.glob("fhirserver-metrics-*"))


def test_several_workers_serve_count_together_and_end_with_their_parent(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "none", "--workers", "2") as server:
        location = httpx.post(f"{server.base}/Observation", json=OBSERVATION).headers["Location"]
        assert {httpx.get(location).status_code for _ in range(20)} == {200}
        # Whichever of the two answers.
        told = [figures(server) for _ in range(8)]
        assert {(counted, timed) for counted, timed, _ in told} == {(20, 20)}
        (first,) = {frozenset(processes) for *_, processes in told}
        assert len(first) == 2
        os.kill(min(first), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(others := figures(server)[2]) != 2 or min(first) in others:
            assert time.monotonic() < deadline
        assert max(first) in others
        assert figures(server)[:2] == (20, 20)
        assert len(left(server)) == 1
        assert server.stop() == 0
        assert (server.mongod(), left(server)) == (None, [])


def test_workers_do_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    server = Server(tmp_path, "--auth", "none", "--workers", "2")
    try:
        server.start()
        server.kill()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{server.address}/health/live")
            except httpx.TransportError:
                break
        else:
            pytest.fail("A worker still serves.")
        while left(server):
            assert time.monotonic() < deadline
        server.start()
        assert httpx.get(f"{server.address}/health/ready").status_code == 200
        assert server.stop() == 0
    finally:
        end(server)


def test_told_to_stop_while_it_starts_it_leaves_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path, "--auth", "none")
    try:
        process = server.launch()
        while not (server.data / "mongod.log").exists():
            assert process.poll() is None, server.log.read_text()
        assert server.stop() == 0
        assert server.mongod() is None
        assert json.dumps("Traceback") not in server.log.read_text()
    finally:
        end(server)


def test_a_database_that_is_named_by_the_environment_is_used_and_its_address_never_shown(
    tmp_path: Path, mongo_url: str
) -> None:
    server = Server(tmp_path, "--auth", "none", mongo_url=mongo_url)
    try:
        server.start()
        assert httpx.get(f"{server.address}/health/ready").status_code == 200
        assert server.stop() == 0
        assert not server.data.exists()
        assert "mongodb" not in server.told + server.log.read_text()
    finally:
        end(server)


def test_a_database_that_does_not_answer_is_one_sentence_without_its_address(tmp_path: Path) -> None:
    server = Server(tmp_path, mongo_url=f"mongodb://somebody:secret@127.0.0.1:{free_port()}/?directConnection=true")
    out, _ = server.launch().communicate(timeout=60)
    assert server.process is not None
    assert (server.process.returncode, out) == (1, "")
    (told,) = server.log.read_text().splitlines()
    assert told.startswith("fhirserver serve: ")
    assert "secret" not in told


def test_a_database_without_a_replica_set_is_refused(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "alone").mkdir()
    words = [str(find(os.environ.get("FHIRSERVER_MONGOD"), tmp_path).binary), "--dbpath", str(tmp_path / "alone")]
    alone = subprocess.Popen([*words, "--port", str(port), "--bind_ip", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        server = Server(tmp_path, mongo_url=f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=30000")
        server.launch().communicate(timeout=60)
        assert "The database cannot be used: no replica set" in server.log.read_text()
    finally:
        alone.kill()
        alone.wait()
