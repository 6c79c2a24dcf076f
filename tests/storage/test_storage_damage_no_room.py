"""A file that turns out damaged at run while the disk takes no new one: set aside once, however often it is tried."""

import contextlib
import sqlite3

import pytest
from storage_scenes import WAIT_S, make_event

from edge.storage import event_log, opening
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.state_store import StateStore

JOBS = 10


def damaged(connection):
    """What SQLite says of a damaged file."""
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"
    raise error


def find_damage(log):
    with pytest.raises(StorageError, match="damaged"):
        log.database.read(damaged).result(WAIT_S)


def no_room(path, *_):
    """As opening does it on a full disk: the name is there, and something of a first page and a journal."""
    for ending in ("", "-wal"):
        path.with_name(path.name + ending).write_bytes(b"half a page")
    raise StorageError(f"{path}: the disk is full; free space on it", "SQLITE_FULL")


def no_begin(*_):
    raise sqlite3.OperationalError("database or disk is full")


TROUBLES = {"no file": (opening, "_connect", no_room), "no row in it": (event_log, "begin_kept", no_begin)}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_damaged_log_is_set_aside_once(tmp_path, monkeypatch, trouble):
    """Each job is refused and tries again; there is one file set aside, with all it held. Once there is room, another
    log goes on with what was kept in the old one."""
    log = EventLog.open(tmp_path / "events.db")
    log.record([make_event(n) for n in range(3)], 1, keep={"lockout": b"x"}).result(WAIT_S)
    before = log.log_id
    with monkeypatch.context() as patch:
        patch.setattr(*TROUBLES[trouble])
        find_damage(log)
        for _ in range(JOBS):
            for work in (lambda: log.record([make_event(9)], 1), log.counts):
                with pytest.raises(StorageError):
                    work().result(WAIT_S)
        aside = {path.name for path in tmp_path.iterdir() if ".damaged-" in path.name}
        assert aside <= {f"events.db.damaged-1{ending}" for ending in ("", "-wal", "-shm")}
    assert log.record([make_event(10)], 1).result(WAIT_S) == [1]
    assert log.log_id != before
    assert log.report.set_aside == tmp_path / "events.db.damaged-1"
    assert StateStore(log.database).load().result(WAIT_S) == {"lockout": b"x"}
    log.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "events.db.damaged-1")) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (3,)


def test_another_damage_is_set_aside_beside_the_first(tmp_path):
    """The control: each damage has a file of its own, and events of the log between are in the second."""
    log = EventLog.open(tmp_path / "events.db")
    for number in (1, 2):
        log.record([make_event(number)], 1).result(WAIT_S)
        find_damage(log)
        assert log.record([make_event(9)], 1).result(WAIT_S) == [1]
        assert log.report.set_aside == tmp_path / f"events.db.damaged-{number}"
    log.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "events.db.damaged-2")) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (2,)
