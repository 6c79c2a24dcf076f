"""Files of earlier programs are brought up to date, from each earlier schema, and what they hold stays."""

import sqlite3

import pytest
from chain_scenes import a_manager, opened, passage, sent
from storage_scenes import WAIT_S, make_event

from edge.storage import migrations
from edge.storage.event_log import Counts
from edge.storage.migrations import EVENTS, POLICY, Schema, bring_up
from edge.storage.policy_store import PolicyStore

INSERT_OF_1 = "INSERT INTO event VALUES (?, ?, 1, 'front', 'in', 'badge', ?, 'open', '', 'strike', '', 0, 7, 1)"


def made_by_step(path, schema, steps):
    """A file as the program with that many steps made it."""
    connection = sqlite3.connect(path, isolation_level=None)
    bring_up(connection, Schema(schema.name, schema.steps[:steps]), path)
    return connection


def filled_by_step(path, steps, count=40, acked=30):
    """A log of the program with that many steps: by its own statements, since its code is gone."""
    connection = made_by_step(path, EVENTS, steps)
    connection.execute("INSERT INTO boot VALUES (1, 'old boot')")
    for seq in range(1, count + 1):
        connection.execute(INSERT_OF_1, (seq, 1_690_000_000_000 + seq, str(4_640_000_000 + seq)))
    connection.execute("UPDATE head SET last_seq = ?, acked = ?, dropped = 3, floor_ms = 17", (count, acked))
    connection.execute("INSERT INTO kept VALUES ('passback', x'0102')")
    log_id = connection.execute("SELECT log_id FROM head").fetchone()[0]
    connection.close()
    return log_id


def test_every_step_that_was_released_is_tried_here():
    """A new step is a failing test until a file of the one before it is opened below."""
    assert (len(EVENTS.steps), len(POLICY.steps)) == (2, 1)


def test_a_log_of_before_the_chain_goes_on(tmp_path):
    """Events, numbers, state and identity stay; the chain begins at the next event, and a gap record says what was
    before; the manager gets the old events as they are and proves the new ones."""
    log_id = filled_by_step(tmp_path / "events.db", 1)
    log = opened(tmp_path)
    assert (log.log_id, log.last_seq, log.acked, log.dropped, log.doubt) == (log_id, 40, 30, 3, "")
    assert log.counts().result(WAIT_S) == Counts(40, 10, 3)
    assert log.read(1, 1).result(WAIT_S)[0].event.credential == 4_640_000_001
    assert log.verify().result(WAIT_S)[:3] == (0, 40, 0)
    assert log.record([passage(1), passage(2)], 8).result(WAIT_S) == [41, 42]
    found = log.verify().result(WAIT_S)
    assert (found.is_whole, found.unchained, found.checked, found.begun) == (True, 40, 3, 1)
    gap = log.database.read(lambda c: c.execute("SELECT first, last, count FROM gap").fetchone()).result(WAIT_S)
    assert gap == (1, 40, 40)
    manager = a_manager(log)
    manager.seq = 30
    assert sent(log, manager) == ["31: not proven"], "ten of that batch have no chain"
    log.record([passage(3)], 8).result(WAIT_S)
    assert sent(log, manager) == []
    assert manager.seq == 43
    log.close()


def test_a_log_of_before_the_chain_is_acknowledged_and_pruned(tmp_path):
    """Across the place where the chain begins, in slices, until only chained events are left; it stays whole."""
    filled_by_step(tmp_path / "events.db", 1)
    log = opened(tmp_path)
    log.record([passage(n) for n in range(20)], 8).result(WAIT_S)
    assert log.acknowledge(35).result(WAIT_S) == 35
    assert log.acked_head == b""
    assert log.prune(30, at_most=7).result(WAIT_S) == 7
    assert log.verify().result(WAIT_S).is_whole
    head = log.stretch(36, 15).result(WAIT_S).heads[-1]
    assert log.acknowledge(50, head).result(WAIT_S) == 50
    for keep in (15, 5):
        while log.prune(keep, at_most=7).result(WAIT_S):
            assert log.verify().result(WAIT_S).is_whole
    assert log.counts().result(WAIT_S).total == 10
    assert log.verify().result(WAIT_S).is_whole
    log.close()


def test_persons_of_before_the_chain_can_be_erased(tmp_path):
    """Old events have neither salt nor commitment: the person goes."""
    filled_by_step(tmp_path / "events.db", 1)
    log = opened(tmp_path)
    log.record([make_event(1, credential=4_640_000_003)], 8).result(WAIT_S)
    assert log.erase(4_640_000_003).result(WAIT_S) == 2
    assert log.purge(1_690_000_000_000 + 21).result(WAIT_S) == 19
    assert log.verify().result(WAIT_S).is_whole
    log.close()


@pytest.mark.parametrize("steps", range(1, len(EVENTS.steps) + 1))
def test_a_file_that_is_brought_up_twice_is_the_same(tmp_path, steps):
    """From each schema, opened twice: the same tables as a new file has, and user_version counts the steps."""
    made_by_step(tmp_path / "events.db", EVENTS, steps).close()
    for _ in range(2):
        opened(tmp_path).close()
    (tmp_path / "new").mkdir()
    opened(tmp_path / "new").close()
    assert tables(tmp_path / "events.db") == tables(tmp_path / "new" / "events.db")


def tables(path):
    """The columns of each table, and the number of steps."""
    connection = sqlite3.connect(path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    columns = {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in names}
    version = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return columns, version


def test_a_migration_that_is_cut_is_made_again(tmp_path, monkeypatch):
    """The step's transaction fails half-way: the file is as it was, and the next opening brings it up to date."""
    filled_by_step(tmp_path / "events.db", 1)

    def broken(db):
        migrations._event_chain(db)
        raise RuntimeError("power")

    broken.__name__ = "_event_chain"
    connection = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    with pytest.raises(RuntimeError):
        bring_up(connection, Schema("events", (EVENTS.steps[0], broken)), tmp_path / "events.db")
    connection.close()
    log = opened(tmp_path)
    assert log.counts().result(WAIT_S).total == 40
    assert log.record([passage(1)], 8).result(WAIT_S) == [41]
    assert log.verify().result(WAIT_S).is_whole
    log.close()


def test_a_policy_of_the_first_schema_opens(tmp_path):
    """The policy's file has had one schema so far."""
    made_by_step(tmp_path / "policy.db", POLICY, 1).close()
    store = PolicyStore.open(tmp_path / "policy.db")
    assert store.version() == (0, 0)
    store.close()
