"""`fhirserver definitions build PACKAGE.tgz`: the compiled definitions, made anew from HL7's `hl7.fhir.r4.core` package."""

from __future__ import annotations

import tarfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from fhirserver.cli.failure import Failure
from fhirserver.definitions.build import build
from fhirserver.definitions.codes.terminology import TERMINOLOGY_FILE, load_terminology
from fhirserver.definitions.profiles import PROFILES_FILE, load_profiles
from fhirserver.definitions.registry import FILE, load
from fhirserver.definitions.shipping import PACKAGE


def arguments(parser: ArgumentParser) -> None:
    """`build` and the package."""
    make = parser.add_subparsers(dest="action", metavar="ACTION", required=True).add_parser(
        "build", help="compile HL7's package", description="Compile HL7's package to the files that the server reads."
    )
    make.add_argument("package", type=Path, metavar="PACKAGE.tgz", help="hl7.fhir.r4.core, as the npm registry has it")
    make.add_argument("--out", type=Path, metavar="FILE", default=PACKAGE / "definitions" / FILE, help="where to write")
    make.add_argument(
        "--terminology",
        type=Path,
        metavar="FILE",
        default=PACKAGE / "definitions" / TERMINOLOGY_FILE,
        help="where to write code systems, value sets and concept maps",
    )
    make.add_argument(
        "--profiles",
        type=Path,
        metavar="FILE",
        default=PACKAGE / "definitions" / PROFILES_FILE,
        help="where to write profiles and definitions of extensions",
    )


def run(given: Namespace) -> int:
    """Compile the package and say what came out."""
    if not given.package.is_file():
        raise Failure(f"There is no file {given.package}.")
    try:
        build(given.package, given.out, given.terminology, given.profiles)
    except (tarfile.TarError, ValueError, KeyError, EOFError) as error:
        raise Failure(
            f"{given.package} is no package of FHIR's core: hl7.fhir.r4.core, as a .tgz, is wanted."
        ) from error
    except OSError as error:
        raise Failure(
            f"{error.filename or given.package}: {error.strerror or 'it cannot be read as a .tgz'}."
        ) from error
    load.cache_clear()
    load_terminology.cache_clear()
    load_profiles.cache_clear()
    for written in (given.out, given.terminology, given.profiles):
        print(f"{written}: {written.stat().st_size:,} bytes")
    return 0
