"""Search parameters beside R4's: posted as SearchParameter resources, indexed for in the background, used when that is complete.

Public: `Keeper` with its `Means`, `Derivation`, `Reindexing`; `judge` and `noting`, which every write passes;
`inform` for a command that only derives.

https://hl7.org/fhir/R4/searchparameter.html
"""

from fhirserver.interactions.parameters.admission import judge, noting
from fhirserver.interactions.parameters.derivation import Derivation
from fhirserver.interactions.parameters.keeper import Keeper, Means, inform
from fhirserver.interactions.parameters.reindexing import REINDEX, Reindexing
from fhirserver.interactions.parameters.upkeep import Upkeep

__all__ = ["REINDEX", "Derivation", "Keeper", "Means", "Reindexing", "Upkeep", "inform", "judge", "noting"]
