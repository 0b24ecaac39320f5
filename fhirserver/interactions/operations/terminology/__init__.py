"""The operations of terminology: one file a question, and the table of them.

What they work out is `fhirserver.terminology`; here parameters come in and go out, and the store is asked under the caller's permit.

https://hl7.org/fhir/R4/terminology-service.html
"""

from typing import Final

from fhirserver.interactions.operations.operation import Operation
from fhirserver.interactions.operations.terminology.closure import CLOSURE
from fhirserver.interactions.operations.terminology.expand import EXPAND
from fhirserver.interactions.operations.terminology.lookup import LOOKUP, SUBSUMES
from fhirserver.interactions.operations.terminology.translate import TRANSLATE
from fhirserver.interactions.operations.terminology.validate_code import (
    CODE_SYSTEM_VALIDATE_CODE,
    VALUE_SET_VALIDATE_CODE,
)

TERMINOLOGY: Final[tuple[Operation, ...]] = (
    EXPAND,
    VALUE_SET_VALIDATE_CODE,
    CODE_SYSTEM_VALIDATE_CODE,
    LOOKUP,
    SUBSUMES,
    TRANSLATE,
    CLOSURE,
)

__all__ = ["TERMINOLOGY"]
