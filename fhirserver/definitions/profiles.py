"""R4's own profiles and definitions of extensions, in FHIR's own form, each decoded when it is first asked for.

https://hl7.org/fhir/R4/profilelist.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fhirserver.definitions.wire import WireProfiles, decode, unpack_profiles

PROFILES_FILE = "r4/profiles.bin"


class Profiles(Mapping[str, dict[str, Any]]):
    """StructureDefinitions by canonical URL without version; they are not to be changed."""

    def __init__(self, data: bytes) -> None:
        self._file: WireProfiles = unpack_profiles(data)
        self._made: dict[str, dict[str, Any]] = {}

    def __getitem__(self, url: str) -> dict[str, Any]:
        found = self._made.get(url)
        if found is None:
            found = self._made[url] = decode(self._file.profiles[url], dict[str, Any])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.profiles)

    def __len__(self) -> int:
        return len(self._file.profiles)


@cache
def load_profiles() -> Profiles:
    """The profiles that are shipped; read from their file when somebody first needs them."""
    return Profiles(files("fhirserver.definitions").joinpath(PROFILES_FILE).read_bytes())
