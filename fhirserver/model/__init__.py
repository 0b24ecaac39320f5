"""Model: what every room shares.

`json` (exact JSON in and out), `dates` (partial dates and their intervals), `reference`, `resource` (`Version`) and
`outcome` (issues and the tree of errors). This room must not know of definitions, stores or requests.
"""
