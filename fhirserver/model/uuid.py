"""UUIDs of version 7: random, and close to those made just before, which is kind to an index.

https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

RANDOM_BYTES: Final = 10


def version_7(moment: datetime, random: bytes) -> str:
    """The UUID of this moment, with these random bytes, of which six bits give way to the version and the variant."""
    milliseconds = int(moment.timestamp() * 1000)
    bits = int.from_bytes(random)
    number = (milliseconds << 80) | (0x7 << 76) | ((bits >> 68) << 64) | (0b10 << 62) | (bits & ((1 << 62) - 1))
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
