"""D5: wrong codes lock the keypads, for how long, for whom, and how many guesses a day are looked at."""

from collections.abc import Callable

import pytest
from doorside import Doorside
from oracle import Door, Grant, Pass, Reader, Site

from edge.decision import model
from edge.decision.lockout import Lockout

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
RIGHT, WRONG = 1, 99


def a_side() -> Doorside:
    site = Site(doors={"a": Door(), "b": Door()})
    site.readers = {"a-in": Reader("a"), "b-in": Reader("b"), "a-gsm": Reader("a", kind="gsm")}
    site.profiles = {"p": [Grant("a", media=frozenset(("badge", "code", "phone"))), Grant("b")]}
    site.passes = {(medium, RIGHT): Pass("p") for medium in ("badge", "code", "phone")}
    site.passes[("code", 2)] = Pass("p", output="aux1")
    return Doorside(site)


def guess(side: Doorside, times: int, reader: str = "a-in") -> list[str]:
    return [side.present(reader, "code", WRONG) for _ in range(times)]


def lock_ms(side: Doorside) -> int:
    """How long codes are refused unseen from now, to the millisecond, by trying a right one."""
    passed = 0
    while side.present("a-in", "code", RIGHT) == "denied:locked-out":
        assert passed <= 16 * MINUTE
        side.run(SECOND)
        passed += SECOND
    return passed


def test_five_wrong_codes_lock_for_thirty_seconds() -> None:
    """Four are looked at freely; the fifth locks for 30 s and is an alarm; then codes are looked at again."""
    side = a_side()
    assert guess(side, 4) == ["denied:unknown"] * 4
    assert side.present("a-in", "code", RIGHT).startswith("open")
    assert guess(side, 1) == ["denied:unknown+alarm:lockout"]
    assert side.present("a-in", "code", RIGHT) == "denied:locked-out"
    side.run(30 * SECOND - 1)
    assert side.present("a-in", "code", RIGHT) == "denied:locked-out"
    side.run(1)
    assert side.present("a-in", "code", RIGHT) == "open"


def test_each_further_wrong_code_doubles_to_fifteen_minutes() -> None:
    """30, 60, 120, 240, 480, 900 s and no more, though the count falls meanwhile by one every 10 min."""
    side = a_side()
    guess(side, 4)
    seen = []
    for _ in range(5):
        guess(side, 1)
        seen.append(lock_ms(side) // SECOND)
    assert seen == [30, 60, 120, 240, 480]
    guess(side, 1)
    assert lock_ms(side) // SECOND in (480, 900)  # 930 s have passed: the count may have fallen by one
    for _ in range(20):
        guess(side, 1)
        assert lock_ms(side) <= 15 * MINUTE


def test_only_the_first_lock_is_an_alarm() -> None:
    """An attack is one alarm, until the count has been at zero again."""
    side = a_side()
    alarms = 0
    for _ in range(12):
        alarms += "alarm:lockout" in guess(side, 1)[0]
        side.run(16 * MINUTE)
    assert alarms <= 1
    side.run(3 * HOUR)
    assert guess(side, 5)[-1].endswith("alarm:lockout")


def test_a_right_code_resets_nothing() -> None:
    """Four wrong, one right, one wrong: locked."""
    side = a_side()
    guess(side, 4)
    side.present("a-in", "code", RIGHT)
    guess(side, 1)
    assert side.present("a-in", "code", RIGHT) == "denied:locked-out"


def test_a_code_known_elsewhere_is_wrong_here() -> None:
    """Wrong means any code that is unknown at that door: one without its output granted counts as well."""
    side = a_side()
    assert [side.present("a-in", "code", 2) for _ in range(5)][-1] == "denied:unknown+alarm:lockout"


def test_the_count_falls_by_one_every_ten_minutes() -> None:
    """After four wrong codes: with 10 min passed two more are needed to lock, after 40 min five."""
    for minutes, free in ((9, 0), (10, 1), (20, 2), (40, 4), (400, 4)):
        side = a_side()
        guess(side, 4)
        side.run(minutes * MINUTE)
        guess(side, free)
        assert side.present("a-in", "code", RIGHT) == "open", minutes
        guess(side, 1)
        assert side.present("a-in", "code", RIGHT) == "denied:locked-out", minutes


def test_all_doors_share_it_and_only_codes_feel_it() -> None:
    """Wrong codes at door a lock door b's keypad; badges, phones and exits stay as they are."""
    side = a_side()
    guess(side, 5)
    assert side.present("b-in", "code", RIGHT) == "denied:locked-out"
    assert side.present("a-in", "badge", RIGHT) == "open"
    assert side.present("a-gsm", "phone", RIGHT) == "open"
    assert side.exit("b") == "open:exit"
    assert side.lights["b-in"] != "granted"


def test_unknown_badges_lock_nothing() -> None:
    """Wrong badges and phone numbers are not guesses."""
    side = a_side()
    for _ in range(20):
        assert side.present("a-in", "badge", WRONG) == "denied:unknown"
        assert side.present("a-gsm", "phone", WRONG) == "denied:unknown"
    assert side.present("a-in", "code", RIGHT) == "open"


def test_a_refused_try_while_locked_counts_nothing() -> None:
    """Codes are not looked at during a lock: a hundred tries neither lengthen it nor tell anything."""
    side = a_side()
    guess(side, 5)
    for number in (RIGHT, WRONG) * 50:
        assert side.present("a-in", "code", number) == "denied:locked-out"
    side.run(30 * SECOND)
    assert side.present("a-in", "code", RIGHT) == "open"


def test_it_is_kept_across_a_restart() -> None:
    """Pulling the plug neither ends a lock nor forgets the count."""
    side = a_side()
    guess(side, 5)
    side.restart()
    assert side.present("a-in", "code", RIGHT) == "denied:locked-out"
    side.run(30 * SECOND)
    assert side.present("a-in", "code", RIGHT) == "open"
    guess(side, 1)
    assert 30 * SECOND < lock_ms(side) <= 60 * SECOND
    side.restart()
    side = a_side()
    guess(side, 4)
    side.restart()
    guess(side, 1)
    assert side.present("a-in", "code", RIGHT) == "denied:locked-out"


@pytest.mark.parametrize("trusted", [True, False])
def test_a_restart_brings_no_old_lock_back(trusted: bool) -> None:
    """A lock that is over, and a count that has fallen to nothing, stay so over a restart a week later, also where
    the clock is not yet trusted (a board without a battery clock, before NTP)."""
    side = a_side()
    guess(side, 5)
    side.run(7 * DAY)
    side.trusted = trusted
    side.restart()
    assert side.present("a-in", "code", RIGHT) == "open"
    guess(side, 4)
    assert side.present("a-in", "code", RIGHT) == "open"


def at(mono_ms: int, trusted: bool = True) -> model.Moment:
    return model.Moment(mono_ms, 1_800_000_000_000 + mono_ms, trusted, 0)


def greedy(lock: Lockout, now: int) -> int:
    """Guess whenever it is possible."""
    return max(now + 1, lock.until_ms() or 0)


def patient(step_ms: int) -> Callable:
    """Guess at most every so often."""
    return lambda lock, now: max(now + step_ms, lock.until_ms() or 0)


def bursts(count: int, pause_ms: int) -> Callable:
    """So many guesses, then a pause in which the count falls."""
    done = [0]

    def when(lock: Lockout, now: int) -> int:
        done[0] += 1
        return max(now + (pause_ms if done[0] % count == 0 else 1), lock.until_ms() or 0)

    return when


STRATEGIES = {
    "greedy": lambda: greedy,
    "every 10 min": lambda: patient(10 * MINUTE),
    "every 9 min 59 s": lambda: patient(10 * MINUTE - 1),
    "every 30 s": lambda: patient(30 * SECOND),
    "four, then 40 min": lambda: bursts(4, 40 * MINUTE),
    "four, then 10 min": lambda: bursts(4, 10 * MINUTE),
    "nine, then 90 min": lambda: bursts(9, 90 * MINUTE),
    "five, then 50 min": lambda: bursts(5, 50 * MINUTE),
}


def guesses_in_any_day(when: Callable, restart_every: int = 0) -> int:
    """The most wrong codes looked at in any 24 h of three days."""
    lock, now, seen = Lockout(), 0, []
    while now < 3 * DAY:
        assert not lock.is_locked(now)
        lock.wrong(now)
        seen.append(now)
        if restart_every and len(seen) % restart_every == 0:
            kept, lock = lock.keep(at(now)), Lockout()
            lock.restore(kept, at(now))
        now = when(lock, now)
        lock.due(now)
    return max(sum(1 for guess_ms in seen if first <= guess_ms < first + DAY) for first in seen)


@pytest.mark.parametrize("restart_every", [0, 1, 7])
@pytest.mark.parametrize("name", STRATEGIES)
def test_at_most_150_guesses_a_day(name: str, restart_every: int) -> None:
    """However they are spread, and whoever pulls the plug, at most 150 guesses are looked at in any 24 h."""
    assert guesses_in_any_day(STRATEGIES[name](), restart_every) <= 150


def test_without_the_lockout_there_would_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a lock of no length lets the same attacker pass 150."""
    monkeypatch.setattr("edge.decision.lockout.FIRST_LOCK_MS", 0)
    monkeypatch.setattr("edge.decision.lockout.DAILY_GUESSES", 10**9)
    assert guesses_in_any_day(patient(MINUTE)) > 150


def test_a_guess_is_kept_before_the_next_is_possible() -> None:
    """Each wrong code asks to keep the count in the very outputs that refuse it."""
    side = a_side()
    for _ in range(6):
        before = len(side.outputs)
        side.present("a-in", "code", WRONG)
        names = [output.name for output in side.outputs[before:] if type(output).__name__ == "Keep"]
        assert "lockout" in names
        side.run(30 * SECOND)


@pytest.mark.parametrize("years", [-10, 10])
def test_a_stepped_wall_clock_changes_no_lock(years: int) -> None:
    """D4: the wall clock jumps ten years during a lock: it ends when it would have."""
    side = a_side()
    guess(side, 5)
    side.run(10 * SECOND)
    side.step_clock(years * 365 * DAY)
    assert side.present("a-in", "code", RIGHT) == "denied:locked-out"
    side.run(20 * SECOND - 1)
    assert side.present("a-in", "code", RIGHT) == "denied:locked-out"
    side.run(1)
    assert side.present("a-in", "code", RIGHT) == "open"


def test_spoilt_keepings_count_as_none() -> None:
    """Bytes that are not a kept lockout restore nothing and break nothing."""
    for kept in (b"", b"\0", b"x" * 10, b"x" * 12, bytes(200)):
        lock = Lockout()
        lock.restore(kept, at(0))
        lock.due(0)
