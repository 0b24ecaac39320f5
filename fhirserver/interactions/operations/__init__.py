"""The operations: one file each, and the table of them, from which addresses, routes and the statement of capabilities are made.

Public: `OPERATIONS`, and what an operation is (`Operation`, `Level`, `Invocation`).
"""

from fhirserver.interactions.operations.meta import META
from fhirserver.interactions.operations.operation import Invocation, Level, Operation

OPERATIONS = (META,)

__all__ = ["OPERATIONS", "Invocation", "Level", "Operation"]
