"""No space left: an error that says so, and everything before it intact."""

import pytest
from storage_scenes import WAIT_S, child, held_up, make_delta, make_event, policy_rows

from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore
from edge.storage.state_store import StateStore


def limit_pages(database, more):
    """Allow the file only `more` pages than it has: SQLite answers SQLITE_FULL as on a full disk."""

    def work(connection):
        count = connection.execute("PRAGMA page_count").fetchone()[0]
        return connection.execute(f"PRAGMA max_page_count = {count + more}").fetchone()

    database.read(work).result(WAIT_S)


def test_a_file_that_may_not_grow_is_an_error_and_heals(tmp_path):
    """In a process whose files may not grow, recording ends with StorageError, earlier events stay, later ones work."""
    path = tmp_path / "events.db"
    with child("full", path, 300_000) as process:
        durable, code, message = process.stdout.readline().decode().split(" ", 2)
        last_seq, healed = int(process.stdout.readline()), int(process.stdout.readline())
        assert process.wait(WAIT_S) == 0
    assert code.startswith(("SQLITE_IOERR", "SQLITE_FULL"))
    assert str(path) in message
    assert int(durable) == last_seq > 10
    assert healed == last_seq + 1
    log = EventLog.open(path)
    assert [entry.seq for entry in log.read(1, 100_000).result(WAIT_S)] == list(range(1, healed + 1))
    assert log.read(healed).result(WAIT_S)[0].late
    assert StateStore(log.database).load().result(WAIT_S) == {"count": durable.encode()}
    assert log.report.set_aside is None
    log.close()


def test_a_full_disk_is_said_in_words(tmp_path):
    """The error names the file and the full disk, nothing of the batch is written, and small ones still fit."""
    log = EventLog.open(tmp_path / "events.db")
    log.record([make_event(n) for n in range(10)], 1).result(WAIT_S)
    limit_pages(log.database, 2)
    with pytest.raises(StorageError, match=r"events\.db.*the disk is full; free space") as caught:
        log.record([make_event(n, detail="x" * 80) for n in range(1000)], 1).result(WAIT_S)
    assert caught.value.code == "SQLITE_FULL"
    assert log.last_seq == 10
    assert log.record([make_event(11)], 1).result(WAIT_S) == [11]
    assert len(log.read(1).result(WAIT_S)) == 11
    log.close()


def test_a_batch_too_big_for_the_disk_spares_its_neighbours(tmp_path):
    """In one group with it, the records before and after a batch that finds no room are written."""
    log = EventLog.open(tmp_path / "events.db")
    log.record([make_event(0)], 1).result(WAIT_S)
    limit_pages(log.database, 2)
    with held_up(log.database):
        first = log.record([make_event(1)], 1)
        big = log.record([make_event(n, detail="x" * 80) for n in range(1000)], 1)
        last = log.record([make_event(2)], 1)
    assert (first.result(WAIT_S), last.result(WAIT_S)) == ([2], [3])
    with pytest.raises(StorageError, match="the disk is full"):
        big.result(WAIT_S)
    assert [entry.event.credential for entry in log.read(1).result(WAIT_S)] == [0, 1, 2]
    log.close()


def test_a_policy_that_finds_no_room_leaves_the_old_one(tmp_path):
    """A snapshot too big for the disk is rolled back; the next one that fits enters."""
    store = PolicyStore.open(tmp_path / "policy.db")
    store.apply(make_delta(0, 1, policy_rows(1))).result(WAIT_S)
    limit_pages(store._database, 2)
    with pytest.raises(StorageError, match="the disk is full"):
        store.apply(make_delta(0, 2, policy_rows(2, 5000))).result(WAIT_S)
    assert store.version() == (1, 1)
    assert store.recomputed_digest().result(WAIT_S) == store.digest()
    assert len(store.rows().result(WAIT_S)) == len(policy_rows(1))
    store.apply(make_delta(1, 2, policy_rows(2))).result(WAIT_S)
    store.close()
