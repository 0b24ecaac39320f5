"""The interactions: one file each, under the specification's own names, without HTTP.

Public: `Services` and `Context`, and a function an interaction: in `reading` (`read`, `vread`, `history_instance`, `search_type`), in
`writing` (`create`, `update`, `patch`, `delete`), in `bundles` (`transaction`), and `capabilities`. Each asks the gate for a permit
before it asks the store. The room knows neither headers nor status codes; it raises the errors of `model.outcome`.

https://hl7.org/fhir/R4/http.html
"""
