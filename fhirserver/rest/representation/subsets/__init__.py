"""Parts of resources: what `_summary` and `_elements` leave of them, and how the two are read where there is no search.

Public: `subset_of`, the subset that a read asks for, and `asked`, that of pairs at hand; `subsetted`, the versions as far as they are sent; `cut`, one parsed resource.

https://hl7.org/fhir/R4/search.html#summary
"""

from fhirserver.rest.representation.subsets.asked import asked, subset_of
from fhirserver.rest.representation.subsets.cut import cut, subsetted

__all__ = ["asked", "cut", "subset_of", "subsetted"]
