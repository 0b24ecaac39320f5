"""R4's own profiles and definitions of extensions, and this server's, in FHIR's own form, each decoded when it is first asked for.

https://hl7.org/fhir/R4/profilelist.html
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fhirserver.definitions.own import Resources, beside, load_own
from fhirserver.definitions.wire import unpack_profiles

PROFILES_FILE = "r4/profiles.bin"


@cache
def load_profiles() -> Resources:
    """The profiles that are shipped; read from their files when somebody first needs them."""
    compiled = unpack_profiles(files("fhirserver.definitions").joinpath(PROFILES_FILE).read_bytes()).profiles
    return beside(load_own("StructureDefinition"), compiled)
