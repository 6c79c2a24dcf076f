"""One thread that owns the only connection to one SQLite file, and commits in groups.

Work arrives as functions of the connection. All writes that are queued while a commit runs go into the next one,
so that many doors share one flush of the disk. Reads run between commits, one at a time, so that a long search
(a generator) never keeps a door waiting for longer than one of its steps.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from pathlib import Path
from types import GeneratorType
from typing import Any, Generic, NamedTuple, TypeVar

from edge.storage.errors import StorageError, from_sqlite
from edge.storage.migrations import Schema
from edge.storage.opening import OpenReport, open_file

T = TypeVar("T")

GROUP_JOBS = 256  # a commit that grows without end would keep its first door waiting
GROUPS_BEFORE_READ = 8  # reads wait for writes, but not for ever
CHECKPOINT_COMMITS = 200  # about 800 pages: copied back while nobody waits


class Read(NamedTuple):
    """A step that reads: see DatabaseThread.read."""

    work: Callable[[sqlite3.Connection], Any]


class Write(NamedTuple):
    """A step that writes: see DatabaseThread.write."""

    work: Callable[[sqlite3.Connection], Any]


Step = Read | Write


class _Job(Generic[T]):
    __slots__ = ("after", "future", "steps", "work")

    def __init__(
        self, work: Callable[[sqlite3.Connection], Any], after: Callable[[T], None] | None, future: "Future[T]"
    ) -> None:
        self.work = work
        self.after = after
        self.future = future
        self.steps: Generator[None, None, T] | None = None
        # From here on cancel() has no effect: whoever stops waiting for a record must not undo it.
        future.set_running_or_notify_cancel()

    def finish(self, result: T) -> None:
        try:
            if self.after is not None:
                self.after(result)
        except Exception as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class DatabaseThread:
    """The thread behind one file. Make it with `open`.

    commits: transactions made durable. rollbacks: transactions undone. refused: jobs turned away because the queue was
    full.
    report: how opening went."""

    _thread: threading.Thread
    _connection: sqlite3.Connection  # used by the thread alone; sqlite3 itself checks that

    def __init__(self, path: Path, max_queue: int) -> None:
        self.path = path
        self.commits = 0
        self.rollbacks = 0
        self.refused = 0
        self.report = OpenReport(path, False, None, "")
        self._max_queue = max_queue
        self._writes: deque[_Job[Any]] = deque()
        self._reads: deque[_Job[Any]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._groups_in_row = 0
        self._commits_at_checkpoint = 0

    @classmethod
    def open(
        cls,
        path: Path | str,
        schema: Schema,
        *,
        check: bool = True,
        max_queue: int = 20_000,
        busy_timeout_ms: int = 2_000,
    ) -> "DatabaseThread":
        """Open the file and start its thread; blocks until the file is ready. StorageError where it cannot be."""
        database = cls(Path(path), max_queue)
        ready: Future[None] = Future()
        database._thread = threading.Thread(
            target=database._run,
            args=(ready, schema, check, busy_timeout_ms),
            name=f"storage {database.path.name}",
            daemon=True,  # a disk that never answers must not keep the process alive
        )
        database._thread.start()
        ready.result()
        return database

    @property
    def is_alive(self) -> bool:
        """Whether the thread still works (for a watchdog)."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._writes) + len(self._reads)

    def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        after: Callable[[T], None] | None = None,
        future: "Future[T] | None" = None,
    ) -> "Future[T]":
        """Run `work(connection)` in a transaction; the future completes once it is durable.

        An exception undoes this work alone. `work` may run a second time, when the group it was in fails, so it
        does nothing but SQL, and what it remembers of it holds until `rollbacks` grows; `after(result)` runs once, on
        this thread, after the commit. StorageError (in the future) where the disk refused, the queue is full or the
        file is closed."""
        return self._submit(self._writes, _Job(work, after, Future() if future is None else future))

    def read(self, work: Callable[[sqlite3.Connection], Any]) -> "Future[Any]":
        """Run `work(connection)` between two commits. Where it returns a generator, that is advanced one step at
        a time, writes going first, and its return value is the result."""
        return self._submit(self._reads, _Job(work, None, Future()))

    def carry_out(self, steps: Generator[Step, Any, T]) -> "Future[T]":
        """Do one step after the other, each a job of its own, so that records go between them; a step's result is
        what `yield` gives. The future gives what the generator returns, or its exception."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def advance(done: "Future[Any] | None") -> None:
            try:
                error = done.exception() if done is not None else None
                if error is not None:
                    step = steps.throw(error)
                else:
                    step = steps.send(done.result() if done is not None else None)
            except StopIteration as stop:
                future.set_result(stop.value)
            except Exception as problem:
                future.set_exception(problem)
            else:
                begun = self.write(step.work) if isinstance(step, Write) else self.read(step.work)
                begun.add_done_callback(advance)

        advance(None)
        return future

    def close(self, timeout_s: float = 10) -> None:
        """Finish what is queued, then close the file. StorageError where the disk does not let it finish."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise StorageError(
                f"{self.path}: not closed after {timeout_s} s, {self.waiting} jobs wait for the disk; "
                f"check the kernel's messages about it"
            )

    def _submit(self, queue: deque[_Job[Any]], job: _Job[T]) -> "Future[T]":
        with self._wake:
            if self._closing:
                refusal = StorageError(f"{self.path}: it is closed; start the agent again")
            elif len(queue) >= self._max_queue:
                self.refused += 1
                refusal = StorageError(
                    f"{self.path}: {len(queue)} jobs wait and the disk does not keep up; this one was refused; "
                    f"check the disk"
                )
            else:
                queue.append(job)
                self._wake.notify()
                return job.future
        job.future.set_exception(refusal)
        return job.future

    # --- on the thread ----------------------------------------------------------------------------------------

    def _run(self, ready: "Future[None]", schema: Schema, check: bool, busy_timeout_ms: int) -> None:
        try:
            self._connection, self.report = open_file(self.path, schema, check=check, busy_timeout_ms=busy_timeout_ms)
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        try:
            self._serve()
        finally:
            self._end()

    def _serve(self) -> None:
        while (turn := self._take()) is not None:
            group, job = turn
            if group:
                self._commit(group)
            if job is not None:
                self._advance(job)
            self._checkpoint_if_idle()

    def _end(self) -> None:
        """Close the file. Jobs are left only after a fault of ours; then nobody must wait for them for ever."""
        with self._wake:
            self._closing = True
            left = [*self._writes, *self._reads]
            self._writes.clear()
            self._reads.clear()
        for job in left:
            job.future.set_exception(StorageError(f"{self.path}: its thread ended by a fault; start the agent again"))
        self._connection.close()

    def _take(self) -> tuple[list[_Job[Any]], _Job[Any] | None] | None:
        """The next group of writes, or the next read; None when all is done and the file is closing."""
        with self._wake:
            while not (self._writes or self._reads):
                if self._closing:
                    return None
                self._wake.wait()
            if self._writes and (self._groups_in_row < GROUPS_BEFORE_READ or not self._reads):
                self._groups_in_row += 1
                return [self._writes.popleft() for _ in range(min(len(self._writes), GROUP_JOBS))], None
            self._groups_in_row = 0
            return [], self._reads.popleft()

    def _commit(self, group: list[_Job[Any]]) -> None:
        if len(group) > 1 and self._commit_together(group):
            return
        for job in group:
            self._commit_alone(job)

    def _commit_together(self, group: list[_Job[Any]]) -> bool:
        """One transaction for all, a savepoint each. False: nothing was written and no future was touched."""
        done, failed = [], []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in group:
                self._connection.execute("SAVEPOINT job")
                try:
                    done.append((job, job.work(self._connection)))
                except Exception as error:
                    # A full or failing disk may have ended the whole transaction; then this raises, too.
                    self._connection.execute("ROLLBACK TO job")
                    failed.append((job, error))
                self._connection.execute("RELEASE job")
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            return False
        self.commits += 1
        for job, result in done:
            job.finish(result)
        for job, reason in failed:
            job.future.set_exception(self._explain(reason))
        return True

    def _commit_alone(self, job: _Job[Any]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            result = job.work(self._connection)
            self._connection.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            job.future.set_exception(self._explain(error))
        else:
            self.commits += 1
            job.finish(result)

    def let_others_pass(self, pause_s: float) -> None:
        """From within a read that cannot be a generator (SQLite's own copying): commit what waits, take one waiting
        read a step further, and leave the disk alone for `pause_s` where nothing waits. StorageError once the file is
        to be closed."""
        with self._wake:
            if self._closing:
                raise StorageError(f"{self.path}: it is being closed; ask again once the agent runs")
            if not (self._writes or self._reads):
                self._wake.wait(pause_s)
            group = [self._writes.popleft() for _ in range(min(len(self._writes), GROUP_JOBS))]
            job = self._reads.popleft() if self._reads else None
        if group:
            self._commit(group)
        if job is not None:
            self._advance(job)

    def _roll_back(self) -> None:
        self.rollbacks += 1
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite drops what it holds in memory even if the disk answers nothing; BEGIN shows whether it did.
            pass

    def _advance(self, job: _Job[Any]) -> None:
        try:
            if job.steps is None:
                result = job.work(self._connection)
                if not isinstance(result, GeneratorType):
                    job.finish(result)
                    return
                job.steps = result
            next(job.steps)
        except StopIteration as stop:
            job.finish(stop.value)
        except Exception as error:
            job.future.set_exception(self._explain(error))
        else:
            with self._wake:
                self._reads.append(job)

    def _checkpoint_if_idle(self) -> None:
        """Copy the write-ahead log back while nobody waits, so that no record has to do it."""
        if self.commits - self._commits_at_checkpoint < CHECKPOINT_COMMITS or self.waiting:
            return
        self._commits_at_checkpoint = self.commits
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            # Nothing is lost: it stays in the log, and a disk that fails fails the next record audibly.
            pass

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            explained = from_sqlite(error, self.path)
            explained.__cause__ = error
            return explained
        return error
