"""What each rule asks, in a sentence to act on: the rules of the main types and of the common data types.

For the others the rule's own expression is shown.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    # Every element and resource
    "ele-1": "An element needs a value or child elements; an id alone says nothing.",
    "ext-1": "An extension has either a value or extensions of its own, never both.",
    "dom-2": "A contained resource must not contain others.",
    "dom-3": "Every contained resource must be referred to from the resource that contains it, or refer to it.",
    "dom-4": "A contained resource has no version and no time of update of its own: leave out meta.versionId and meta.lastUpdated.",
    "dom-5": "A contained resource has no security labels of its own; put them on the resource that contains it.",
    "dom-6": "A resource should have a narrative, so that a person can read it without software that knows it.",
    "txt-1": "A narrative is made of the XHTML elements and attributes that R4 allows, without scripts, forms and styles of pages.",
    "txt-2": "A narrative must show something: text or an image.",
    # Appointment
    "app-1": "A participant is named by a role (type), by an actor, or by both.",
    "app-2": "An appointment has both a start and an end, or neither.",
    "app-3": "Only a proposed, cancelled or waitlisted appointment may be without start and end.",
    "app-4": "A reason for cancelling stands only on an appointment that is cancelled or to which nobody came (noshow).",
    # Consent
    "ppc-1": "A consent names the policy it is given under: policy or policyRule.",
    "ppc-2": "A consent about privacy names its patient.",
    "ppc-3": "A consent to research names its patient.",
    "ppc-4": "An advance directive names its patient.",
    "ppc-5": "A consent to treatment names its patient.",
    # Immunization
    "imm-1": "Education material is given by its type or by a reference to it.",
    # Observation
    "obs-3": "A reference range has a low end, a high end or a text.",
    "obs-6": "An observation that has a value has no reason for its absence.",
    "obs-7": "When a component has the same code as the observation, its value stands there alone: leave out the observation's value.",
    # Patient
    "pat-1": "A contact has a name, a telecom, an address or an organization.",
    # Bundle, Organization, Condition, AllergyIntolerance: what references lead to
    "org-1": "An organization has a name or an identifier.",
    "org-2": "An organization's address is never someone's home.",
    "org-3": "An organization's telecom is never someone's home.",
    "con-3": "A condition on a problem list should have a clinical status.",
    "con-4": "A condition with an abatement is inactive, resolved or in remission.",
    "con-5": "A condition that was entered in error has no clinical status.",
    "ait-1": "An allergy has a clinical status unless it was entered in error.",
    "ait-2": "An allergy that was entered in error has no clinical status.",
    "bdl-1": "Only a searchset or a history has a total.",
    "bdl-2": "Only the entries of a searchset have search.",
    "bdl-3": "The entries of a batch, a transaction and a history have a request; those of other Bundles have none.",
    "bdl-4": "The entries of a response and of a history have a response; those of other Bundles have none.",
    "bdl-5": "An entry has a resource, a request or a response.",
    "bdl-7": "No two entries are the same version of the same fullUrl.",
    "bdl-8": "A fullUrl does not name a version.",
    "bdl-9": "A document has an identifier with system and value.",
    "bdl-10": "A document has a timestamp.",
    "bdl-11": "A document begins with a Composition.",
    "bdl-12": "A message begins with a MessageHeader.",
    # Data types
    "age-1": "An age has a code of UCUM's units of time if it has a value, and no other system.",
    "att-1": "An attachment with data says what the data is: contentType.",
    "cnt-3": "A count is a whole number with the UCUM unit 1.",
    "cpt-2": "A telecom with a value says what it is: system.",
    "dis-1": "A distance has a code of UCUM's units of length if it has a value, and no other system.",
    "drt-1": "A duration with a code has a value and UCUM as its system.",
    "drq-1": "A code filter looks at a path or at a search parameter, one of them.",
    "drq-2": "A date filter looks at a path or at a search parameter, one of them.",
    "exp-1": "An expression is written out or referred to.",
    "inv-1": "A parameter has a value, a resource or parts: one of them.",
    "mqty-1": "An amount of money has a code of ISO 4217 if it has a value.",
    "per-1": "A period starts before it ends.",
    "qty-3": "A quantity with a code of its unit says the code's system.",
    "rat-1": "A ratio has a numerator and a denominator, or neither and an extension that says why.",
    "ref-1": 'A reference that begins with "#" names a contained resource.',
    "rng-2": "A range's low end is not above its high end.",
    "sqty-1": "A simple quantity has no comparator.",
    "tim-1": "A duration of a timing has a unit: durationUnit.",
    "tim-2": "A period of a timing has a unit: periodUnit.",
    "tim-4": "A timing's duration is not negative.",
    "tim-5": "A timing's period is not negative.",
    "tim-6": "A timing with periodMax has a period.",
    "tim-7": "A timing with durationMax has a duration.",
    "tim-8": "A timing with countMax has a count.",
    "tim-9": "An offset is from an event: when, and not one of the meals C, CM, CD, CV.",
    "tim-10": "A timing gives times of day (timeOfDay) or events (when), not both.",
    "trd-1": "A trigger is on a timing or on data, not on both.",
    "trd-2": "A trigger with a condition has data.",
    "trd-3": "A named event has a name, a periodic trigger a timing, a trigger on data data.",
}
"""By the key of the rule."""
