"""Where loads through REST stand: one small file each, in the state folder of the person who runs them.

https://specifications.freedesktop.org/basedir-spec/latest/
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from fhirserver.interactions.load import Checkpoint


def folder() -> Path:
    """The folder of the state files."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fhirserver" / "load"


class Memory:
    """The checkpoints of loads into one server."""

    def __init__(self, base: str) -> None:
        self._folder = folder()
        self._server = hashlib.sha256(base.encode()).hexdigest()[:16]

    def recall(self, key: str) -> Checkpoint | None:
        """Where an unfinished load of this content stands."""
        try:
            return Checkpoint.of(json.loads(self._path(key).read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remember(self, key: str, checkpoint: Checkpoint) -> None:
        """Write down where it stands, in one step."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(key)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(checkpoint.as_row()))
        new.replace(path)

    def forget(self, key: str) -> None:
        """It is done."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{self._server}-{key[:32]}.json"
