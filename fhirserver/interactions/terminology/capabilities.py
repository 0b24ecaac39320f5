"""The terminology part of the capabilities interaction: what is known of code systems before anybody has stored one.

https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhirserver.definitions import load_terminology
from fhirserver.definitions.codes.grammars import GRAMMARS
from fhirserver.interactions.capabilities import Instance
from fhirserver.interactions.operations.terminology import TERMINOLOGY
from fhirserver.model.resource import Resource


def terminology_capabilities(instance: Instance) -> Resource:
    """The TerminologyCapabilities. What is stored counts besides, for whoever may see it."""
    return {
        "resourceType": "TerminologyCapabilities",
        "url": f"{instance.base_url}/metadata?mode=terminology",
        "version": instance.version,
        "name": "FhirServerTerminology",
        "status": "active",
        "date": instance.date,
        "kind": "instance",
        "software": {"name": "fhirserver", "version": instance.version},
        "implementation": {"description": "fhirserver", "url": instance.base_url},
        "codeSystem": [*_own(), *({"uri": each} for each in sorted(GRAMMARS))],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": each} for each in sorted(_expand())],
            "textFilter": "Every word of the filter begins a word of the display, or of the code.",
        },
        "codeSearch": "all",
        "validateCode": {"translations": True},
        "translation": {"needsMap": False},
        "closure": {"translation": False},
    }


def _own() -> Iterator[dict[str, Any]]:
    for url, system in sorted(load_terminology().code_systems.items()):
        if system["content"] == "complete":
            found: dict[str, Any] = {"uri": url}
            if "version" in system:
                found["version"] = [{"code": system["version"], "isDefault": True, "compositional": False}]
            yield found | {"subsumption": True}


def _expand() -> frozenset[str]:
    return next(each.parameters for each in TERMINOLOGY if each.code == "expand")
