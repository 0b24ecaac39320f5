"""The write path: group commit.

Public: `Write`, `Written`, `Derived`, `By`, `Member`, `Committer`. It knows nothing of HTTP, of validation or of what companions mean.
"""

from fhirserver.store.commit.group import Committer
from fhirserver.store.commit.prepare import Prepared
from fhirserver.store.commit.write import By, Companion, Derive, Derived, Member, Seal, Write, Written, request_rows

__all__ = [
    "By",
    "Committer",
    "Companion",
    "Derive",
    "Derived",
    "Member",
    "Prepared",
    "Seal",
    "Write",
    "Written",
    "request_rows",
]
