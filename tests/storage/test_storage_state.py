"""What is kept across a restart, and the floor of wall time."""

import pytest
from storage_scenes import WAIT_S, make_event

from edge.storage.event_log import EventLog
from edge.storage.state_store import StateStore


@pytest.fixture
def log(tmp_path):
    log = EventLog.open(tmp_path / "events.db")
    yield log
    log.close()


def test_state_is_kept_replaced_and_forgotten(tmp_path):
    """Values survive a restart, a new one replaces the old, an empty one forgets the name."""
    log = EventLog.open(tmp_path / "events.db")
    state = StateStore(log.database)
    state.keep({"lockout": b"\0\1", "area": b"in", "first-card": b"x"}).result(WAIT_S)
    state.keep({"area": b"out", "first-card": b"", "never-there": b""}).result(WAIT_S)
    log.close()
    log = EventLog.open(tmp_path / "events.db")
    assert StateStore(log.database).load().result(WAIT_S) == {"area": b"out", "lockout": b"\0\1"}
    log.close()


def test_an_event_and_its_state_are_one_commit(log):
    """Recording with kept state takes a single commit."""
    before = log.commits
    log.record([make_event(1)], 1, keep={"lockout": b"3"}).result(WAIT_S)
    assert log.commits - before == 1
    assert StateStore(log.database).load().result(WAIT_S) == {"lockout": b"3"}


def test_the_floor_rises_with_trusted_events_only(log):
    """An event under a trusted clock lifts the floor; an untrusted or an earlier one does not."""
    state = StateStore(log.database)
    assert state.floor_ms().result(WAIT_S) == 0
    log.record([make_event(1, at_ms=500), make_event(2, at_ms=400)], 1).result(WAIT_S)
    log.record([make_event(3, at_ms=900, trusted=False), make_event(4, at_ms=300)], 1).result(WAIT_S)
    assert state.floor_ms().result(WAIT_S) == 500


def test_the_floor_is_lowered_only_by_the_call_that_says_so(log):
    """Raising with an earlier time changes nothing; lowering does."""
    state = StateStore(log.database)
    assert state.raise_floor(1000).result(WAIT_S) == 1000
    assert state.raise_floor(10).result(WAIT_S) == 1000
    assert state.lower_floor(10).result(WAIT_S) == 10
    assert state.floor_ms().result(WAIT_S) == 10
