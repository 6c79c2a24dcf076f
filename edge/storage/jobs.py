"""Work for the storage thread: functions of the connection, each with the future that tells its result."""

import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from types import GeneratorType
from typing import Any, NamedTuple

Works = Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]
"""works(connection, items) → a result for each item."""


class Read(NamedTuple):
    """A step that reads: see DatabaseThread.read."""

    work: Callable[[sqlite3.Connection], Any]


class Write(NamedTuple):
    """A step that writes: see DatabaseThread.write."""

    work: Callable[[sqlite3.Connection], Any]


Step = Read | Write


class Reading:
    """Reads once, or step by step where the work is a generator."""

    __slots__ = ("_steps", "_work", "future")

    def __init__(self, work: Callable[[sqlite3.Connection], Any], future: "Future[Any]") -> None:
        self._work = work
        self._steps: Generator[None, None, Any] | None = None
        self.future = future
        future.set_running_or_notify_cancel()

    @property
    def has_begun(self) -> bool:
        """Whether it is in the middle of its steps."""
        return self._steps is not None

    def advance(self, connection: sqlite3.Connection) -> bool:
        """Do the next step. Whether there are more; whatever the work raises is the caller's to tell."""
        try:
            if self._steps is None:
                result = self._work(connection)
                if not isinstance(result, GeneratorType):
                    self.future.set_result(result)
                    return False
                self._steps = result
            next(self._steps)
        except StopIteration as stop:
            self.future.set_result(stop.value)
            return False
        return True


class Writing:
    """Work for one item, in a transaction that may have others' work in it. `after(items, results)` runs on the thread
    once these are durable, before any future tells so."""

    __slots__ = ("after", "future", "item", "works")

    def __init__(
        self,
        works: Works,
        item: Any,
        after: Callable[[Sequence[Any], Sequence[Any]], None] | None,
        future: "Future[Any]",
    ) -> None:
        self.works = works
        self.item = item
        self.after = after
        self.future = future
        # From here on cancel() has no effect: whoever stops waiting for a record must not undo it.
        future.set_running_or_notify_cancel()


Job = Reading | Writing


def one(work: Callable[[sqlite3.Connection], Any]) -> Works:
    """The form of work that shares its statements with nobody."""
    return lambda connection, _: (work(connection),)


def alike(jobs: Iterable[Writing]) -> list[list[Writing]]:
    """Neighbours that have the same `works`, together."""
    runs: list[list[Writing]] = []
    for job in jobs:
        if runs and runs[-1][0].works == job.works:
            runs[-1].append(job)
        else:
            runs.append([job])
    return runs


def finish(jobs: Sequence[Writing], results: Sequence[Any]) -> None:
    """Tell the results of work that is durable now."""
    after = jobs[0].after
    if after is not None:
        try:
            after([job.item for job in jobs], results)
        except Exception as error:
            for job in jobs:
                job.future.set_exception(error)
            return
    for job, result in zip(jobs, results, strict=True):
        job.future.set_result(result)
