"""A log that was drained gives its room back, a few pages at a time, and records go on meanwhile."""

import sqlite3

import pytest
from storage_scenes import WAIT_S, make_event

from edge.storage import vacuuming
from edge.storage.event_log import EventLog

EVENTS, KEPT = 6_000, 100


def drained(path) -> EventLog:
    """A log of which most events were pruned."""
    log = EventLog.open(path)
    for first in range(0, EVENTS, 500):
        log.record([make_event(first + number, detail="x" * 60) for number in range(500)], 1).result(WAIT_S)
    log.acknowledge(EVENTS).result(WAIT_S)
    while log.prune(KEPT).result(WAIT_S):
        pass
    return log


@pytest.fixture(autouse=True)
def _few_spare_pages(monkeypatch):
    monkeypatch.setattr(vacuuming, "SPARE_PAGES", 8)


def copied_back(log) -> int:
    """The file's size once everything is in it."""
    log.database.read(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()).result(
        WAIT_S
    )
    return log.database.path.stat().st_size


def test_a_pruned_file_shrinks(tmp_path):
    """To a small part, with what is spared; the events that stay are whole, and the next vacuum finds nothing."""
    log = drained(tmp_path / "events.db")
    before = copied_back(log)
    assert log.vacuum().result(WAIT_S) > 100
    assert copied_back(log) < before / 4
    assert log.vacuum().result(WAIT_S) == 0
    assert log.counts().result(WAIT_S).total == KEPT
    assert log.verify().result(WAIT_S).is_whole
    log.close()
    connection = sqlite3.connect(tmp_path / "events.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_records_go_between_its_slices(tmp_path):
    """A record that comes while it runs is written before it ends."""
    log = drained(tmp_path / "events.db")
    order = []
    vacuumed = log.vacuum()
    vacuumed.add_done_callback(lambda _: order.append("vacuumed"))
    log.record([make_event(1)], 1).add_done_callback(lambda _: order.append("recorded"))
    assert vacuumed.result(WAIT_S) > 2 * vacuuming.SLICE_PAGES
    assert order[0] == "recorded"
    log.close()


def test_what_is_free_is_kept_for_the_next_events(tmp_path, monkeypatch):
    """Few free pages stay where they are: the file fills them again, and the card is spared."""
    log = drained(tmp_path / "events.db")
    monkeypatch.setattr(vacuuming, "SPARE_PAGES", 100_000)
    before = copied_back(log)
    assert log.vacuum().result(WAIT_S) == 0
    assert copied_back(log) == before
    log.close()


def test_a_file_that_was_begun_without_stays_as_it_is(tmp_path, monkeypatch):
    """The control: only a file with auto_vacuum can shrink; another one is left alone after one try."""
    path = tmp_path / "events.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA auto_vacuum = NONE")
    connection.execute("CREATE TABLE first (a)")
    connection.execute("DROP TABLE first")
    connection.commit()
    connection.close()
    log = drained(path)
    before, commits = copied_back(log), log.commits
    assert log.vacuum().result(WAIT_S) == 0
    assert (copied_back(log), log.commits - commits) == (before, 1)
    log.close()
