"""The README's ten lines in a client, run as they stand there against the demonstration."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.server import Server, serving

README = Path(__file__).parents[3] / "README.md"


def test_the_lines_of_the_readme_print_the_results(tmp_path: Path) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    with serving(tmp_path, "--demo") as server:
        issued = re.search(r"^DOCTOR=(\S+)$", server.told + _rest(server), re.MULTILINE)
        assert issued is not None
        program = lines.replace("http://127.0.0.1:8000/fhir", server.base).replace("DOCTOR", issued[1])
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert "Гемоглобин" in done.stdout
    assert len(done.stdout.splitlines()) == 8


def _rest(server: Server) -> str:
    """What the server prints after its first line, up to the tokens."""
    process = server.process
    assert process is not None
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if line.startswith("LABORATORY="):
            break
    return told
