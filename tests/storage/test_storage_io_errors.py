"""Row S3, the storage's part: the disk refuses one call, a few, or all; what was said is true, and nothing is lost
unsaid. What the doors do meanwhile: tests/edge/test_edge_disk_failures.py.
"""

import errno
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from power_cut_disk import Disk, Tape, write_out
from power_cut_sqlite import Connection, Faults, beneath
from power_cut_work import event_of, often
from storage_scenes import WAIT_S

from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.state_store import StateStore

FULL = (pytest.mark.full, pytest.mark.timeout(3600))
TRIES = 40  # more than any burst of failures is long
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)
# apsw tells Python, too, of an exception that it hands on to SQLite.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def folder():
    """In memory where the machine has such a place; what fails is simulated."""
    made = Path(tempfile.mkdtemp(prefix="eio", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)).resolve()
    yield made
    shutil.rmtree(made)


def opened(path):
    """As systemd would: start again until it opens."""
    for _ in range(TRIES):
        try:
            return EventLog.open(path)
        except (StorageError, sqlite3.Error):
            continue
    raise AssertionError("it never opened")


def record_stubbornly(log, number, say):
    """As the agent does: what was refused is recorded again, as late. Gives its number and whether it is late."""
    refused = None
    for attempt in range(TRIES):
        late = attempt > 0
        recording = log.record([event_of(number)], 1, late=late, keep={"count": b"%d" % number})
        try:
            [seq] = recording.result(WAIT_S)
        except StorageError as error:
            refused = error
            continue
        assert refused is None or (str(log.database.path) in str(refused) and refused.code)
        say("recorded", seq)
        return seq, late
    raise AssertionError(f"event {number} was never taken")


def work_on_failing_disk(folder, events, faults, tape):
    """Record that many events; (seq, late) of each, in order."""
    told = []
    with beneath(folder, tape, faults), often():
        log = opened(folder / "events.db")
        tape.mark("log", log.log_id)
        for number in range(1, events + 1):
            told.append(record_stubbornly(log, number, tape.mark))
            if number % 25 == 0:
                log.close()
                log = opened(folder / "events.db")
        log.close()
    return told


def assert_as_told(folder, told):
    """The file holds exactly what was told, nothing twice, nothing set aside."""
    log = EventLog.open(folder / "events.db")
    try:
        assert log.report.set_aside is None, log.report.reason
        assert log.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()[0]).result(WAIT_S) == "ok"
        entries = log.read(1, 10_000).result(WAIT_S)
        assert [(entry.seq, entry.late) for entry in entries] == told
        assert [entry.event for entry in entries] == [event_of(number) for number in range(1, len(told) + 1)]
        assert StateStore(log.database).load().result(WAIT_S)["count"] == b"%d" % len(told)
        assert log.verify().result(WAIT_S).is_whole
    finally:
        log.close()


def assert_kept_through_cuts(folder, tape, choice, cuts):
    """Power may go at any moment of it, a failed flush having lost what it should have written."""
    disk, done = Disk(), 0
    for moment in sorted(choice.choices(range(len(tape.operations) + 1), k=cuts)):
        while done < moment:
            disk.run(tape.operations[done])
            done += 1
        words, content = disk.cut(choice)
        write_out(content, folder)
        log = EventLog.open(folder / "events.db")
        try:
            recorded = disk.marks.get("recorded", 0)
            assert "log" not in disk.marks or log.report.set_aside is None, (moment, words, log.report.reason)
            assert log.last_seq >= recorded, (moment, words)
            found = [entry.event for entry in log.read(1, 10_000).result(WAIT_S)]
            assert found == [event_of(number) for number in range(1, log.last_seq + 1)], (moment, words)
        finally:
            log.close()


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize(("calls", "events"), [(40, 25), pytest.param(500, 150, marks=FULL)])
def test_an_event_is_recorded_or_refused_whatever_call_fails(folder, number, calls, events):
    """Each call in turn fails, once or in a burst: refused events are there as late, all others as usual, once."""
    print("seed", number)
    choice, failed = random.Random(number), 0
    for first in range(1, calls + 1):
        work = folder / str(first)
        work.mkdir()
        faults, tape = Faults(number, first, choice.choice((0, 0, 5))), Tape()
        told = work_on_failing_disk(work, events, faults, tape)
        assert [seq for seq, _ in told] == list(range(1, events + 1))
        failed += faults.refused > 0
        assert_as_told(work, told)
        assert_kept_through_cuts(work, tape, choice, 2)
        shutil.rmtree(work)
    assert failed == calls


def test_a_log_that_does_not_listen_to_the_disk_is_caught(folder, monkeypatch):
    """The control of the test above: where a failed COMMIT goes unheard, events called recorded are missing."""
    execute = Connection.execute

    def deaf(self, sql, values=()):
        try:
            return execute(self, sql, values)
        except sqlite3.Error:
            if sql != "COMMIT":
                raise
            return execute(self, "ROLLBACK") if self.in_transaction else None

    monkeypatch.setattr(Connection, "execute", deaf)
    missing = 0
    for first in range(120, 140):
        work = folder / str(first)
        work.mkdir()
        with beneath(work, Tape(), Faults(errno.EIO, first)), often():
            log = opened(work / "events.db")
            told = [record_stubbornly(log, number, lambda *_: None) for number in range(1, 20)]
            log.close()
        log = EventLog.open(work / "events.db")
        missing += len(log.read(1, 100).result(WAIT_S)) < len(told)
        log.close()
    assert missing > 2
