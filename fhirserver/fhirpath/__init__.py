"""FHIRPath: expressions to functions of JSON values.

`evaluate` answers one expression of one resource, by an `Engine`. `compile_path` makes a function of one expression and
`Plan` one of many, for search; `Engine.rule` makes a condition, a `Rule`, for invariants. One compiler stands behind them. Results
are nodes: the name of a type, and the JSON value. This room must not know of search, of stores, or of any resource but the one
it is given; what an expression needs beyond is lent by the caller as a `Host`.

https://hl7.org/fhirpath/N1/
"""

from fhirserver.fhirpath.engine import Engine, Rule, evaluate
from fhirserver.fhirpath.environment import Environment, Host
from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.language.parser import parse
from fhirserver.fhirpath.path import Plan, compile_path
from fhirserver.fhirpath.values.nodes import Amount, Node

__all__ = [
    "Amount",
    "Engine",
    "Environment",
    "FhirPathError",
    "Host",
    "Node",
    "Plan",
    "Rule",
    "compile_path",
    "evaluate",
    "parse",
]
