"""The event log: numbers, batches, late marks, acknowledgement, pruning, limits, searches."""

import random

import pytest
from storage_scenes import WAIT_S, fail_commits_of, held_up, make_event

from edge.decision import model
from edge.storage import event_rows
from edge.storage.errors import AcknowledgeRefused, StorageError
from edge.storage.event_log import Counts, EventLog
from edge.storage.state_store import StateStore


@pytest.fixture
def log(tmp_path):
    log = EventLog.open(tmp_path / "events.db", boot_id="boot-1")
    yield log
    log.close()


def read_all(log):
    return log.read(1, 100_000).result(WAIT_S)


def test_events_come_back_as_they_went_in(log):
    """Every field survives, the largest credential and none at all included, with number, revision and mark."""
    events = [make_event(1), make_event(2, credential=2**64 - 1), make_event(3, credential=None, trusted=False)]
    events.append(make_event(4, at_ms=-5, detail="é à ’ 日本", credential=0))
    assert log.record(events, 7).result(WAIT_S) == [1, 2, 3, 4]
    assert log.record([make_event(5)], 8, late=True).result(WAIT_S) == [5]
    entries = read_all(log)
    assert [entry.event for entry in entries] == [*events, make_event(5)]
    assert [(entry.seq, entry.late, entry.policy_revision) for entry in entries] == [
        (1, False, 7), (2, False, 7), (3, False, 7), (4, False, 7), (5, True, 8),
    ]  # fmt: skip


def test_a_batch_is_recorded_whole_or_not_at_all(log):
    """One event that cannot be stored takes its batch and the kept state with it, and uses no number."""
    with pytest.raises(ValueError, match="reason"):  # no StorageError: it would be tried again for ever
        log.record([make_event(1), make_event(2, reason=None)], 1, keep={"lockout": b"x"}).result(WAIT_S)
    assert (log.last_seq, read_all(log), StateStore(log.database).load().result(WAIT_S)) == (0, [], {})
    assert log.record([make_event(3)], 1).result(WAIT_S) == [1]


def test_an_empty_batch_keeps_state_alone(log):
    """State without an event is kept by the same call."""
    assert log.record([], 1, keep={"area": b"in"}).result(WAIT_S) == []
    assert StateStore(log.database).load().result(WAIT_S) == {"area": b"in"}


def test_numbers_and_identity_survive_everything(tmp_path):
    """After all events were pruned and the log opened again, numbering goes on and the log is the same."""
    log = EventLog.open(tmp_path / "events.db")
    log_id = log.log_id
    log.record([make_event(n) for n in range(10)], 1).result(WAIT_S)
    log.acknowledge(10).result(WAIT_S)
    assert log.prune(0).result(WAIT_S) == 10
    assert log.counts().result(WAIT_S) == Counts(0, 0, 0)
    log.close()
    again = EventLog.open(tmp_path / "events.db", boot_id="boot-2")
    assert (again.log_id, again.last_seq, again.acked, again.report.created) == (log_id, 10, 10, False)
    assert again.record([make_event(1)], 1).result(WAIT_S) == [11]
    again.close()


def test_each_log_has_its_own_identity(tmp_path):
    """Two new logs have different ids of 16 bytes."""
    ids = []
    for name in ("a.db", "b.db"):
        log = EventLog.open(tmp_path / name)
        ids.append(log.log_id)
        log.close()
    assert len(ids[0]) == 16
    assert ids[0] != ids[1]


def test_the_boot_is_kept_with_each_event(tmp_path):
    """An event names the boot in which it was recorded."""
    for boot in ("first", "second", "first"):
        log = EventLog.open(tmp_path / "events.db", boot_id=boot)
        log.record([make_event(1)], 1).result(WAIT_S)
        found = log.database.read(
            lambda c: c.execute("SELECT seq, boot_id FROM event JOIN boot ON boot.id = boot ORDER BY seq").fetchall()
        ).result(WAIT_S)
        log.close()
    assert found == [(1, "first"), (2, "second"), (3, "first")]


def test_late_is_marked_before_and_after_the_commit(log):
    """A record is marked late whether it still waits for the disk or is already written."""
    written = log.record([make_event(1), make_event(2)], 1)
    written.result(WAIT_S)
    written.mark_late().result(WAIT_S)
    with held_up(log.database):
        waiting = log.record([make_event(3)], 1)
        done = waiting.mark_late()
    done.result(WAIT_S)
    log.record([make_event(4)], 1).result(WAIT_S)
    assert [entry.late for entry in read_all(log)] == [True, True, True, False]


def test_a_late_mark_of_a_failed_record_touches_no_other(log):
    """The numbers that a record had until its commit failed belong to another then, which is not marked late."""
    fail_commits_of(log, "trap")
    with held_up(log.database):
        failed = log.record([make_event(1, detail="trap")], 1)
        other = log.record([make_event(2)], 1)
        mark = failed.mark_late()
    mark.result(WAIT_S)
    with pytest.raises(StorageError):
        failed.result(WAIT_S)
    assert other.result(WAIT_S) == [1]
    failed.mark_late().result(WAIT_S)
    assert [entry.late for entry in read_all(log)] == [False]


def test_acknowledgement_only_rises_and_never_passes_the_end(log):
    """Lower and equal ones change nothing, one beyond the last number is refused with both numbers."""
    log.record([make_event(n) for n in range(5)], 1).result(WAIT_S)
    assert log.acknowledge(3).result(WAIT_S) == 3
    assert log.acknowledge(2).result(WAIT_S) == 3
    assert log.acknowledge(-1).result(WAIT_S) == 3
    with pytest.raises(AcknowledgeRefused, match=r"up to 6 .* ends at 5"):
        log.acknowledge(6).result(WAIT_S)
    assert (log.acked, log.unsent) == (3, 2)
    assert log.acknowledge(5).result(WAIT_S) == 5


def test_only_what_is_acknowledged_is_pruned(log):
    """Pruning goes from the lower end, in slices, keeps what was asked, and never takes an unsent event."""
    log.record([make_event(n) for n in range(20)], 1).result(WAIT_S)
    assert log.prune(0).result(WAIT_S) == 0
    log.acknowledge(12).result(WAIT_S)
    assert log.prune(15).result(WAIT_S) == 5
    assert log.prune(0, at_most=4).result(WAIT_S) == 4
    assert log.prune(0, at_most=4).result(WAIT_S) == 3
    assert log.prune(0, at_most=4).result(WAIT_S) == 0
    assert [entry.seq for entry in read_all(log)] == list(range(13, 21))
    assert log.counts().result(WAIT_S) == Counts(8, 8, 0)


def test_reading_starts_where_it_is_told_and_stops_at_the_limit(log):
    """Sync reads in order from a number on; beyond the end there is nothing."""
    log.record([make_event(n) for n in range(10)], 1).result(WAIT_S)
    assert [entry.seq for entry in log.read(4, 3).result(WAIT_S)] == [4, 5, 6]
    assert log.read(11).result(WAIT_S) == []


def test_a_full_log_keeps_alarms_and_counts_what_it_drops(tmp_path):
    """Above max_unsent passages are dropped and counted, alarms have a tenth more; an acknowledgement makes room."""
    log = EventLog.open(tmp_path / "events.db", max_unsent=20)
    alarm = make_event(99, result=model.ALARM, reason="tamper")
    log.record([make_event(n) for n in range(19)], 1).result(WAIT_S)
    assert log.record([make_event(1), make_event(2), alarm, make_event(3)], 1).result(WAIT_S) == [20, 0, 21, 0]
    assert log.record([alarm, alarm, alarm], 1).result(WAIT_S) == [22, 0, 0]
    assert (log.unsent, log.dropped, log.last_seq) == (22, 4, 22)
    log.close()
    log = EventLog.open(tmp_path / "events.db", max_unsent=20)
    assert log.counts().result(WAIT_S) == Counts(22, 22, 4)
    log.acknowledge(10).result(WAIT_S)
    assert log.record([make_event(4)], 1).result(WAIT_S) == [23]
    log.close()


def filled_with_chance(log, seed):
    print("seed", seed)
    choice = random.Random(seed)
    events = [
        make_event(
            n,
            at_ms=choice.randrange(1000),
            door=choice.choice(["front", "garage", "cellar"]),
            reader=choice.choice(["in", "out", ""]),
            medium=choice.choice(["badge", "code", "exit"]),
            credential=choice.choice([None, 12, 4641234, 2**63 + 5]),
            result=choice.choice(["open", "denied", "alarm"]),
            reason=choice.choice(["", "unknown", "expired"]),
            detail=choice.choice(["", "100%", "a_b", "Button 2"]),
        )
        for n in range(400)
    ]
    log.record(events, 1).result(WAIT_S)
    return choice, list(enumerate(events, 1))


@pytest.mark.parametrize("seed", range(5))
def test_queries_find_what_a_plain_filter_finds(log, monkeypatch, seed):
    """Random filters give the same events as a loop over the list, upwards and downwards, in small steps."""
    monkeypatch.setattr(event_rows, "SEARCH_ROWS", 37)
    choice, numbered = filled_with_chance(log, seed)
    log.acknowledge(50).result(WAIT_S)
    log.prune(0).result(WAIT_S)
    numbered = numbered[50:]
    for _ in range(60):
        pattern = choice.choice(numbered)[1]
        names = choice.sample(["door", "reader", "medium", "credential", "result", "reason"], choice.randrange(3))
        asked = {name: getattr(pattern, name) for name in names if getattr(pattern, name) is not None}
        since_ms, until_ms = choice.choice([None, 200]), choice.choice([None, 800])
        after_seq, limit = choice.choice([None, 0, 60, 399]), choice.choice([1, 7, 1000])
        matching = [
            seq
            for seq, event in numbered
            if all(getattr(event, name) == value for name, value in asked.items())
            and (since_ms is None or event.at_ms >= since_ms)
            and (until_ms is None or event.at_ms < until_ms)
            and (after_seq is None or seq > after_seq)
        ]
        expected = matching[-limit:] if after_seq is None else matching[:limit]
        found = log.query(**asked, since_ms=since_ms, until_ms=until_ms, after_seq=after_seq, limit=limit).result(
            WAIT_S
        )
        assert [entry.seq for entry in found] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100%", [1]), ("a_b", [2]), ("button", [3]), ("0004641234", [4]), ("!", [5]), ("%", [1]), ("cellar", [4])],
)
def test_text_is_searched_as_it_is_written(log, text, expected):
    """Signs that SQL reads as wildcards mean themselves, and a number is found with its leading zeros."""
    details = ["100%", "a_b", "Button 2", "", "stop! now"]
    events = [make_event(n, credential=None, detail=detail) for n, detail in enumerate(details)]
    events[3] = make_event(3, credential=4641234, door="cellar", detail="axb 100")
    log.record(events, 1).result(WAIT_S)
    assert [entry.seq for entry in log.query(text=text).result(WAIT_S)] == expected
