"""10,000 random inputs at a controller: the strike is never left unlocked without a reason, and no pulse is missed."""

import collections
import random
from datetime import UTC, datetime

import pytest
import site_rows
from doorside import Doorside
from oracle import Area, Door, Grant, Pass, Reader, Site, WeekType

from edge.decision import model

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
SEEDS = range(10)
INPUTS = 1000  # of each seed
QUARTERS = WeekType({day: [(hour * 60, hour * 60 + 20) for hour in range(24)] for day in range(7)})


def a_site(rng: random.Random) -> Site:
    site = Site(week_types={"q": QUARTERS}, areas={"in": Area(rng.choice(("hard", "soft", "timed")), 1)})
    site.doors = {
        "a": Door(("door", "aux1"), 5000, 12000, 30, "q", rng.random() < 0.5, rng.random() < 0.5, "in"),
        "b": Door(("door",), 3000, 3000, 0, "Never", False, True, interlock=("c",)),
        "c": Door(("door",), 700, 700, 10, "Never", False, rng.random() < 0.5, interlock=("b",), badge_and_code="q"),
    }
    site.readers = {
        "a-in": Reader("a"), "a-out": Reader("a", "out"), "a-aux": Reader("a", output="aux1"),
        "b-in": Reader("b"), "c-in": Reader("c"),
    }  # fmt: skip
    site.profiles = {
        "p": [Grant(door, media=frozenset(("badge", "code"))) for door in "abc"] + [
            Grant("a", "aux1", frozenset(("badge",)))
        ],
        "q": [Grant("b", week_type="q", media=frozenset(("badge",)))],
    }  # fmt: skip
    for number in range(6):
        flags = {"extended": number == 1, "emergency": number == 2, "duress": number == 3}
        site.passes[("badge", number)] = Pass("q" if number == 4 else "p", **flags)
        site.passes[("code", number)] = Pass("p", duress=number == 3)
    return site


class Watched(Doorside):
    """Keeps its own ledger of what may be unlocked until when, from the openings on record alone."""

    def __init__(self, *args: object):
        self.may: dict = collections.defaultdict(int)  # (door, output) → mono_ms
        super().__init__(*args)

    def restart(self, off_ms: int = 0) -> None:
        self.may.clear()
        super().restart(off_ms)

    def take(self, happened: tuple) -> list:
        made = super().take(happened)
        for event in made:
            if event.result == model.OPEN and event.reason != "hold":
                output = self.site.doors[event.door].outputs[0] if event.output == "exit" else event.output
                door = self.site.doors[event.door]
                key = (event.door, output)
                self.may[key] = max(self.may[key], self.mono_ms + max(door.unlock_ms, door.extended_ms))
        self.check()
        return made

    def check(self) -> None:
        for (door, output), state in self.strikes.items():
            core = self.controller.doors[door]
            where = (door, output, state, core.state)
            assert state != "held" or core.state == "standing-open", where
            assert core.state != "standing-open" or output != core.row.outputs[0] or state == "held", where
            if isinstance(state, int):
                assert state > self.mono_ms, ("a pulse was not ended", where)
                assert state <= self.may[(door, output)], ("a pulse without an opening on record", where)
                due = self.controller.next_deadline(self.moment)
                assert (due or state + 1) <= state, ("nobody will lock it", where, due)
        for door in self.site.doors:
            if self.controller.doors[door].state == "standing-open":
                assert self.has_reason(door), (door, "stands open without a reason")

    def has_reason(self, door: str) -> bool:
        """A hold in force, or its week type open by a trusted clock (first card: after an opening)."""
        if self.controller.is_held(door):
            return True
        minute = datetime.fromtimestamp(self.utc_ms / 1000, UTC).minute
        return self.trusted and self.site.doors[door].auto_open == "q" and minute < 20


def one_input(rng: random.Random, side: Watched) -> None:
    """Something happens, weighted towards what moves a strike."""
    door = rng.choice(list(side.site.doors))
    reader = rng.choice(list(side.site.readers))
    kind = rng.choice(("badge",) * 5 + ("code",) * 3 + ("exit", "exit", "leaf", "leaf", "leaf", "leaf", "command"))
    if rng.random() < 0.05:
        kind = rng.choice(("restart", "trust", "step", "policy", "log", "line", "call"))
    if kind in ("badge", "code"):
        side.present(reader, kind, rng.choice((0, 0, 1, 2, 3, 4, 77, None)), secure=rng.random() > 0.02)
    elif kind == "exit":
        side.exit(door)
    elif kind == "leaf":
        side.leaf(door, rng.random() < 0.5)
    elif kind == "command":
        action = rng.choice(("open", "hold", "release", "release", "lockdown", "forgive"))
        side.command(action, rng.choice((door, "")), rng.choice((-1, MINUTE, HOUR)))
    elif kind == "restart":
        side.restart(rng.choice((0, HOUR)))
    elif kind == "trust":
        side.trusted = not side.trusted
        side.exit(door) if rng.random() < 0.5 else side.take(model.Tick())
    elif kind == "step":
        side.step_clock(rng.choice((-1, 1)) * rng.choice((SECOND, 25 * MINUTE, 3650 * DAY)))
        side.exit(door) if rng.random() < 0.5 else side.take(model.Tick())
    elif kind == "policy":
        side.take(model.PolicyReplaced(side.index))
    elif kind == "log":
        side.take(model.LogTrouble(door, "full"))
    else:
        side.take(model.ReaderLine(reader, rng.random() < 0.5, ""))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_strike_is_left_unlocked_without_a_reason(seed: int) -> None:
    """Whatever comes and whenever: each pulse is ended and has its opening on record, each standing a reason."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    side = Watched(a_site(rng))
    for _ in range(INPUTS):
        gap = rng.choice((0, 0, 1, 400, SECOND, 5 * SECOND, 30 * SECOND, 7 * MINUTE))
        side.run(gap)
        if rng.random() < 0.15:  # an input that comes just when something is due, or late, before its tick
            due = side.controller.next_deadline(side.moment)
            if due is not None and due - side.mono_ms < HOUR:
                side._go(max(side.mono_ms, due + rng.choice((-1, 0, 0, 1, 40))))
        one_input(rng, side)
    side.trusted = False
    side.command("release")
    side.run(DAY)
    assert set(side.strikes.values()) == {"locked"}


def test_the_watch_sees_a_strike_that_nobody_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a door that forgets to end its pulses fails the watch."""
    from edge.decision.door import Door as CoreDoor

    monkeypatch.setattr(CoreDoor, "due", lambda self, mono_ms: [])
    side = Watched(a_site(random.Random(0)))
    side.exit("b")
    with pytest.raises(AssertionError):
        side.run(10 * SECOND)


@pytest.mark.parametrize("seed", range(4))
def test_every_press_of_the_exit_button_unlocks(seed: int) -> None:
    """2,500 presses of each seed between random other inputs: each has its strike and its record, none is missed."""
    rng = random.Random(1000 + seed)
    side = Watched(a_site(rng))
    for _ in range(2500):
        side.run(rng.choice((0, 1, 399, SECOND, MINUTE)))
        if rng.random() < 0.5:
            one_input(rng, side)
        door = rng.choice(list(side.site.doors))
        made = side.take(model.ExitPressed(door))
        assert [event.output for event in made if event.result == model.OPEN] == ["exit"]
        assert side.is_unlocked(door)


@pytest.mark.parametrize("seed", range(4))
def test_every_change_of_a_contact_is_heard(seed: int) -> None:
    """2,500 contact changes of each seed with repeats between: one note for each real change, in order."""
    rng = random.Random(2000 + seed)
    side = Watched(a_site(rng))
    is_open, heard, wanted = False, [], []
    for _ in range(2500):
        for _ in range(rng.choice((0, 0, 1, 3))):
            heard += side.take(model.Contact("b", is_open))
        is_open = not is_open
        side.run(rng.choice((0, 400, SECOND)))
        heard += side.take(model.Contact("b", is_open))
        wanted.append("door-opened" if is_open else "door-closed")
    assert [event.reason for event in heard if event.reason.startswith("door-")] == wanted


def test_a_renamed_main_output_leaves_nothing_unlocked() -> None:
    """A policy renames the main output during a hold and during a pulse: the old one is locked."""
    for begin in (lambda side: side.command("hold", "b", HOUR), lambda side: side.exit("b")):
        rng = random.Random(1)
        side = Doorside(a_site(rng))
        begin(side)
        assert side.is_unlocked("b")
        site = a_site(random.Random(1))
        site.doors["b"] = Door(("gate",), 3000, 3000, 0, interlock=("c",))
        side.strikes[("b", "gate")] = "locked"
        side.site = site
        side.take(model.PolicyReplaced(site_rows.index_of(site, (1, 2))))
        side.run(2 * HOUR)
        assert side.strikes[("b", "door")] == "locked"
        assert side.strikes[("b", "gate")] == "locked"
        assert side.leaf("b", True) == "alarm:forced"


def test_a_door_that_a_policy_removes_is_locked() -> None:
    """Held, then gone from the policy: told to lock, and a later policy does not bring the hold back."""
    side = Doorside(a_site(random.Random(1)))
    side.command("hold", "a", HOUR)
    site = Site(doors={"b": Door()}, profiles={})
    side.take(model.PolicyReplaced(site_rows.index_of(site, (1, 2))))
    assert not side.is_unlocked("a")
    side.take(model.PolicyReplaced(side.index))
    side.trusted = False
    side.take(model.Tick())
    assert not side.is_unlocked("a")
