"""Record first, within a budget: what happens to events while the disk is slow, fails, and is well again."""

import asyncio
import contextlib
import sqlite3
import threading
from concurrent.futures import Future

import pytest

from edge import recorder as recorders
from edge.decision import model
from edge.recorder import Recorder
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.state_store import StateStore

DEADLINE_S = 30


def event(number):
    """A passage with that badge."""
    return model.Event(
        1_800_000_000_000 + number, True, "front", "front-in", "badge", number, model.OPEN, "", "door", ""
    )


class Said:
    """What a Recorder tells the agent."""

    def __init__(self):
        self.troubles, self.recovered, self.commits = [], [], 0

    def committed(self, seqs, events):
        assert len(seqs) == len(events)
        self.commits += 1


class FailingLog:
    """A double of the log: the next `failures` records fail as on a full disk, the others are the real log's."""

    def __init__(self, log, failures):
        self._log, self.failures, self.attempts = log, failures, 0

    def record(self, events, revision, late=False, keep=None):
        self.attempts += 1
        if self.failures > 0:
            self.failures -= 1
            failed = Future()
            failed.set_exception(StorageError("events.db: the disk is full; free space on it", "SQLITE_FULL"))
            return failed
        return self._log.record(events, revision, late, keep)


@contextlib.contextmanager
def held_up(log):
    """The storage thread does nothing inside the block, as if the disk did not answer."""
    reached, release = threading.Event(), threading.Event()

    def stand_still(_):
        reached.set()
        release.wait(DEADLINE_S)

    log.database.read(stand_still)
    assert reached.wait(DEADLINE_S)
    try:
        yield
    finally:
        release.set()


@pytest.fixture
def log(tmp_path):
    """A real log."""
    opened = EventLog.open(tmp_path / "events.db")
    yield opened
    opened.close()


def made(log):
    said = Said()
    return Recorder(log, said.troubles.append, said.recovered.append, said.committed), said


async def until(condition, what):
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)
    assert condition(), what


def numbers(log):
    """(badge, late) of each event on disk, in the log's order."""
    return [(one.event.credential, one.late) for one in log.read(1).result(DEADLINE_S)]


def test_recorded_events_are_durable_when_it_answers(log):
    """An empty answer: they are in the file, with what is kept beside them, and the uplink is told."""

    async def play():
        recorder, said = made(log)
        assert await recorder.record([event(1), event(2)], {"lockout": b"x"}, 7, waits=True) == ""
        assert log.last_seq == 2
        assert (said.commits, said.troubles, recorder.late) == (1, [], 0)

    asyncio.run(play())
    assert numbers(log) == [(1, False), (2, False)]
    assert StateStore(log.database).load().result(DEADLINE_S)["lockout"] == b"x"


def test_slow_disk_is_waited_for_within_the_budget_only(log):
    """The answer says why, the event is written when the disk is back, marked late; trouble and recovery are told."""

    async def play():
        recorder, said = made(log)
        with held_up(log):
            why = await recorder.record([event(1)], {}, 1, waits=True)
            assert "did not answer within 100 ms" in why
            assert said.troubles == [why]
            assert (log.last_seq, said.recovered) == (0, [])
        await until(lambda: said.recovered, "it recovers")
        assert (said.recovered, recorder.late, said.commits) == ([1], 1, 1)
        assert await recorder.record([event(2)], {}, 1, waits=True) == ""

    asyncio.run(play())
    assert numbers(log) == [(1, True), (2, False)]


def test_what_nobody_waits_for_is_not_late(log):
    """A denial has no strike that waits: however slow the disk, its event is on time."""

    async def play():
        recorder, said = made(log)
        with held_up(log):
            writing = asyncio.create_task(recorder.record([event(1)], {}, 1, waits=False))
            await asyncio.sleep(0)  # it is on its way
            assert "did not answer" in await recorder.record([event(2)], {}, 1, waits=True)
            assert not writing.done()
        assert await writing == ""
        assert len(said.troubles) == 1

    asyncio.run(play())
    assert numbers(log) == [(1, False), (2, True)]


def test_failing_disk_keeps_events_in_memory_and_writes_them_later(log, monkeypatch):
    """All of them, once, in their order, marked late; recovery is told when the last is on disk."""
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)

    async def play():
        failing = FailingLog(log, 5)
        recorder, said = made(failing)
        for number in range(3):
            assert "disk is full" in await recorder.record([event(number)], {}, 1, waits=True)
        assert log.last_seq == 0
        await until(lambda: said.recovered, "it recovers")
        assert log.last_seq == 3
        assert (recorder.late, recorder.dropped, said.recovered) == (3, 0, [3])

    asyncio.run(play())
    assert numbers(log) == [(0, True), (1, True), (2, True)]


def test_state_that_was_kept_later_is_not_overwritten_by_an_earlier_one(log, monkeypatch):
    """A lockout that could not be written comes back from memory after a newer one: the newer stays."""
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)

    async def play():
        failing = FailingLog(log, 1)
        recorder, said = made(failing)
        await recorder.record([event(1)], {"lockout": b"old"}, 1, waits=True)
        assert await recorder.record([event(2)], {"lockout": b"new"}, 1, waits=True) == ""
        await until(lambda: said.recovered, "it recovers")

    asyncio.run(play())
    assert StateStore(log.database).load().result(DEADLINE_S)["lockout"] == b"new"


def test_memory_is_bounded_and_what_is_dropped_is_counted(log, monkeypatch):
    """Beyond the backlog's size nothing is held, and the count says how much went."""
    monkeypatch.setattr(recorders, "BACKLOG_EVENTS", 4)
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)

    async def play():
        failing = FailingLog(log, 1_000_000)
        recorder, said = made(failing)
        for number in range(7):
            await recorder.record([event(number)], {}, 1, waits=True)
        assert recorder.dropped == 3
        failing.failures = 0
        await until(lambda: said.recovered, "it recovers")

    asyncio.run(play())
    assert numbers(log) == [(number, True) for number in range(4)]


def test_the_loop_is_called_once_for_all_that_share_a_commit(log, monkeypatch):
    """Twenty doors whose records wait for the same flush: one call from the storage thread, not twenty."""

    async def play():
        loop, calls = asyncio.get_running_loop(), []
        call = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda told, *args: calls.append(told) or call(told, *args))
        recorder, said = made(log)
        with held_up(log):
            doors = [asyncio.create_task(recorder.record([event(n)], {}, 1, waits=False)) for n in range(20)]
            await asyncio.sleep(0)
            assert log.database.waiting == 20
        log.counts().result(DEADLINE_S)  # the loop stands still until all twenty were told
        assert await asyncio.gather(*doors) == [""] * 20
        assert said.commits == 20
        assert len(calls) == 1

    asyncio.run(play())


@contextlib.contextmanager
def flush_held_up(log, monkeypatch):
    """Records reach the file inside the block, and their commit does not end before it does."""
    reached, release = threading.Event(), threading.Event()
    write = log._recordings.write

    def write_and_wait(connection, recordings):
        numbers = write(connection, recordings)
        reached.set()
        release.wait(DEADLINE_S)
        return numbers

    with monkeypatch.context() as patch:
        patch.setattr(log._recordings, "write", write_and_wait)
        try:
            yield reached
        finally:
            release.set()


def fail_marks(log, monkeypatch, failures):
    """The next `failures` late marks fail as on a failing disk; how many failed."""
    mark, failed = log._recordings.mark_late, []

    def failing(connection, recording):
        if len(failed) < failures:
            failed.append(recording)
            raise sqlite3.OperationalError("disk I/O error")
        return mark(connection, recording)

    monkeypatch.setattr(log._recordings, "mark_late", failing)
    return failed


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_late_mark_that_fails_is_written_later(log, monkeypatch, failures):
    """The door moved while the commit was under way, and the disk refuses the mark: that is said, it is tried until it
    is written, and only then all is well again."""
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)

    async def play():
        failed = fail_marks(log, monkeypatch, failures)
        recorder, said = made(log)
        with flush_held_up(log, monkeypatch) as reached:
            assert "did not answer" in await recorder.record([event(1)], {}, 1, waits=True)
            assert reached.is_set()
        await until(lambda: said.recovered, "it recovers")
        assert len(failed) == failures
        assert (said.recovered, recorder.late, recorder.unmarked) == ([1], 1, 0)
        assert len(said.troubles) == 1 + bool(failures)

    asyncio.run(play())
    assert numbers(log) == [(1, True)]
    assert log.verify().result(DEADLINE_S).is_whole


def test_a_state_whose_record_fails_after_a_newer_one_was_asked_for_is_not_put_back(log, monkeypatch):
    """Two doors at once: the first record fails, the second is written, the first is tried again: its lockout is the
    older one, whatever else was kept with it is not."""
    monkeypatch.setattr(recorders, "RETRY_S", 0.01)

    async def play():
        recorder, said = made(FailingLog(log, 1))
        await asyncio.gather(
            recorder.record([event(1)], {"lockout": b"old", "passback": b"first"}, 1, waits=True),
            recorder.record([event(2)], {"lockout": b"new"}, 1, waits=True),
        )
        assert log.last_seq == 1
        await until(lambda: said.recovered, "it recovers")

    asyncio.run(play())
    assert numbers(log) == [(2, False), (1, True)]
    assert StateStore(log.database).load().result(DEADLINE_S) == {"lockout": b"new", "passback": b"first"}


def test_an_orderly_stop_writes_what_is_held_in_memory(log, monkeypatch):
    """The disk is well again and the next try is an hour away: the stop does not wait for it, and loses nothing."""
    monkeypatch.setattr(recorders, "RETRY_S", 3600)

    async def play():
        recorder, _ = made(FailingLog(log, 2))
        for number in range(2):
            await recorder.record([event(number)], {"lockout": b"%d" % number}, 1, waits=True)
        await asyncio.sleep(0)
        assert log.last_seq == 0
        await recorder.close()
        assert (recorder.dropped, recorder.unmarked) == (0, 0)

    asyncio.run(play())
    assert numbers(log) == [(0, True), (1, True)]
    assert StateStore(log.database).load().result(DEADLINE_S) == {"lockout": b"1"}


def test_an_orderly_stop_writes_late_marks(log, monkeypatch):
    """Likewise a mark that the disk refused before."""
    monkeypatch.setattr(recorders, "RETRY_S", 3600)

    async def play():
        fail_marks(log, monkeypatch, 1)
        recorder, said = made(log)
        with flush_held_up(log, monkeypatch):
            await recorder.record([event(1)], {}, 1, waits=True)
        await until(lambda: len(said.troubles) == 2, "the mark fails")
        await recorder.close()

    asyncio.run(play())
    assert numbers(log) == [(1, True)]


@pytest.mark.parametrize("is_silent", [False, True], ids=["refuses", "silent"])
def test_what_a_stop_loses_is_counted_and_said(log, monkeypatch, capsys, is_silent):
    """A disk that refuses to the end is tried once more, one that does not answer is waited for within a limit."""
    monkeypatch.setattr(recorders, "RETRY_S", 3600)
    monkeypatch.setattr(recorders, "CLOSE_S", 0.05 if is_silent else 3600)

    async def play():
        failing = FailingLog(log, 3 if is_silent else 1_000_000)
        recorder, _ = made(failing)
        for number in range(3):
            await recorder.record([event(number)], {}, 1, waits=True)
        with held_up(log) if is_silent else contextlib.nullcontext():
            await recorder.close()
        assert (failing.attempts, recorder.dropped) == (4, 3)

    asyncio.run(play())
    assert "3 events are lost" in capsys.readouterr().err


def test_a_stop_with_nothing_held_back_says_nothing(log, capsys):
    """The control."""

    async def play():
        recorder, _ = made(log)
        await recorder.record([event(1)], {}, 1, waits=True)
        await recorder.close()

    asyncio.run(play())
    assert numbers(log) == [(1, False)]
    assert capsys.readouterr().err == ""
