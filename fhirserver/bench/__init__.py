"""The benchmark: our server beside the ceilings of the same machine, in one run.

Absolute rates move with the machine; the ratios are what is kept. It measures, side by side: a bare ASGI answer, a bare ASGI
answer with one `find_one`, the same with the page's `find`, `insert_many` from prepared documents with the same indexes, and ours,
open (`--auth none`) and gated (a token and the consent predicate).

Public: `run`. `population`, `shapes` and `laboratory` are what the scripts of `benchmarks/` ask and send.
"""

from fhirserver.bench.run import run

__all__ = ["run"]
