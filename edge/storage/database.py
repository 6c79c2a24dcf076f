"""One thread that owns the only connection to one SQLite file, and commits in groups.

Work arrives as functions of the connection. All writes that are queued while a commit runs go into the next one,
so that many doors share one flush of the disk. Reads run between commits, one at a time, so that a long search
(a generator) never keeps a door waiting for longer than one of its steps. A file that turns out damaged while it is
open is set aside, and the thread goes on in a new one.
"""

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from edge.storage.errors import StorageError, from_sqlite, is_damage
from edge.storage.job_queue import JobQueue
from edge.storage.jobs import Job, Read, Reading, Step, Works, Write, Writing, alike, finish, one
from edge.storage.migrations import Schema
from edge.storage.opening import OpenReport, open_file, open_instead, set_aside_damaged

__all__ = ["DatabaseThread", "Read", "Step", "Write"]

T = TypeVar("T")

CHECKPOINT_COMMITS = 200  # about 400 pages: copied back while nobody waits


def _nothing(*_: Any) -> None:
    """What a file that nobody asked otherwise rescues, and begins with."""


class DatabaseThread:
    """The thread behind one file. Make it with `open`.

    commits: transactions made durable. rollbacks: transactions undone. report: how opening went, at the start or when a
    damaged file was set aside, which `generation` counts."""

    _thread: threading.Thread
    _connection: sqlite3.Connection  # used by the thread alone; sqlite3 itself checks that

    def __init__(self, path: Path, schema: Schema, busy_timeout_ms: int, max_queue: int) -> None:
        self.path = path
        self.commits = 0
        self.rollbacks = 0
        self.generation = 0
        self.report = OpenReport(path, False, None, "")
        self._schema = schema
        self._busy_timeout_ms = busy_timeout_ms
        self._queue = JobQueue(max_queue)
        self._commits_at_checkpoint = 0
        self._damage: StorageError | None = None
        self._reason = ""  # what was first seen of the damage
        self._rescued: Any = None
        self._aside: Path | None = None  # where the damaged file is, until a new one has begun
        self._committed: Callable[[], None] = _nothing
        self._rescue: Callable[[sqlite3.Connection], Any] = _nothing
        self._begun: Callable[[sqlite3.Connection, Any], None] = _nothing

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
        database = cls(Path(path), schema, busy_timeout_ms, max_queue)
        ready: Future[None] = Future()
        database._thread = threading.Thread(
            target=database._run,
            args=(ready, check),
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
        return len(self._queue)

    @property
    def refused(self) -> int:
        """Jobs turned away because the queue was full."""
        return self._queue.refused

    def after_commits(self, committed: Callable[[], None]) -> None:
        """Have `committed()` called on the thread after each transaction, once everybody was told that it is
        durable."""
        self._committed = committed

    def after_damage(
        self, rescue: Callable[[sqlite3.Connection], T], begun: Callable[[sqlite3.Connection, T], None]
    ) -> None:
        """Have both called on the thread where the file turns out damaged: `rescue` on the old connection, to take from
        it what can be read; `begun` on that to the new file, outside a transaction, with what was rescued."""
        self._rescue, self._begun = rescue, begun

    def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        after: Callable[[T], None] | None = None,
    ) -> "Future[T]":
        """Run `work(connection)` in a transaction; the future completes once it is durable.

        An exception undoes this work alone. `work` may run a second time, when the group it was in fails, so it
        does nothing but SQL, and what it remembers of it holds until `rollbacks` grows; `after(result)` runs once, on
        this thread, after the commit. StorageError (in the future) where the disk refused, the queue is full or the
        file is closed."""
        told = None if after is None else lambda _, results: after(results[0])
        future: Future[T] = Future()
        self._submit(Writing(one(work), None, told, future))
        return future

    def write_along(
        self, works: Works, item: Any, after: Callable[[Sequence[Any], Sequence[Any]], None], future: "Future[Any]"
    ) -> None:
        """Like `write`, for work that is cheaper together: `works(connection, items)` gets the items of all neighbours
        in the queue that came with the same `works`, and gives a result for each. Where it raises, each item is tried
        alone. `after(items, results)` runs once a commit for those that were done together."""
        self._submit(Writing(works, item, after, future))

    def read(self, work: Callable[[sqlite3.Connection], Any]) -> "Future[Any]":
        """Run `work(connection)` between two commits. Where it returns a generator, that is advanced one step at
        a time, writes going first, and its return value is the result."""
        future: Future[Any] = Future()
        self._submit(Reading(work, future))
        return future

    def carry_out(self, steps: Generator[Step, Any, T]) -> "Future[T]":
        """Do one step after the other, each a job of its own, so that records go between them; a step's result is
        what `yield` gives. The future gives what the generator returns, or its exception. StorageError where the file
        was set aside in between: numbers of the old one mean nothing in the new one."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        generation = self.generation

        def in_same_file(work: Callable[[sqlite3.Connection], Any], connection: sqlite3.Connection) -> Any:
            if generation != self.generation:
                raise StorageError(f"{self.path}: it was set aside meanwhile; ask again")
            return work(connection)

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
                submit = self.write if isinstance(step, Write) else self.read
                submit(lambda connection: in_same_file(step.work, connection)).add_done_callback(advance)

        advance(None)
        return future

    def close(self, timeout_s: float = 10) -> None:
        """Finish what is queued, then close the file. StorageError where the disk does not let it finish."""
        self._queue.close()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise StorageError(
                f"{self.path}: not closed after {timeout_s} s, {self.waiting} jobs wait for the disk; "
                f"check the kernel's messages about it"
            )

    def _submit(self, job: Job) -> None:
        refusal = self._queue.put(job)
        if refusal:
            job.future.set_exception(StorageError(f"{self.path}: {refusal}"))

    # --- on the thread ----------------------------------------------------------------------------------------

    def _run(self, ready: "Future[None]", check: bool) -> None:
        try:
            self._connection, self.report = open_file(
                self.path, self._schema, check=check, busy_timeout_ms=self._busy_timeout_ms
            )
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        try:
            self._serve()
        finally:
            self._end()

    def _serve(self) -> None:
        while (turn := self._queue.take()) is not None:
            group, reading = turn
            if self._damage is not None and not self._begin_anew():
                jobs: list[Job] = [*group, *([reading] if reading else [])]
                for job in jobs:
                    job.future.set_exception(self._damage)
                continue
            if group:
                self._commit(group)
            if reading is not None:
                self._advance(reading)
            self._checkpoint_if_idle()
            if self._damage is not None:
                self._begin_anew()

    def _end(self) -> None:
        """Close the file. Jobs are left only after a fault of ours; then nobody must wait for them for ever."""
        for job in self._queue.take_all():
            job.future.set_exception(StorageError(f"{self.path}: its thread ended by a fault; start the agent again"))
        self._connection.close()

    def _commit(self, group: list[Writing]) -> None:
        if len(group) == 1 or not self._commit_together(group):
            for job in group:
                self._commit_alone(job)
        self._committed()

    def _commit_together(self, group: list[Writing]) -> bool:
        """One transaction for all, a savepoint for those that are alike. False: nothing was written and no future was
        touched."""
        done, failed = [], []
        waiting = deque(alike(group))
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            while waiting:
                jobs = waiting.popleft()
                self._connection.execute("SAVEPOINT job")
                try:
                    done.append((jobs, jobs[0].works(self._connection, [job.item for job in jobs])))
                except Exception as error:
                    # A full or failing disk may have ended the whole transaction; then this raises, too.
                    self._connection.execute("ROLLBACK TO job")
                    if len(jobs) > 1:
                        waiting.extendleft([job] for job in reversed(jobs))
                    else:
                        failed.append((jobs[0], error))
                self._connection.execute("RELEASE job")
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            return False
        self.commits += 1
        for jobs, results in done:
            finish(jobs, results)
        for job, reason in failed:
            job.future.set_exception(self._explain(reason))
        return True

    def _commit_alone(self, job: Writing) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = job.works(self._connection, (job.item,))
            self._connection.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            job.future.set_exception(self._explain(error))
        else:
            self.commits += 1
            finish((job,), results)

    def let_others_pass(self, pause_s: float) -> None:
        """From within a read that cannot be a generator (SQLite's own copying): commit what waits, take one waiting
        read a step further, and leave the disk alone for `pause_s` where nothing waits. StorageError once the file is
        to be closed, or is damaged."""
        if self._queue.is_closing:
            raise StorageError(f"{self.path}: it is being closed; ask again once the agent runs")
        group, reading = self._queue.take_within(pause_s)
        if group:
            self._commit(group)
        if reading is not None:
            self._advance(reading)
        if self._damage is not None:
            raise self._damage

    def _roll_back(self) -> None:
        self.rollbacks += 1
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite drops what it holds in memory even if the disk answers nothing; BEGIN shows whether it did.
            pass

    def _advance(self, reading: Reading) -> None:
        try:
            has_more = reading.advance(self._connection)
        except Exception as error:
            reading.future.set_exception(self._explain(error))
        else:
            if has_more:
                self._queue.put_back(reading)

    def _checkpoint_if_idle(self) -> None:
        """Copy the write-ahead log back while nobody waits, so that no record has to do it."""
        if self.commits - self._commits_at_checkpoint < CHECKPOINT_COMMITS or self.waiting:
            return
        self._commits_at_checkpoint = self.commits
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # Nothing is lost: it stays in the log, and a disk that fails fails the next record audibly.
            self._explain(error)

    def _begin_anew(self) -> bool:
        """Set the damaged file aside and go on in a new one; False where the disk allows none, and it is tried again
        with the next job. Only between jobs: one that copies still reads the old file."""
        if self._rescued is None:
            with contextlib.suppress(Exception):  # it is damaged: whatever reading it leads to
                self._rescued = self._rescue(self._connection)
        for begun in self._queue.take_begun():
            begun.future.set_exception(self._damage)
        try:
            self._connection.close()
            if self._aside is None:
                self._aside = set_aside_damaged(self.path)
            self._connection, self.report = open_instead(
                self.path, self._schema, self._aside, self._reason, busy_timeout_ms=self._busy_timeout_ms
            )
        except (StorageError, sqlite3.Error) as error:
            self._damage = error if isinstance(error, StorageError) else from_sqlite(error, self.path)
            return False
        self.generation += 1
        self.rollbacks += 1
        try:
            self._begun(self._connection, self._rescued)
        except sqlite3.Error as error:
            self._damage = from_sqlite(error, self.path)
            return False
        self._damage = self._rescued = self._aside = None
        return True

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            explained = from_sqlite(error, self.path)
            explained.__cause__ = error
            if is_damage(error):
                self._damage, self._reason = explained, str(error)
            return explained
        return error
