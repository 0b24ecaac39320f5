"""The operations: one file each, and the table of them, from which addresses, routes and the statement of capabilities are made.

Public: `OPERATIONS`, what an operation is (`Operation`, `Operations`, `Level`, `Invocation`, `Searchset`, `Accepted`), and `typed`, its parameters.

https://hl7.org/fhir/R4/operations.html
"""

from fhirserver.interactions.operations.everything import EVERYTHING
from fhirserver.interactions.operations.graphql import GRAPHQL
from fhirserver.interactions.operations.lastn import LASTN
from fhirserver.interactions.operations.meta import META
from fhirserver.interactions.operations.meta_changes import META_CHANGES
from fhirserver.interactions.operations.operation import Accepted, Invocation, Level, Operation, Operations, Searchset
from fhirserver.interactions.operations.parameters import typed
from fhirserver.interactions.operations.reindex import REINDEX
from fhirserver.interactions.operations.stats import STATS
from fhirserver.interactions.operations.terminology import TERMINOLOGY
from fhirserver.interactions.operations.validate import VALIDATE

OPERATIONS = Operations((META, *META_CHANGES, VALIDATE, *EVERYTHING, LASTN, STATS, GRAPHQL, *TERMINOLOGY, REINDEX))

__all__ = ["OPERATIONS", "Accepted", "Invocation", "Level", "Operation", "Operations", "Searchset", "typed"]
