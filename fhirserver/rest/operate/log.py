"""The log: one JSON line an event, with the request's id; no query string, no resource id, no content.

A fault is logged by its type and its places in the code: the message of an exception may hold a value from a resource.

https://hl7.org/fhir/R4/security.html#audit
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec
import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
LOGGERS: Final = ("fhirserver", "uvicorn", "uvicorn.error", "asyncio", "concurrent.futures")
"""The loggers of the standard library that are led here: ours, the HTTP server's, and those of what runs by itself."""
_FRAMES: Final = 12
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "color_message"}
_encode = msgspec.json.Encoder().encode


def configure(level: str, stream: BinaryIO | None = None) -> None:
    """Send structlog and the standard library's loggers to a stream (standard error) as JSON lines, from this level on."""
    structlog.configure(
        processors=[_as_line],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_Lines(stream or sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    handler = _Forward()
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(LEVELS[level])
    logging.getLogger("uvicorn.access").disabled = True


class Log:
    """What the facade says."""

    def __init__(self, *, requests: bool = True) -> None:
        self._logger: Any = structlog.get_logger("fhirserver").bind()
        self._requests = requests

    def request(
        self, request_id: bytes, method: str, interaction: str, resource_type: str, status: int, seconds: float
    ) -> None:
        """A request that was answered."""
        if self._requests:
            self._logger.info(
                "request",
                request_id=request_id.decode("ascii"),
                method=method if method in _METHODS else "other",
                interaction=interaction,
                type=resource_type,
                status=status,
                ms=round(seconds * 1000, 2),
            )

    def fault(self, request_id: bytes, interaction: str, error: BaseException) -> None:
        """An error of our own, or of what we stand on."""
        self._logger.error("fault", request_id=request_id.decode("ascii"), interaction=interaction, **describe(error))


def describe(error: BaseException) -> dict[str, Any]:
    """An exception without its message: its type, where it came from, and what caused it."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    cause = error.__cause__ or error.__context__
    described: dict[str, Any] = {
        "error": type(error).__name__,
        "places": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if cause is not None:
        described["cause"] = type(cause).__name__
        code = getattr(cause, "code", None)
        if isinstance(code, int):  # MongoDB's number of what went wrong
            described["code"] = code
    return described


_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class _Lines:
    """Lines to a stream. Inside a running loop those of one turn are one write: a write costs as much as a read by id."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: list[bytes] = []
        atexit.register(self._flush)

    def __call__(self, *_: object) -> _Lines:
        return self

    def msg(self, line: bytes) -> None:
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._flush)
            except RuntimeError:
                self._flush()

    debug = info = warning = error = critical = msg

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        if not lines or self._stream.closed:  # at exit the stream may be closed before this
            return
        self._stream.write(b"\n".join(lines) + b"\n")
        self._stream.flush()


class _Forward(logging.Handler):
    """Lines of the standard library's loggers, in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        details = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info is None or record.exc_info[1] is None:
            message = record.getMessage()
        else:
            # The arguments, and what asyncio adds in further lines, may hold the exception's message.
            message = str(record.msg).partition("\n")[0]
            details |= describe(record.exc_info[1])
        structlog.get_logger(record.name).log(record.levelno, message, logger=record.name, **details)


def _as_line(_: Any, level: str, event: structlog.typing.EventDict) -> bytes:
    return _encode({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, **event})
