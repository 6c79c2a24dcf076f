"""Processes killed with SIGKILL while they write: nothing that was promised is missing, nothing is half."""

import os
import random
import select
import signal
import sqlite3
import time

import pytest
from storage_scenes import WAIT_S, child, digest_of, make_delta, make_event, policy_rows

from edge.decision import rows
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore

RUNS = 20


def killed_while_writing(task, path, choice):
    """Let the child work for a random while, kill it, and return the highest number that it had called durable."""
    with child(task, path) as process:
        assert process.stdout.readline() == b"ready\n"
        lines, wanted = b"", choice.randrange(1, 60)
        pipe = process.stdout.fileno()
        deadline = time.monotonic() + WAIT_S
        while lines.count(b"\n") < wanted and time.monotonic() < deadline:
            lines += read_some(pipe)
        # A random moment within the next few commits, not the one at which a line was just printed.
        deadline = time.monotonic() + choice.random() * 0.002
        while time.monotonic() < deadline:
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
        while chunk := os.read(pipe, 65536):
            lines += chunk
    numbers = [int(line) for line in lines.split(b"\n")[:-1]]
    assert len(numbers) >= wanted
    return max(numbers)


def read_some(pipe):
    return os.read(pipe, 65536) if select.select([pipe], [], [], WAIT_S)[0] else b""


def integrity(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        connection.close()


@pytest.mark.parametrize("runs", [RUNS, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
def test_no_recorded_event_is_lost_by_kill(tmp_path, runs):
    """Killed at random points, the log holds every event whose future had completed, without gaps."""
    print("seed 2")
    choice, path, before = random.Random(2), tmp_path / "events.db", 0
    for _ in range(runs):
        durable = killed_while_writing("record", path, choice)
        log = EventLog.open(path)
        entries = log.read(before + 1, 100_000).result(WAIT_S)
        assert log.report.set_aside is None
        before, last = log.last_seq, before
        log.acknowledge(max(0, before - 200)).result(WAIT_S)
        log.prune(0, at_most=100_000).result(WAIT_S)
        log.close()
        assert before >= durable
        assert [entry.seq for entry in entries] == list(range(last + 1, before + 1))
        assert integrity(path) == "ok"


def test_a_promise_before_the_commit_is_caught(tmp_path):
    """The control of the test above: a log that reports before it is durable loses events in the same harness."""
    print("seed 3")
    choice, path, lost = random.Random(3), tmp_path / "events.db", 0
    for _ in range(RUNS):
        boasted = killed_while_writing("boast", path, choice)
        log = EventLog.open(path)
        lost += max(0, boasted - log.last_seq)
        log.close()
    assert lost > 0


def killed_while_applying(task, folder, after):
    """Start from revision 1, have revision 2 applied, killed at step `after`; what is there then, and the steps."""
    folder.mkdir()
    store = PolicyStore.open(folder / "policy.db")
    store.apply(make_delta(0, 1, policy_rows(1))).result(WAIT_S)
    store.close()
    with child(task, folder / "policy.db", after) as process:
        assert process.stdout.readline() == b"ready\n"
        steps = process.stdout.readline()
        process.wait(WAIT_S)
    found = stored_policy(folder / "policy.db")
    assert integrity(folder / "policy.db") == "ok"
    return found, int(steps or 0)


def stored_policy(path):
    store = PolicyStore.open(path)
    found = store.version(), store.digest(), store.rows().result(WAIT_S)
    store.close()
    return found


def whole(revision):
    packed = policy_rows(revision)
    return (1, revision), digest_of(packed), sorted(packed, key=rows.key_of)


def kill_points(task, folder, seed):
    """Random steps of the work, which takes as many as a run without a kill says."""
    print("seed", seed)
    found, steps = killed_while_applying(task, folder / "whole", 0)
    assert found == whole(2)
    return random.Random(seed).sample(range(1, steps + 1), RUNS)


def test_a_policy_killed_in_the_middle_is_the_old_one(tmp_path):
    """Killed at 20 random steps of a change, the store holds the old policy, and nothing of the new one."""
    for after in kill_points("apply", tmp_path, 4):
        found, steps = killed_while_applying("apply", tmp_path / str(after), after)
        assert steps == 0, "it was not killed"
        assert found == whole(1)


def test_without_a_transaction_half_a_policy_is_seen(tmp_path):
    """The control of the test above: with BEGIN and COMMIT left out, the same kills leave a mixture."""
    mixtures = 0
    for after in kill_points("apply-bare", tmp_path, 4)[:8]:
        found, _ = killed_while_applying("apply-bare", tmp_path / str(after), after)
        mixtures += found not in (whole(1), whole(2))
    assert mixtures > 0


def test_policies_killed_at_any_moment_are_whole(tmp_path):
    """Killed while one change follows the other, commits included, the store holds one revision and no older one
    than was promised."""
    print("seed 6")
    choice, path = random.Random(6), tmp_path / "policy.db"
    store = PolicyStore.open(path)
    store.apply(make_delta(0, 1, policy_rows(1))).result(WAIT_S)
    store.close()
    for _ in range(RUNS):
        durable = killed_while_writing("apply-on", path, choice)
        found = stored_policy(path)
        assert found == whole(found[0][1])
        assert found[0][1] >= durable
        assert integrity(path) == "ok"


def test_a_killed_writer_leaves_the_next_one_free(tmp_path):
    """The lock dies with its process: recording goes on at the next number."""
    path = tmp_path / "events.db"
    durable = killed_while_writing("record", path, random.Random(5))
    log = EventLog.open(path)
    last = log.last_seq
    assert last >= durable
    assert log.record([make_event(1)], 1).result(WAIT_S) == [last + 1]
    log.close()
