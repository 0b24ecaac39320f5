"""FHIRPath Patch: changes of a resource whose places are named by FHIRPath.

Public: `FhirPathPatch`, read from a Parameters resource and applied to a resource. It must not know of requests or stores.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from fhirserver.fhirpath.patching.patch import FhirPathPatch

__all__ = ["FhirPathPatch"]
