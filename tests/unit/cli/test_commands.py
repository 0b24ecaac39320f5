"""The command line, as far as it needs no database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from fhirserver.cli import COMMANDS, fhirpath, main
from fhirserver.interactions.load import Counts


def test_help_shows_every_command_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    shown = [line.split()[0] for line in told.splitlines() if line.startswith("    ") and line[4] != " "]
    assert shown == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_module(f"fhirserver.cli.{name}").__doc__.startswith(f"`fhirserver {name}")
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: fhirserver {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["serve", "--auth", "none", "--host", "0.0.0.0"], "auth none serves every record to everybody"),
        (["serve", "--auth", "none", "--host", "192.0.2.1"], "auth none serves every record to everybody"),
        (["serve", "--base-url", "ftp://fhir.example.org/fhir"], "base_url is an http or https address"),
        (["serve", "--port", "70000"], "port is between 0 and 65535"),
        (["serve", "--workers", "0"], "--workers is at least 1"),
        (["serve", "--host", "192.0.2.1"], "192.0.2.1:8000 cannot be listened on"),
        (["token", "issue", "--user", "Patient/p", "--scope", "patient/*.rs"], "There is no folder ./data"),
        (["reindex", "Nonsense"], "Nonsense is not a resource type"),
        (["definitions", "build", "absent.tgz"], "There is no file absent.tgz"),
        (["definitions", "build", __file__], "is no package of FHIR's core"),
        (["serve", "--base-url", "http://[bad"], "base_url is an http or https address"),
        (["serve", "--base-url", "http://fhir.example.org:99999/fhir"], "base_url is an http or https address"),
        (["serve", "--port", "0", "--mongo-url", "localhost:27017"], "mongo_url begins with mongodb://"),
        (["serve", "--port", "0", "--mongo-url", "mongodb://u:sec@ret@127.0.0.1/"], "percent-encoded"),
        (["reindex", "--mongo-url", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"], "MongoDB does not answer"),
        (["serve", "--port", "0", "--data", __file__], "cannot be the data folder"),
        (["token", "issue", "--user", "Device/d", "--scope", " "], "--scope allows nothing"),
        (["load", "--url", "nonsense", __file__], "--url is a server's FHIR base"),
        (["load", "--token", "t", __file__], "--token is for --url"),
        (["load", "--url", "http://127.0.0.1:1/fhir", "--data", "data", __file__], "a load goes to one of them"),
        (["load", "--report", __file__, __file__], "holds something else than refusals"),
        (["load", "--report", "absent/report", __file__], "there is no folder"),
        (["load", "--report", ".", __file__], "Is a directory"),
        (["bench", "--rounds", "0"], "--rounds is at least 1"),
        (["bench", "--seconds", "-1"], "--seconds is more than 0"),
        (["fhirpath", "gender", __file__], "test_commands.py cannot be read: The body is not JSON"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FHIRSERVER_MONGO_URL", raising=False)
    assert main(words) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"fhirserver {words[0]}: ")
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert "ret@" not in told.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["load"], ["serve", "--mongo-url", "mongodb://x", "--data", "y"]])
def test_a_wrong_command_line_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: fhirserver" in capsys.readouterr().err


def test_files_are_not_asked_for_where_an_expression_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fhirpath"])
    assert capsys.readouterr().err.endswith("required: EXPRESSION\n")


def test_told_to_end_a_command_stops_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench or a load that was told to end left its mongod behind."""
    left: list[str] = []

    def run(_: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            left.append("stopped")
        return 0

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(fhirpath, "run", run)
    with pytest.raises(SystemExit) as ended:
        main(["fhirpath", "1"])
    assert (ended.value.code, left) == (128 + signal.SIGTERM, ["stopped"])
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_a_load_ends_whatever_runs_just_then(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal's handler raised was lost in uvloop's callbacks. Told again, it still stops what it started."""
    left: list[str] = []

    class Told(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            os.kill(os.getpid(), number)

    async def work(*_: object) -> Counts:
        one, other = socket.socketpair()
        try:
            async with asyncio.timeout(10):
                await asyncio.get_running_loop().create_connection(Told, sock=one)
                other.send(b"x")
                await asyncio.Event().wait()
        finally:
            other.close()
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)
            left.append("stopped")
        return Counts()

    monkeypatch.setattr("fhirserver.cli.load._direct", work)
    monkeypatch.setattr("fhirserver.cli.load.files", lambda _: [])
    monkeypatch.setattr("gc.freeze", lambda: None)
    monkeypatch.setattr("gc.set_threshold", lambda _: None)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(["load", "absent"])
    assert (ended.value.code, left) == (128 + number, ["stopped"])
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_a_server_would_log_is_not_shown_to_a_person() -> None:
    program = "import logging, fhirserver.cli; logging.getLogger('fhirserver.jobs').warning('jobs.work')"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_told_to_end_while_it_is_being_read_a_command_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command needs takes a second or two to import."""

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fhirserver.cli.import_module", interrupted)
    assert main(["load", "x"]) == 130
