"""Rows Y2 and Y4 in simulated time: everything that a line can do at once, 1,000 seeds, and what is played back."""

import pytest
from lossy_world import Network
from storm_world import StormWorld

from edge.uplink import challenges, outbox

BAD = Network(loss=0.3, repeat=0.3, delay_ms=3_000)
STORM_MS = 120_000
HEALED_MS = 60_000  # row Y2
QUICK, FULL = 30, 1_000
QUICK_PLAYED, FULL_PLAYED = 300, 10_000  # row Y4
LATER_MS = 86_400_000


def stormy(seed, network=BAD):
    one = StormWorld(seed, network, log_size=20)
    one.connect()
    one.storm(STORM_MS, 40)
    one.heal()
    return one


@pytest.mark.parametrize("seeds", [QUICK, pytest.param(FULL, marks=[pytest.mark.full, pytest.mark.timeout(1800)])])
def test_after_any_storm_both_ends_are_equal_within_a_minute(seeds):
    """Loss, repeats, reordering, half-open lines, kills, drift, changes with gaps, commands, and somebody who plays
    back: events once and in order, the same rows, and no door opened that was not freshly commanded."""
    slowest, deltas, snapshots, opened = 0, 0, 0, 0
    for seed in range(seeds):
        one = stormy(seed)
        took_ms = one.equal_after_ms(HEALED_MS)
        assert took_ms is not None, f"seed {seed}: not equal after a minute: {one.sync.status()}"
        assert one.wrong_openings() == [], f"seed {seed}"
        assert all(one.log[seq - 1][3] == event for seq, event in one.manager.noticed.items()), f"seed {seed}"
        slowest, opened = max(slowest, took_ms), opened + len(one.opened)
        deltas, snapshots = deltas + one.manager.deltas, snapshots + one.manager.snapshots
    print(
        f"{seeds} seeds from 0 on: equal at most {slowest / 1000} s after healing; {deltas} changes and {snapshots} "
        f"snapshots were sent; {opened} of {6 * seeds} commands opened a door"
    )
    assert opened > seeds / 4  # the storm lets some through: else nothing is shown by none that was wrong
    assert deltas > snapshots / 4


def played_back(count):
    """How often a door opened by what was heard before: at once, later, after a start of the agent; in any order."""
    done, seed = 0, 0
    while done < count:
        one, seed = stormy(seed, Network()), seed + 1
        one.run(HEALED_MS)
        down = [(call, said) for call, said in one.heard if said[0] in ("down/challenge", "down/command")]
        before = len(one.opened)
        for is_killed in (False, True, False):
            one.run(LATER_MS)
            if is_killed:
                one.kill()
                one.run(30_000)
            for call, said in one.chance.choices(down, k=100):
                call(*said)
            done += 100
        one.run(1_000)
        yield len(one.opened) - before


@pytest.mark.parametrize("count", [QUICK_PLAYED, pytest.param(FULL_PLAYED, marks=pytest.mark.full)])
def test_what_is_played_back_opens_nothing(count):
    """Row Y4: challenges and commands of before, played back at any later time, in any order: no opening."""
    print(f"{count} messages played back, seeds from 0 on")
    assert sum(played_back(count)) == 0


def test_played_back_commands_would_open_without_challenges(monkeypatch):
    """Negative control: where any challenge is taken, what is played back opens doors."""
    monkeypatch.setattr(challenges.Challenges, "redeem", lambda *_: challenges.FRESH)
    assert sum(played_back(300)) > 0
    assert any(stormy(seed).wrong_openings() for seed in range(5))


def test_without_sending_again_the_storm_would_show(monkeypatch):
    """Negative control: with resending disabled, ends are not equal a minute later."""
    monkeypatch.setattr(outbox, "RESEND_MS", 10**12)
    monkeypatch.setattr(outbox, "RESEND_MAX_MS", 10**12)
    monkeypatch.setattr(StormWorld, "kill", lambda self: None)
    assert any(stormy(seed).equal_after_ms(HEALED_MS) is None for seed in range(20))
