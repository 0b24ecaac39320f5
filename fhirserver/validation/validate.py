"""Validation of a resource: every issue at once, each with its place and a sentence to act on.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import local
from typing import Any

from fhirserver.definitions import Definitions
from fhirserver.model.outcome import BadRequest, FhirError, Issue, Unprocessable
from fhirserver.validation.accept import Acceptor
from fhirserver.validation.conformance import Allowance, Conformance, Knowledge
from fhirserver.validation.conformance.profile import Profile
from fhirserver.validation.conformance.reading import Find, read_profile
from fhirserver.validation.ids import repeated
from fhirserver.validation.invariants import Invariants
from fhirserver.validation.rules import Rules
from fhirserver.validation.shapes import Shapes
from fhirserver.validation.walk import walk


class Validator:
    """Validates resources against the base definitions and their invariants."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._shapes = Shapes(definitions)
        rules = Rules(definitions)
        self._rules = rules
        # Each thread has its own: a large resource is read beside the event loop, which must not wait for it.
        self._own = local()
        self._invariants = Invariants(self._shapes, rules)
        self._conformance = Conformance(self._shapes, rules)

    def check(self, resource: Any, resource_type: str, texts: Mapping[str, str | bytes] | None = None) -> None:
        """Refuse an invalid resource, or one that is not of this type. `texts` are those of its elements, as `json.texts`, where the
        caller has them. Raises BadRequest or Unprocessable."""
        is_of_type = isinstance(resource, dict) and resource.get("resourceType") == resource_type
        if is_of_type and self._acceptor().accepts(resource, texts or {}):
            return
        error = error_for(self.validate(resource, resource_type=resource_type))
        if error is not None:
            raise error

    def validate(self, resource: Any, *, resource_type: str | None = None) -> list[Issue]:
        """All issues of a parsed resource; if it is valid, warnings at most. `resource_type` is the type that it must have."""
        if resource_type is not None and isinstance(resource, dict):
            found = resource.get("resourceType")
            if isinstance(found, str) and found != resource_type:
                sentence = f"The resource is of another type; {resource_type} is expected here."
                return [Issue("error", "structure", sentence, "resourceType")]
        advice = self._acceptor().advice(resource)
        if advice is not None:
            return list(advice)
        issues = walk(self._shapes, resource)
        if not any(issue.code == "structure" for issue in issues):
            issues += self._invariants.issues(resource)
        return issues

    def _acceptor(self) -> Acceptor:
        """That of this thread."""
        found: Acceptor | None = getattr(self._own, "acceptor", None)
        if found is None:
            found = self._own.acceptor = Acceptor(self._shapes, self._rules)
        return found

    def profile(self, definition: Mapping[str, Any], find: Find) -> Profile | None:
        """A profile, read; None if it is none of R4's types. `find` gives the StructureDefinition of a canonical."""
        return read_profile(definition, self._shapes, find)

    def conformance(
        self,
        resource: Any,
        issues: Sequence[Issue],
        knowledge: Knowledge,
        profiles: Sequence[str] = (),
        now: datetime | None = None,
        allowance: Allowance | None = None,
    ) -> list[Issue]:
        """What terminology and profiles say besides of a resource that has these issues; nothing refuses a write for it.

        `allowance` is what several validations may do together.
        """
        if not isinstance(resource, dict) or any(issue.code == "structure" for issue in issues):
            return []
        return [*repeated(resource), *self._conformance.issues(resource, knowledge, profiles, now, allowance)]


def complete(issues: Sequence[Issue]) -> list[Issue]:
    """The issues as an answer to who asks for them: errors first, and never none."""
    found = sorted(issues, key=lambda issue: _SEVERITIES.index(issue.severity))
    return found or [Issue("information", "informational", "No issues were found.")]


_SEVERITIES = ("fatal", "error", "warning", "information")


def error_for(issues: Sequence[Issue]) -> FhirError | None:
    """The refusal that these issues make: 400 if the structure is broken, else 422; None if none is an error.

    It says what must be changed: advice, such as that a narrative would be good, is left out.
    """
    issues = [issue for issue in issues if issue.severity != "warning" or issue.code != "invariant"]
    if not any(issue.severity in ("error", "fatal") for issue in issues):
        return None
    is_broken = any(issue.code == "structure" and issue.severity in ("error", "fatal") for issue in issues)
    return (BadRequest if is_broken else Unprocessable).of(issues)
