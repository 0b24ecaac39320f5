"""One load: files in turn; batches are read and judged ahead while the one before them is written, and written in their order.

Where each file stands is written down about once a second, so a load that was killed goes on from there. What it had written and
not yet counted is recognised when it comes again: nothing is there twice, and the counts at the end are those of the whole load.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from fhirserver.definitions import Definitions
from fhirserver.interactions.load.report import Report
from fhirserver.interactions.load.sources import Reader, Source, Text
from fhirserver.interactions.load.tally import Counts, Outcome
from fhirserver.interactions.load.units import Units

BATCH: Final = 1_000
BATCH_BYTES: Final = 2 * 1024 * 1024
"""Texts, and bytes of them, that are read and judged together. In a Bundle a text is many resources."""
CHECKPOINT_SECONDS: Final = 1.0

R = TypeVar("R")
_Batch = tuple[list[Text], R, int]


@dataclass(slots=True)
class Checkpoint:
    """Where the load of one file stands. `run` names this load of it; `report` is the size of the report.

    A file that is `is_done` keeps its checkpoint until all files of the load are.
    """

    run: str
    offset: int = 0
    number: int = 0
    report: int = 0
    counts: Counts = field(default_factory=Counts)
    is_done: bool = False

    def as_row(self) -> dict[str, Any]:
        """The checkpoint as it is kept."""
        return asdict(self)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The checkpoint that was kept."""
        counts = Counts(**row["counts"])
        return cls(row["run"], row["offset"], row["number"], row["report"], counts, row["is_done"])


@dataclass(slots=True)
class Job:
    """One file on its way. `is_uncertain`: what is found stored may have been written by this very load."""

    source: Source
    units: Units
    run: str
    is_uncertain: bool

    def doubt(self) -> None:
        """From now on what is found stored may have been written by this load."""
        self.is_uncertain = True


@dataclass(slots=True)
class Progress:
    """What a person who waits wants to know."""

    file: str = ""
    done: int = 0
    size: int = 0
    resources: int = 0


class Target(Protocol, Generic[R]):
    """Where resources go."""

    @property
    def ahead(self) -> int:
        """How many batches are judged while one is written."""

    @property
    def beside(self) -> int:
        """How many batches may be handed in to be written while the one before them is. Whether they are is the target's to know."""

    async def judge(self, texts: Sequence[Text], job: Job) -> R:
        """What can be done before the turn of these texts comes, beside the loop."""

    async def write(self, ready: R, job: Job) -> list[Outcome]:
        """Write them, and say what came of each."""

    async def recall(self, key: str) -> Checkpoint | None:
        """Where an unfinished load of this content stands."""

    async def remember(self, key: str, checkpoint: Checkpoint) -> None:
        """Write down where it stands."""

    async def forget(self, key: str) -> None:
        """It is done."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a load works with, besides its target."""

    definitions: Definitions
    base_url: str
    new_run: Callable[[], str]
    report: Report
    progress: Callable[[Progress], None]


async def load(paths: Sequence[Path], target: Target[R], means: Means) -> Counts:
    """Load these files. What was refused stands in the report."""
    sources = [await asyncio.to_thread(Source.of, path) for path in paths]
    unfinished = [await target.recall(source.digest) for source in sources]
    means.report.resume(max([each.report for each in unfinished if each is not None], default=0))
    shown = Progress(size=sum(source.size for source in sources))
    counts = Counts()
    for source, checkpoint in zip(sources, unfinished, strict=True):
        shown.file = str(source.path)
        if checkpoint is not None and checkpoint.is_done:
            shown.done, shown.resources = shown.done + source.size, shown.resources + checkpoint.counts.total
            counts.join(checkpoint.counts)
        else:
            counts.join(await _Loading(source, target, means, checkpoint).run(shown))
    for source in sources:
        await target.forget(source.digest)
    return counts


class _Loading(Generic[R]):
    """The load of one file."""

    def __init__(self, source: Source, target: Target[R], means: Means, checkpoint: Checkpoint | None) -> None:
        self._source, self._target, self._means = source, target, means
        self._at = checkpoint or Checkpoint(means.new_run())
        units = Units(means.definitions, means.base_url, source.digest)
        self._job = Job(source, units, self._at.run, is_uncertain=checkpoint is not None)

    async def run(self, shown: Progress) -> Counts:
        loop = asyncio.get_running_loop()
        before, resources, noted = shown.done, shown.resources - self._at.counts.total, loop.time()
        # The first checkpoint names the run: what a killed load wrote before the next one is recognised by it.
        await self._target.remember(self._source.digest, self._at)
        with Reader(self._source, offset=self._at.offset, number=self._at.number) as reader:
            writing: deque[tuple[list[Text], int, asyncio.Task[list[Outcome]]]] = deque()

            async def written() -> None:
                texts, position, task = writing[0]
                self._note(texts, await task)
                writing.popleft()
                shown.done, shown.resources = before + position, resources + self._at.counts.total
                self._means.progress(shown)

            try:
                async with aclosing(self._judged(reader)) as batches:
                    async for texts, ready, position in batches:
                        _leave_if_told()
                        task = asyncio.create_task(self._target.write(ready, self._job))
                        writing.append((texts, position, task))
                        if len(writing) > self._target.beside:
                            await written()
                        if loop.time() - noted > CHECKPOINT_SECONDS:
                            noted = loop.time()
                            await self._target.remember(self._source.digest, self._at)
                while writing:
                    await written()
            finally:
                await _cancelled([task for _, _, task in writing])
        self._at.is_done = True
        await self._target.remember(self._source.digest, self._at)
        shown.done = before + self._source.size
        return self._at.counts

    async def _judged(self, reader: Reader) -> AsyncGenerator[_Batch[R], None]:
        """The batches in their order, judged ahead as far as the target likes: so many are in memory, however long the file is."""
        # Read in the loop: it takes a hundredth of the time, and memory that every thread in turn asks for is not given back.
        portions = ((*each, asyncio.create_task(self._target.judge(each[0], self._job))) for each in _portions(reader))
        ahead = deque(islice(portions, self._target.ahead))
        try:
            while ahead:
                texts, position, judging = ahead[0]
                ready = await judging
                ahead.popleft()
                ahead.extend(islice(portions, 1))
                yield texts, ready, position
        finally:
            await _cancelled([task for _, _, task in ahead])

    def _note(self, texts: Sequence[Text], outcomes: Sequence[Outcome]) -> None:
        report, is_lines = self._means.report, self._source.is_lines
        for outcome in outcomes:
            self._at.counts.add(outcome)
        refused = [outcome for outcome in outcomes if outcome.fate == "refused"]
        for outcome in sorted(refused, key=lambda each: (each.number, each.entry or 0)):
            report.add(self._source.path, outcome, is_lines=is_lines)
        self._at.offset, self._at.number, self._at.report = texts[-1].end, texts[-1].number, report.size


def _leave_if_told() -> None:
    """Raise the cancellation that was asked for and lost: it can meet the end of a command in the driver, and the task goes on."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _portions(reader: Reader) -> Iterator[tuple[list[Text], int]]:
    """The texts that are left, and how much of the file was read."""
    texts: list[Text] = []
    size = 0
    for text in reader.texts():
        texts.append(text)
        size += len(text.data)
        if len(texts) >= BATCH or size >= BATCH_BYTES:
            yield texts, reader.position
            texts, size = [], 0
    if texts:
        yield texts, reader.position
