"""The line to the cloud over 24 hours, and since when nobody answers: simulated time throughout."""

import random

import pytest

from edge.connectivity import PATIENCE_MS, SILENT, SLOT_MS, SLOTS, UP_TO_DATE, WAITING, Connectivity, badge_of

START_MS = 7 * SLOT_MS + 600_000  # ten minutes into a half hour
HOUR_MS = 2 * SLOT_MS


def uplink(connected=True, heard=True, pending=0, acked=0):
    return {"connected": connected, "heard": heard, "pending": pending, "acked": acked}


def test_strip_is_24_hours_and_knows_nothing_before_the_start():
    """48 half hours; at the start itself only the one that runs is known."""
    strip = Connectivity(START_MS).strip(START_MS)
    assert strip == [None] * (SLOTS - 1) + [0.0]


def test_shares_are_of_the_time_that_was_seen():
    """Up for ten of the first twenty minutes, then the whole of the next half hour, then a third of a quarter."""
    line = Connectivity(START_MS)
    line.line(True, START_MS + 600_000)
    line.line(False, START_MS + 1_200_000 + SLOT_MS + 300_000)
    strip = line.strip(START_MS + 1_200_000 + SLOT_MS + 900_000)
    assert strip[-3:] == [0.5, 1.0, 0.3333]
    assert set(strip[:-3]) == {None}


def test_a_day_later_the_strip_is_full_and_nothing_older_is_kept():
    """After 30 days up, 48 whole half hours; the first day is forgotten."""
    line = Connectivity(START_MS)
    now_ms = START_MS + 30 * 24 * HOUR_MS
    line.line(True, START_MS)
    assert line.strip(now_ms) == [1.0] * SLOTS
    line.line(False, now_ms)
    later_ms = now_ms + 23 * HOUR_MS
    assert line.strip(later_ms)[-1] == 0.0
    assert 1.0 in line.strip(later_ms)
    assert line.strip(now_ms + 25 * HOUR_MS) == [0.0] * SLOTS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_flapping_costs_no_memory_and_no_time_is_lost(seed):
    """10,000 changes: never more than the half hours are kept, and the shares add up to what was up."""
    random_ = random.Random(seed)
    line, now_ms, up_ms, is_up = Connectivity(0), 0, 0, False
    for _ in range(10_000):
        step_ms = random_.randrange(1, 8_000)
        up_ms += step_ms if is_up else 0
        now_ms += step_ms
        is_up = random_.random() < 0.5
        line.line(is_up, now_ms)
        assert len(line._up_ms) <= SLOTS
    assert now_ms < SLOTS * SLOT_MS
    ends = [min(SLOT_MS, now_ms - begin) for begin in range(0, now_ms, SLOT_MS)]
    known = [share for share in line.strip(now_ms) if share is not None]
    assert sum(share * end for share, end in zip(known, ends, strict=True)) == pytest.approx(up_ms, rel=1e-3)


def test_line_down_is_silence_from_its_loss_on():
    """From the start until it first answered, and again from the moment of the loss."""
    line = Connectivity(START_MS)
    assert line.silent_since(START_MS) == START_MS
    line.see(uplink(), START_MS + 1_000)
    assert line.silent_since(START_MS + HOUR_MS) is None
    line.see(uplink(connected=False, heard=False), START_MS + HOUR_MS)
    line.see(uplink(connected=False, heard=False), START_MS + 2 * HOUR_MS)
    assert line.silent_since(START_MS + 3 * HOUR_MS) == START_MS + HOUR_MS


def test_missing_acknowledgement_is_silence_after_a_minute():
    """Events wait from one hour on: patience first, then silent since that hour; each acknowledgement starts anew."""
    line = Connectivity(START_MS)
    line.see(uplink(), START_MS)
    at_ms = START_MS + HOUR_MS
    line.see(uplink(pending=3), at_ms)
    assert line.silent_since(at_ms + PATIENCE_MS - 1) is None
    assert line.silent_since(at_ms + PATIENCE_MS) == at_ms
    line.see(uplink(pending=1, acked=2), at_ms + PATIENCE_MS)
    assert line.silent_since(at_ms + 2 * PATIENCE_MS - 1) is None
    assert line.silent_since(at_ms + 2 * PATIENCE_MS) == at_ms + PATIENCE_MS
    line.see(uplink(acked=3), at_ms + 2 * PATIENCE_MS)
    assert line.silent_since(at_ms + HOUR_MS) is None


def test_a_broker_without_a_cloud_behind_it_is_silence():
    """Connected, and no hello is answered: the silence of the loss goes on, not from the new connection."""
    line = Connectivity(START_MS)
    line.see(uplink(), START_MS)
    lost_ms, back_ms = START_MS + HOUR_MS, START_MS + 2 * HOUR_MS
    line.see(uplink(connected=False, heard=False), lost_ms)
    line.see(uplink(heard=False), back_ms)
    assert line.silent_since(back_ms + PATIENCE_MS - 1) is None
    assert line.silent_since(back_ms + PATIENCE_MS) == lost_ms


def test_badge():
    """Silence counts for more than what waits."""
    assert (badge_of(0, None), badge_of(12, None), badge_of(12, 5)) == (UP_TO_DATE, WAITING, SILENT)
