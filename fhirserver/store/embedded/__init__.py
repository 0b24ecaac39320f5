"""The embedded database: a real mongod on a data folder, found, started, taken over and stopped.

Public: `Embedded` and its errors, `connect` for commands, `find` for the binary, and what `doctor` asks about. It knows nothing of
what is stored.
"""

from fhirserver.store.embedded.database import (
    OPEN_FILES,
    Embedded,
    EmbeddedError,
    FolderInUse,
    connect,
    free_port,
    raise_file_limit,
)
from fhirserver.store.embedded.mongod import OLDEST, NoMongod, find

__all__ = [
    "OLDEST",
    "OPEN_FILES",
    "Embedded",
    "EmbeddedError",
    "FolderInUse",
    "NoMongod",
    "connect",
    "find",
    "free_port",
    "raise_file_limit",
]
