"""The command `fhirserver` as a person runs it: a process of its own, in an empty folder, with an empty home.

`FHIRSERVER_COMMAND` names another `fhirserver` than this environment's, as of an installed wheel.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fhirserver.store.embedded import Embedded, free_port

COMMAND = os.environ.get("FHIRSERVER_COMMAND") or str(Path(sys.executable).with_name("fhirserver"))
READY = "Serving FHIR R4 at "


class Server:
    """`fhirserver serve` on a folder and a port, started and ended as often as a test likes."""

    def __init__(self, folder: Path, *options: str, mongo_url: str | None = None) -> None:
        self.folder = folder
        self.mongo_url = mongo_url
        self.data = folder / "data"
        self.port = free_port()
        self.options = options
        self.address = f"http://127.0.0.1:{self.port}"
        self.base = f"{self.address}/fhir"
        self.told = ""
        self.process: subprocess.Popen[str] | None = None

    def launch(self) -> subprocess.Popen[str]:
        """Start the process, and do not wait."""
        place = [] if self.mongo_url else ["--data", str(self.data)]
        words = [COMMAND, "serve", "--port", str(self.port), *place, *self.options]
        variables = environment(self.folder) | ({"FHIRSERVER_MONGO_URL": self.mongo_url} if self.mongo_url else {})
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=variables, stdout=subprocess.PIPE, stderr=log, text=True
            )
        return self.process

    def start(self) -> None:
        """Start it, and wait for the line that says that it serves."""
        process = self.launch()
        assert process.stdout is not None
        self.told = ""
        for line in process.stdout:
            self.told += line
            if line.startswith(READY):
                return
        raise AssertionError(f"The server ended ({process.wait()}): {self.log.read_text()}")

    def faults(self) -> list[str]:
        """What its log tells as errors."""
        return [line for line in self.log.read_text().splitlines() if '"level":"error"' in line]

    def stop(self) -> int:
        """Tell it to stop, wait, and give its exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        self.told += self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()

    @property
    def log(self) -> Path:
        """What it wrote to standard error, over all its starts."""
        return self.folder / "log"

    def mongod(self) -> int | None:
        """The process id of its database."""
        return Embedded(self.data).pid()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command of `fhirserver` on the same data."""
        whole = [COMMAND, *words, "--data", str(self.data)]
        return subprocess.run(
            whole, cwd=self.folder, env=environment(self.folder), capture_output=True, text=True, check=False
        )

    def token(self, *words: str) -> str:
        """An access token."""
        issued = self.run("token", "issue", *words)
        assert issued.returncode == 0, issued.stderr
        return issued.stdout.strip()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """A running server, ended whatever happens; nothing of it is left."""
    server = Server(folder, *options)
    try:
        server.start()
        yield server
    finally:
        end(server)


def end(server: Server) -> None:
    """No process of this server is left."""
    if server.process is not None and server.process.poll() is None:
        server.kill()
    if pid := server.mongod():
        os.kill(pid, signal.SIGKILL)


def environment(home: Path) -> dict[str, str]:
    """An empty home folder, which is for temporary files too, and no settings of ours but where mongod is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FHIRSERVER_")}
    named = {name: os.environ[name] for name in ("FHIRSERVER_MONGOD",) if name in os.environ}
    return kept | named | {"HOME": str(home), "TMPDIR": str(home)}
