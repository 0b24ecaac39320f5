"""Figures for Prometheus: requests and their times, by interaction, resource type and status. No ids, no names.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The registry of one application, and what is counted in it."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
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
        return generate_latest(self.registry)
