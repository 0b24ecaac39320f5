"""Where shipped data is: inside the wheel under `fhirserver/shipped`, else at the top level of the checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PACKAGE = Path(str(files("fhirserver")))


def shipped(*parts: str) -> Path:
    """The path of shipped data, for example `shipped("profiles")` or `shipped("seed", "polyclinic.json")`."""
    wheel = PACKAGE / "shipped"
    return (wheel if wheel.is_dir() else PACKAGE.parent).joinpath(*parts)
