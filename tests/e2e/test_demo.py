"""The demonstration: what `serve --demo` prints, pasted into a shell, does the main job."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx

from fhirserver.cli.demo import bundles
from tests.e2e.server import Server, end, serving


def pasted(server: Server) -> list[str]:
    """What the printed lines answer, pasted into a shell."""
    assert server.process is not None
    assert server.process.stdout is not None
    lines = ""
    for line in server.process.stdout:
        lines += line
        if "inactive" in line and line.startswith("curl") and '"status":"inactive"/"status":"active"' in line:
            break
    script = lines[lines.index("FHIR=") :]
    answered = subprocess.run(["bash", "-eu"], input=script, capture_output=True, text=True, check=False, timeout=60)
    assert answered.stderr == ""
    return answered.stdout.split()


def test_the_printed_lines_do_the_main_job_twice_over(tmp_path: Path) -> None:
    with serving(tmp_path, "--demo") as server:
        result, *statuses = pasted(server)
        assert re.fullmatch(rf"{server.base}/Observation/[A-Za-z0-9.-]+", result)
        assert statuses == ["200", "404", "200", "404", "200"]
        assert server.stop() == 0
        server.start()
        assert pasted(server)[1:] == ["200", "404", "200", "404", "200"]


def test_a_load_that_was_killed_goes_on_and_what_was_changed_since_is_left_alone(tmp_path: Path) -> None:
    server = Server(tmp_path, "--demo", "--auth", "none")
    try:
        server.launch()
        wait_for_some_records(server)
        server.kill()
        server.start()
        with httpx.Client(base_url=server.base) as client:
            entries = [entry["resource"] for bundle in bundles() for entry in bundle["entry"]]
            for resource in entries:
                address = f"/{resource['resourceType']}/{resource['id']}"
                stored = client.get(address)
                assert stored.status_code == 200, address
                assert stored.headers["ETag"] == 'W/"1"', address
            patient = next(each for each in entries if each["resourceType"] == "Patient")
            address = f"/Patient/{patient['id']}"
            changed = client.get(address).json() | {"language": "ru"}
            assert client.put(address, json=changed).status_code == 200
            assert server.stop() == 0
            server.start()
            assert client.get(address).headers["ETag"] == 'W/"2"'
    finally:
        end(server)


def wait_for_some_records(server: Server) -> None:
    """The load has begun: mongod's log says that the first collections are there, and records follow."""
    seen = server.data / "mongod.log"
    for _ in iter(lambda: seen.exists() and '"fhirserver.seed"' in seen.read_text(), True):
        assert server.process is not None
        assert server.process.poll() is None
