"""Pruning beside numbers that an older copy of the log lost: what is left still fits together."""

import shutil

import pytest
from chain_scenes import opened
from storage_scenes import WAIT_S, make_event


def log_with_a_hole(folder):
    """Events 1-10, 21-30; 11-20 were in a file in whose place an older copy was put."""
    log = opened(folder)
    log.record([make_event(n) for n in range(10)], 1).result(WAIT_S)
    log.close()
    shutil.copy(folder / "events.db", folder / "older")
    log = opened(folder)
    log.record([make_event(n) for n in range(10)], 1).result(WAIT_S)
    log.close()
    shutil.copy(folder / "older", folder / "events.db")
    log = opened(folder)
    log.record([make_event(n) for n in range(10)], 1).result(WAIT_S)
    assert log.last_seq == 30
    log.acknowledge(30).result(WAIT_S)
    return log


@pytest.mark.parametrize("keep", range(0, 31, 3))
def test_wherever_pruning_ends_the_log_is_whole(tmp_path, keep):
    """Within the lost numbers, too: no alarm that somebody took events away, now and when more goes later."""
    log = log_with_a_hole(tmp_path)
    assert log.verify().result(WAIT_S).is_whole
    gone = log.prune(keep).result(WAIT_S)
    left = [seq for seq in [*range(1, 11), *range(21, 31)] if seq > 30 - keep]
    assert [entry.seq for entry in log.read(1).result(WAIT_S)] == left
    assert gone == 20 - len(left)
    found = log.verify().result(WAIT_S)
    assert found.is_whole, found
    assert bool(left) <= log.prune(0, 3).result(WAIT_S) <= 3
    found = log.verify().result(WAIT_S)
    assert found.is_whole, found
    log.close()
