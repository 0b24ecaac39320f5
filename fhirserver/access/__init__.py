"""Who may see and write what: scopes, compartments and Consents, made into a Permit.

Public: `gate.decide.Gate`, `principal.Principal` and `OPEN`, `bearer.issue_token` and `principal_for`, `scopes.parse_scopes`,
`security.compartments.security_facts`, `security.classes.ACCESS_CLASS`, `writes.check_candidate`, `check_enforced`, `keep_labels` and `keeping`.

It reads what it decides on through the store's facts, as the system, in the same request, and keeps nothing for the next. It knows
nothing of HTTP, and of resources only their security facts: no text of a record passes through here.
"""
