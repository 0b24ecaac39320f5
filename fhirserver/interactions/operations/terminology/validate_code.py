"""The operations `$validate-code`, of value sets and of code systems: whether a coded value is right, and why not.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html and https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fhirserver.definitions.codes.grammars import GRAMMARS
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.operations.terminology.subject import (
    Subject,
    at_hand,
    codings,
    needed,
    parameters,
    subject,
    value,
)
from fhirserver.interactions.terminology import worked
from fhirserver.model.outcome import BadRequest
from fhirserver.model.resource import Resource
from fhirserver.terminology import Asked, Catalogue, CodeSystem, ValueSet
from fhirserver.terminology.coded import Coded, Rules, Verdict, in_code_system, in_value_set, some

_OF_BOTH: Final = frozenset(
    ("url", "code", "display", "coding", "codeableConcept", "abstract", "displayLanguage", "date"),
)


async def in_a_value_set(context: Context, invocation: Invocation) -> Resource:
    """`ValueSet/$validate-code`."""
    found = needed(await subject(context, invocation, carried="valueSet", version="valueSetVersion"), "valueSet")
    coded = codings(invocation, system=None, version="systemVersion")

    def work(catalogue: Catalogue) -> Verdict:
        catalogue.versions = {each.system: each.version for each in coded if each.system and each.version}
        value_set = ValueSet(catalogue, at_hand(catalogue, found))
        is_bare = "code" in invocation.parameters and coded[0].system is None
        asked = [_with_system(coded[0], value_set)] if is_bare else coded
        return some(asked, in_value_set(value_set, _rules(invocation)))

    return _said(await worked(context, work, invocation.one("date")))


def _with_system(coded: Coded, value_set: ValueSet) -> Coded:
    """A code of a context, which needs no system if only one of the value set's code systems has it."""
    grammars, listed = value_set.listed()
    found = {each.system for each in listed if each.code == coded.code}
    found |= {each for each in grammars if GRAMMARS[each](coded.code)}
    if len(found) > 1:
        raise BadRequest(
            f"Several code systems of the value set have the code '{coded.code[:100]}': send its 'system'."
        )
    return replace(coded, system=next(iter(found), ""))


async def in_a_code_system(context: Context, invocation: Invocation) -> Resource:
    """`CodeSystem/$validate-code`."""
    found = await subject(context, invocation, carried="codeSystem", version="version")
    if found is None:
        found = _system_of_coding(invocation)
    url = found.url if isinstance(found, Asked) else str(found.get("url", ""))
    version = found.version if isinstance(found, Asked) else found.get("version")
    coded = codings(invocation, system=url, version="version")

    def work(catalogue: Catalogue) -> Verdict:
        if not isinstance(found, Asked):
            catalogue.give(CodeSystem(found))
        return some(coded, in_code_system(catalogue, url, version, _rules(invocation)))

    return _said(await worked(context, work, invocation.one("date")))


def _system_of_coding(invocation: Invocation) -> Subject:
    """Where the code system is not named, it is that of the coding."""
    coding = invocation.one("coding")
    system = coding.get("system") if coding is not None else None
    if not isinstance(system, str) or not system:
        raise BadRequest("Name the code system by 'url', send it as 'codeSystem', or send a 'coding' with its system.")
    return Asked("CodeSystem", system, invocation.one("version"))


def _rules(invocation: Invocation) -> Rules:
    return Rules(invocation.one("abstract") is not False, invocation.one("displayLanguage"))


def _said(verdict: Verdict) -> Resource:
    return parameters(
        value("result", "Boolean", verdict.result),
        value("message", "String", verdict.message),
        value("display", "String", verdict.display),
    )


VALUE_SET_VALIDATE_CODE: Final = Operation(
    "validate-code",
    "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
    frozenset((Level.TYPE, Level.INSTANCE)),
    in_a_value_set,
    parameters=_OF_BOTH | {"context", "valueSet", "valueSetVersion", "system", "systemVersion"},
    resource_types=frozenset(("ValueSet",)),
)
CODE_SYSTEM_VALIDATE_CODE: Final = Operation(
    "validate-code",
    "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
    frozenset((Level.TYPE, Level.INSTANCE)),
    in_a_code_system,
    parameters=_OF_BOTH | {"codeSystem", "version"},
    resource_types=frozenset(("CodeSystem",)),
)
