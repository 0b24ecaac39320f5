"""What the entries of a transaction have in common with conditional interactions: criteria, links, and one transaction for all.

Public: `Entry` (what is asked), `Done` (what came of it), `Failed`, `perform`, `rehearse`. It knows no HTTP and no Bundle:
`interactions.bundles.transaction` and `interactions.writing.conditional` are its two doors.

https://hl7.org/fhir/R4/http.html#transaction
"""

from fhirserver.interactions.bundles.entry import Done, Entry, Failed
from fhirserver.interactions.bundles.perform import perform, rehearse

__all__ = ["Done", "Entry", "Failed", "perform", "rehearse"]
