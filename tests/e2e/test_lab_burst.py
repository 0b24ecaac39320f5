"""The laboratory's day, small: bursts with results sent again, corrected and broken; nothing is lost, doubled or half-written.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "lab_burst.py"


def test_a_burst_with_corrections_is_stored_exactly(tmp_path: Path) -> None:
    words = ["--laboratories", "1", "--bundles", "75", "--results", "2"]
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for kind in ("new", "sent again", "correction", "broken"):
        assert re.search(rf"{kind}: [1-9]", ran.stdout), ran.stdout
    assert "wrong: 0" in ran.stdout
