"""Opening files: new, damaged, foreign, locked."""

import os
import sqlite3
import stat

import pytest
from storage_scenes import WAIT_S, child, make_delta, make_event, policy_rows

from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore


def filled_log(path, count=300):
    log = EventLog.open(path)
    log.record([make_event(n, detail="x" * 80) for n in range(count)], 1).result(WAIT_S)
    log.close()
    return path


def test_a_new_file_is_reported_and_private(tmp_path):
    """The first opening says that the file is new; only its owner may read it and its journal."""
    log = EventLog.open(tmp_path / "events.db")
    log.record([make_event(1)], 1).result(WAIT_S)
    assert (log.report.created, log.report.set_aside, log.report.reason) == (True, None, "")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"events.db": 0o600, "events.db-wal": 0o600}
    log.close()


def test_a_commit_is_set_to_survive_a_power_cut(tmp_path):
    """The connection flushes every commit (FULL is 2), to a write-ahead log; a kill could not show a missing flush."""
    log = EventLog.open(tmp_path / "events.db")
    names = ("synchronous", "journal_mode", "locking_mode", "foreign_keys")
    found = log.database.read(lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in names])
    assert found.result(WAIT_S) == [2, "wal", "exclusive", 1]
    log.close()


def test_a_file_that_is_no_database_is_set_aside(tmp_path):
    """Garbage is renamed byte for byte, a new log with another id begins, and the report says both."""
    path = tmp_path / "events.db"
    path.write_bytes(b"this is not a database, " * 100)
    log = EventLog.open(path)
    assert log.report.set_aside == tmp_path / "events.db.damaged-1"
    assert "not a database" in log.report.reason
    assert log.report.set_aside.read_bytes() == b"this is not a database, " * 100
    assert log.record([make_event(1)], 1).result(WAIT_S) == [1]
    log.close()


def test_a_damaged_page_is_found_at_opening(tmp_path):
    """A page that was overwritten inside a valid file is found by the check, and the file set aside."""
    path = filled_log(tmp_path / "events.db")
    with open(path, "r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(os.urandom(4096))
    log = EventLog.open(path)
    assert log.report.set_aside is not None
    assert log.report.reason
    assert log.last_seq == 0
    log.close()


def test_without_the_check_the_damaged_page_goes_unseen(tmp_path):
    """The control of the test above: it is the check that finds it."""
    path = filled_log(tmp_path / "events.db")
    with open(path, "r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"\xa5" * 4096)
    log = EventLog.open(path, check=False)
    assert (log.report.set_aside, log.last_seq) == (None, 300)
    with pytest.raises(StorageError, match="damaged"):
        log.read(1, 1000).result(WAIT_S)
    log.close()


def test_nothing_that_was_set_aside_is_overwritten(tmp_path):
    """A second damage gets a second name."""
    path = tmp_path / "events.db"
    for number in (1, 2):
        path.write_bytes(b"garbage %d " % number * 200)
        log = EventLog.open(path)
        log.close()
        assert log.report.set_aside == tmp_path / f"events.db.damaged-{number}"
    assert (tmp_path / "events.db.damaged-1").read_bytes().startswith(b"garbage 1")
    assert (tmp_path / "events.db.damaged-2").read_bytes().startswith(b"garbage 2")


def test_a_journal_without_its_file_is_kept(tmp_path):
    """SQLite would delete such a journal; it is moved away first, with all it holds."""
    journal = tmp_path / "events.db-wal"
    journal.write_bytes(b"what a killed agent left")
    log = EventLog.open(tmp_path / "events.db")
    assert (tmp_path / "events.db.damaged-1-wal").read_bytes() == b"what a killed agent left"
    assert log.report.created
    assert "journal" in log.report.reason
    log.close()


def test_a_damaged_policy_starts_empty(tmp_path):
    """The policy store goes on with version (0, 0), so that the cloud is asked for a snapshot."""
    path = tmp_path / "policy.db"
    store = PolicyStore.open(path)
    store.apply(make_delta(0, 4, policy_rows(4))).result(WAIT_S)
    store.close()
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    store = PolicyStore.open(path)
    assert store.report.set_aside == tmp_path / "policy.db.damaged-1"
    assert (store.version(), store.rows().result(WAIT_S)) == ((0, 0), [])
    store.close()


def test_a_file_of_a_newer_program_is_left_alone(tmp_path):
    """A file from the future is neither opened nor set aside: the message names both versions."""
    path = filled_log(tmp_path / "events.db", 1)
    connection = sqlite3.connect(path)
    steps = [("events", f"_step_{number}", "later") for number in range(3, 100)]
    connection.executemany("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)", steps)
    connection.commit()
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match=r"version 99, this program knows 2"):
        EventLog.open(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["events.db"]


@pytest.mark.parametrize("name", ["no-such-folder/events.db", "."])
def test_a_path_that_cannot_be_opened_is_named(tmp_path, name):
    """A missing folder, or a folder in the file's place, is an error of one line that names the path."""
    with pytest.raises(StorageError, match=str(tmp_path)) as caught:
        EventLog.open(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "check that its folder" in str(caught.value)


def test_a_second_process_is_turned_away(tmp_path):
    """While one agent has the file, another cannot open it and is told why; afterwards it can."""
    path = tmp_path / "events.db"
    with child("hold", path) as process:
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(StorageError, match="another process has it open"):
            EventLog.open(path)
    EventLog.open(path).close()


def test_an_up_to_date_file_opens_without_sqlite_utils(tmp_path):
    """The slow import happens where tables are missing, and only there."""
    printed = []
    for _ in range(2):
        with child("modules", tmp_path / "events.db") as process:
            printed.append(process.stdout.readline().strip())
    assert printed == [b"True", b"False"]


def test_a_version_that_the_file_itself_does_not_know_is_damage(tmp_path):
    """One turned bit in the header must not keep the agent from starting until a newer program comes."""
    path = filled_log(tmp_path / "events.db", 1)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    log = EventLog.open(path)
    assert log.report.set_aside is not None
    assert "version 99" in log.report.reason
    log.close()


def test_a_journal_that_sqlite_cannot_read_is_kept(tmp_path):
    """SQLite would write over it; the control shows that it does so with the header whole, and nothing is kept then."""
    path = filled_log(tmp_path / "events.db", 1)
    wal = path.with_name("events.db-wal")
    wal.write_bytes(b"\x37\x7f\x06\x82" + b"recorded, and not read" * 100)
    EventLog.open(path).close()
    kept = [each for each in tmp_path.iterdir() if each.name.endswith("-wal") and ".damaged-" in each.name]
    assert [b"recorded, and not read" in each.read_bytes() for each in kept] == [True]
    EventLog.open(path).close()
    assert len([each for each in tmp_path.iterdir() if ".damaged-" in each.name]) == 1
