"""Figures for Prometheus: requests and their times, by interaction, resource type and status. No ids, no names.

Where several processes serve, prometheus_client keeps what each of them counts in files of a folder that they share, and each
answers with the sum. What a process that ended has counted stays in the sum.

https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder. prometheus_client reads it when it is imported, so it is there before a process starts."""
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The registry of one application, and what is counted in it."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, shared: Path | None = None) -> None:
        """`shared` is the folder of the processes that count together, of which this is one; without it there is this one."""
        self.registry = CollectorRegistry()
        self._told = self.registry if shared is None else CollectorRegistry()
        PlatformCollector(registry=self._told)
        if shared is None:
            ProcessCollector(registry=self._told)
            GCCollector(registry=self._told)
        else:
            MultiProcessCollector(self._told, str(shared))  # type: ignore[no-untyped-call]
            self._told.register(_Processes(shared))
        self._requests = Counter(
            "fhir_requests",
            "Requests to /fhir that were answered.",
            ("interaction", "type", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "fhir_request_seconds",
            "Seconds from the first byte of a request to the last of its answer.",
            ("interaction",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        keys = Counter(
            "fhir_patient_keys",
            "Patients that systems without access to them named by an identifier, in the references of what they create.",
            ("found",),
            registry=self.registry,
        )
        self._keys = {found: keys.labels(str(found).lower()) for found in (True, False)}
        self._counts: dict[tuple[str, str, int], Counter] = {}
        self._times: dict[str, Histogram] = {}

    def observe(self, interaction: str, resource_type: str, status: int, seconds: float) -> None:
        """Count one request. Its labels come from tables of this code, so that there are only so many."""
        key = (interaction, resource_type, status)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = self._requests.labels(interaction or "none", resource_type, str(status))
        count.inc()
        time = self._times.get(interaction)
        if time is None:
            time = self._times[interaction] = self._seconds.labels(interaction or "none")
        time.observe(seconds)

    def observe_key(self, found: bool) -> None:
        """Count one identifier that was looked up, and whether it led to one patient."""
        self._keys[found].inc()

    def text(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._told)


class _Processes(Collector):
    """The operating system's figures of each process that counts in a folder and lives, with its id."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for pid in sorted({path.stem.rpartition("_")[2] for path in self._shared.glob("*.db")}):
            for each in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                family = families.setdefault(each.name, Metric(each.name, each.documentation, each.type))
                for sample in each.samples:
                    family.add_sample(sample.name, {"pid": pid}, sample.value)
        return families.values()
