"""Work that outlasts a request: a queue in the database, and the workers of the servers that share it.

Public: `Job`, `State`, `Queue`, `Worker`, `Run`, and `Postponed`, which work raises that cannot begin yet. What a job does is not known
here: it is a kind, a task, and a position from which the next holder goes on.
"""

from fhirserver.jobs.queue import Job, Lost, Queue, State
from fhirserver.jobs.worker import Handler, Postponed, Run, Worker

__all__ = ["Handler", "Job", "Lost", "Postponed", "Queue", "Run", "State", "Worker"]
