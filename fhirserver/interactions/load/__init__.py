"""Loading: Bundles and NDJSON of any size, each resource created, updated, left as it is, or refused with the reason.

Public: `files` and `Source` (what is read), `load` (the run: progress, checkpoints, counts, report) over a `Target`, and `Direct`,
the target that is this process's own store. It knows no HTTP; the target that speaks REST belongs to the command line.
"""

from fhirserver.interactions.load.direct import Direct
from fhirserver.interactions.load.processes import Processes
from fhirserver.interactions.load.report import BadReport, Report
from fhirserver.interactions.load.run import Checkpoint, Job, Means, Progress, Target, load
from fhirserver.interactions.load.sources import BadSource, Source, files
from fhirserver.interactions.load.tally import Counts, Outcome
from fhirserver.interactions.load.units import Candidate, Unit

__all__ = [
    "BadReport",
    "BadSource",
    "Candidate",
    "Checkpoint",
    "Counts",
    "Direct",
    "Job",
    "Means",
    "Outcome",
    "Processes",
    "Progress",
    "Report",
    "Source",
    "Target",
    "Unit",
    "files",
    "load",
]
