"""GraphQL: one query of the system, or of one resource, answered under the permits of every hop.

Public: `execute`. The schema is made from the definitions (`schema`, `searches`, `fields`); a query is read and validated
(`document`), executed level by level (`execution`), reads and searches on its way (`hops`), chooses items (`items`) and shapes its
answer (`output`), all within one `budget`. This room must not know of HTTP.

https://hl7.org/fhir/R4/graphql.html
"""

from fhirserver.interactions.graphql.execute import execute

__all__ = ["execute"]
