"""What is loaded: NDJSON and JSON files, plain or gzip, read as a stream of texts with their places.

https://hl7.org/fhir/R4/nd-json.html
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from fhirserver.model.json import BODY_LIMIT
from fhirserver.model.outcome import BadRequest, FhirError, TooLarge

LINE_LIMIT: Final = BODY_LIMIT
"""Bytes of one line."""
FILE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a JSON file, decompressed: it is one value, and is read whole."""

_LINES: Final = (".ndjson", ".jsonl")
_WHOLE: Final = ".json"
_ZIPPED: Final = ".gz"
_CHUNK: Final = 1024 * 1024


class BadSource(Exception):
    """A path that cannot be loaded; the text says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file. `digest` is that of its bytes: the same content is known again under another name."""

    path: Path
    size: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a file, and at all of its bytes. Raises BadSource."""
        try:
            with path.open("rb") as opened:
                return cls(path, path.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest())
        except OSError as error:
            raise BadSource(f"{path} cannot be read: {error.strerror}.") from error

    @property
    def is_lines(self) -> bool:
        """Whether it holds a resource a line."""
        return self.path.name.removesuffix(_ZIPPED).endswith(_LINES)


class Text(Struct, frozen=True):
    """One line, or the whole of a JSON file: its number, where it ends, and its bytes or what is wrong with it."""

    number: int
    end: int
    data: bytes
    error: FhirError | None = None


def files(paths: Iterable[Path]) -> list[Path]:
    """The files to load: those named, and in folders whatever has the right ending, by name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if _is_ours(each) and each.is_file())
            if not inside:
                raise BadSource(f"{path} holds no .ndjson, .jsonl or .json files, plain or .gz.")
            found += inside
        elif not path.is_file():
            raise BadSource(f"{path} is not there.")
        elif not _is_ours(path):
            raise BadSource(f"{path} is neither .ndjson, .jsonl nor .json, plain or .gz.")
        else:
            found.append(path)
    return list(dict.fromkeys(found))


class Reader:
    """Reads a source from a place on, one text after the other."""

    def __init__(self, source: Source, *, offset: int = 0, number: int = 0) -> None:
        self._source = source
        self._offset = offset
        self._number = number
        self._raw = source.path.open("rb")
        is_zipped = source.path.name.endswith(_ZIPPED)
        self._file: gzip.GzipFile | BufferedReader = gzip.GzipFile(fileobj=self._raw) if is_zipped else self._raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()
        self._raw.close()

    @property
    def position(self) -> int:
        """How many of the file's own bytes were read."""
        return self._raw.tell()

    def texts(self) -> Iterator[Text]:
        """What is left, empty lines apart. A file that cannot be read on ends with the reason."""
        try:
            self._file.seek(self._offset)
            yield from self._lines() if self._source.is_lines else self._whole()
        except (EOFError, gzip.BadGzipFile, zlib.error):
            sentence = "The file cannot be decompressed from here on: it is damaged, or ends too early."
            yield Text(self._number + 1, self._offset, b"", BadRequest(sentence, code="structure"))

    def _lines(self) -> Iterator[Text]:
        while line := self._file.readline(LINE_LIMIT + 1):
            self._number += 1
            self._offset += len(line)
            error = None
            if len(line) > LINE_LIMIT and not line.endswith(b"\n"):
                self._skip_line()
                line, error = b" ", TooLarge(f"The line is longer than {LINE_LIMIT} bytes.")
            if error is not None or line.strip():
                yield Text(self._number, self._offset, line.rstrip(b"\r\n"), error)

    def _skip_line(self) -> None:
        while rest := self._file.readline(_CHUNK):
            self._offset += len(rest)
            if rest.endswith(b"\n"):
                return

    def _whole(self) -> Iterator[Text]:
        if self._offset:
            return
        data = self._file.read(FILE_LIMIT + 1)
        error = None
        if len(data) > FILE_LIMIT:
            data = b""
            error = TooLarge(f"The file holds more than {FILE_LIMIT} bytes. Split it, or make NDJSON of its resources.")
        self._offset += max(len(data), 1)
        yield Text(1, self._offset, data, error)


def _is_ours(path: Path) -> bool:
    return path.name.removesuffix(_ZIPPED).endswith((*_LINES, _WHOLE))
