"""The storage thread: grouping, waiting, refusing, closing."""

import asyncio
import threading

import pytest
from storage_scenes import WAIT_S, held_up, make_event

from edge.storage.database import DatabaseThread
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.migrations import EVENTS


@pytest.fixture
def log(tmp_path):
    log = EventLog.open(tmp_path / "events.db")
    yield log
    log.close()


def test_writes_that_wait_share_one_commit(log):
    """Fifty records that queue while the disk is busy become durable by a single commit."""
    before = log.commits
    with held_up(log.database):
        futures = [log.record([make_event(n)], 1) for n in range(1, 51)]
    assert [future.result(WAIT_S) for future in futures] == [[n] for n in range(1, 51)]
    assert log.commits - before == 1


def test_writes_that_do_not_wait_have_a_commit_each(log):
    """The control of the test above: records made one after the other are not grouped."""
    before = log.commits
    for n in range(10):
        log.record([make_event(n)], 1).result(WAIT_S)
    assert log.commits - before == 10


def test_many_doors_at_once_need_fewer_commits_than_records(log):
    """Sixteen threads that record as fast as they can share commits, and nobody's number is given twice."""
    before, numbers = log.commits, []

    def door() -> None:
        for n in range(25):
            numbers.extend(log.record([make_event(n)], 1).result(WAIT_S))

    threads = [threading.Thread(target=door) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(numbers) == list(range(1, 401))
    assert log.commits - before < 400


def test_a_failing_job_undoes_only_itself(log):
    """In one group, the bad batch is reported to its own caller and the others are recorded without a gap."""
    with held_up(log.database):
        first = log.record([make_event(1)], 1)
        bad = log.record([make_event(2), make_event(3, door=None)], 1, keep={"x": b"1"})
        last = log.record([make_event(4)], 1)
    with pytest.raises(ValueError, match="door"):
        bad.result(WAIT_S)
    assert (first.result(WAIT_S), last.result(WAIT_S)) == ([1], [2])
    assert [entry.event.credential for entry in log.read(1).result(WAIT_S)] == [1, 4]


def test_a_group_that_fails_as_a_whole_is_tried_one_by_one(log):
    """When one job ends the whole transaction, those before and after it are still recorded."""
    with held_up(log.database):
        first = log.record([make_event(1)], 1)
        saboteur = log.database.write(lambda connection: connection.execute("ROLLBACK") and 1 / 0)
        last = log.record([make_event(2)], 1)
    with pytest.raises(ZeroDivisionError):
        saboteur.result(WAIT_S)
    assert (first.result(WAIT_S), last.result(WAIT_S)) == ([1], [2])


def test_whoever_stops_waiting_loses_no_record(log):
    """A time-out of the waiting side leaves the record in the queue: it is written when the disk answers."""

    async def impatient():
        with held_up(log.database):
            future = log.record([make_event(7)], 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(future), 0.01)
            assert not future.cancelled()
        return await asyncio.to_thread(future.result, WAIT_S)

    assert asyncio.run(impatient()) == [1]
    assert log.read(1).result(WAIT_S)[0].event == make_event(7)


def test_a_full_queue_refuses_audibly_and_counts(tmp_path):
    """When the disk does not keep up, a job too many fails at once with advice; those in the queue are done."""
    database = DatabaseThread.open(tmp_path / "events.db", EVENTS, max_queue=3)
    with held_up(database):
        futures = [database.write(lambda _: "done") for _ in range(3)]
        with pytest.raises(StorageError, match="3 jobs wait"):
            database.write(lambda _: None).result(WAIT_S)
    assert [future.result(WAIT_S) for future in futures] == ["done"] * 3
    assert database.refused == 1
    database.close()


def test_close_finishes_what_is_queued_and_then_refuses(tmp_path):
    """What was handed over before close is durable after it; what comes later is told so."""
    log = EventLog.open(tmp_path / "events.db")
    with held_up(log.database):
        futures = [log.record([make_event(n)], 1) for n in range(1, 6)]
        with pytest.raises(StorageError, match="5 jobs wait"):
            log.close(timeout_s=0.01)
    log.close()
    assert [future.result(0) for future in futures] == [[1], [2], [3], [4], [5]]
    with pytest.raises(StorageError, match="closed"):
        log.record([make_event(6)], 1).result(WAIT_S)
    again = EventLog.open(tmp_path / "events.db")
    assert again.last_seq == 5
    again.close()


def test_a_long_read_lets_writes_pass_between_its_steps(log):
    """A search yields after each step, and a record that waits goes before the next one."""
    order = []

    def steps(_):
        for step in range(3):
            order.append(step)
            if step == 0:
                log.database.write(lambda _: order.append("write"))
            yield
        return "found"

    assert log.database.read(steps).result(WAIT_S) == "found"
    assert order == [0, "write", 1, 2]


def test_the_log_is_copied_back_when_nobody_waits(log):
    """After enough commits the write-ahead log is copied into the file, without any record asking for it."""
    for n in range(450):
        log.record([make_event(n)], 1).result(WAIT_S)
    pages = log.database.read(lambda c: c.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()).result(WAIT_S)
    assert pages[1] < 4 * 200 + 100, "the log was never restarted from its beginning"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_thread_leaves_nobody_waiting(tmp_path, monkeypatch):
    """Should the thread itself fail, those who wait and those who come later are told, and a watchdog sees it."""
    log = EventLog.open(tmp_path / "events.db")
    with held_up(log.database):
        future = log.record([make_event(1)], 1)
        monkeypatch.setattr(log.database, "_checkpoint_if_idle", lambda: 1 / 0)
    with pytest.raises(StorageError, match="ended by a fault"):
        future.result(WAIT_S)
    log.close()
    assert not log.database.is_alive
    with pytest.raises(StorageError, match="closed"):
        log.record([make_event(2)], 1).result(WAIT_S)
