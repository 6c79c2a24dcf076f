"""D10, D4 and the rest of D7 at the door: forced, held, exits, pulses, standing open, first card, lockdown, holds."""

from datetime import UTC, date, datetime

import pytest
from doorside import Doorside
from oracle import Door, Grant, Pass, Reader, Site, WeekType

from edge.decision import model, rows
from edge.decision.controller import Controller

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
YEARS = [-10 * 365 * DAY, 10 * 365 * DAY]
HALL = WeekType({day: [(480, 1140)] for day in range(5)})
MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)  # Monday, 07:00 in Paris


def a_site(**door: object) -> Site:
    site = Site(week_types={"hall": HALL}, doors={"a": Door(("door", "aux1"), **door), "b": Door()})
    site.readers = {"a-in": Reader("a"), "a-side": Reader("a", output="aux1"), "b-in": Reader("b")}
    site.profiles = {
        "p": [Grant("a"), Grant("a", "aux1", frozenset(("badge",))), Grant("b")],
        "timed": [Grant("a", week_type="hall")],
    }
    site.passes = {
        ("badge", 1): Pass("p"), ("badge", 2): Pass("p", extended=True), ("badge", 3): Pass("p", emergency=True),
        ("badge", 4): Pass("timed"), ("badge", 5): Pass("p", last_day=date(2026, 11, 30)), ("code", 1): Pass("p"),
    }  # fmt: skip
    return site


def a_side(start: datetime | None = None, **door: object) -> Doorside:
    return Doorside(a_site(**door)) if start is None else Doorside(a_site(**door), start)


def test_a_pulse_is_as_long_as_the_door_says() -> None:
    """Unlocked for unlock_ms, then told to lock; an extended pass gets extended_ms."""
    for number, ms in ((1, 5000), (2, 15000)):
        side = a_side()
        assert side.present("a-in", "badge", number) == "open"
        side.run(ms - 1)
        assert side.is_unlocked("a")
        side.run(1)
        assert not side.is_unlocked("a")


def test_a_second_grant_never_shortens_the_first() -> None:
    """An extended pulse of 15 s, then an ordinary one at 1 s: unlocked until 15 s, at either output."""
    for reader, output in (("a-in", "door"), ("a-side", "aux1")):
        side = a_side()
        side.present(reader, "badge", 2)
        side.run(SECOND)
        side.present(reader, "badge", 1)
        side.run(13 * SECOND)
        assert side.is_unlocked("a", output), output
        side.run(SECOND)
        assert not side.is_unlocked("a", output)


def test_forced_is_an_alarm_at_once() -> None:
    """Nobody was let in and the leaf opens: forced, in the same outputs; after a pulse has ended as well."""
    side = a_side()
    assert side.leaf("a", True) == "alarm:forced"
    side.leaf("a", False)
    side.present("a-in", "badge", 1)
    side.run(5 * SECOND)
    assert side.leaf("a", True) == "alarm:forced"


def test_a_side_output_excuses_no_forced_leaf() -> None:
    """A pulse of aux1 is not one of the main strike."""
    side = a_side()
    assert side.present("a-side", "badge", 1) == "open:aux1"
    assert side.leaf("a", True) == "alarm:forced"


def test_held_open_is_an_alarm_at_the_set_time_and_once() -> None:
    """29.999 s nothing, 30 s the alarm, no second one; after closing and opening rightly it counts anew."""
    side = a_side(held_open_s=30)
    for _ in range(2):
        side.present("a-in", "badge", 1)
        side.leaf("a", True)
        assert side.said(side.run(30 * SECOND - 1)) == "none"
        assert side.said(side.run(1)) == "alarm:held"
        assert side.said(side.run(HOUR)) == "none"
        side.leaf("a", False)
        side.run(6 * SECOND)


def test_a_grant_at_an_open_door_gives_its_time_again() -> None:
    """Somebody lets the next one in through the open leaf: held counts from then."""
    side = a_side(held_open_s=30)
    side.present("a-in", "badge", 1)
    side.leaf("a", True)
    side.run(20 * SECOND)
    side.present("a-in", "badge", 1)
    assert side.said(side.run(29 * SECOND)) == "none"
    assert side.said(side.run(SECOND)) == "alarm:held"


def test_the_strike_relocks_on_opening_where_set() -> None:
    """relock_on_open: locked as soon as the leaf opens; without it the pulse runs to its end."""
    for relock in (True, False):
        side = a_side(relock_on_open=relock)
        side.present("a-in", "badge", 1)
        side.run(SECOND)
        side.leaf("a", True)
        assert side.is_unlocked("a") is not relock
        side.run(4 * SECOND)
        assert not side.is_unlocked("a")


def test_repeated_contact_readings_change_nothing() -> None:
    """The same reading ten times: one opening, no alarm, one note."""
    side = a_side()
    side.present("a-in", "badge", 1)
    before = len(side.events)
    for _ in range(10):
        side.leaf("a", True)
    for _ in range(10):
        side.leaf("a", False)
    assert [event.reason for event in side.events[before:]] == ["door-opened", "door-closed"]


def test_the_exit_button_opens_before_its_record() -> None:
    """Strike first, then the record; also in lockdown, with an untrusted clock, locked keypads and a failing log."""
    side = a_side()
    side.command("lockdown")
    side.trusted = False
    side.take(model.LogTrouble("a", "full"))
    before = len(side.outputs)
    assert "open:exit" in side.exit("a")
    names = [type(output).__name__ for output in side.outputs[before:]]
    assert names.index("Strike") < names.index("Record")
    assert side.is_unlocked("a")
    assert side.leaf("a", True) == "none"


def test_the_exit_button_works_without_a_policy() -> None:
    """A controller whose policy is missing still lets people out of the doors that its configuration names."""
    bare = rows.Door("a", "", ("door",), 5000, 5000, 0, rows.NEVER, False, False, False, "", "", (), rows.NEVER)
    controller = Controller({"a"}, (bare,))
    moment = model.Moment(0, 0, False, 0)
    controller.handle(model.Started({}, ""), moment)
    assert model.Strike("a", "door", 5000) in controller.handle(model.ExitPressed("a"), moment)
    said = controller.handle(model.Presented("r", "a", model.BADGE, 1, 0, True), moment)
    assert [output.event.reason for output in said if type(output).__name__ == "Record"] == ["unknown"]


def test_auto_open_stands_open_by_its_week_type() -> None:
    """From 08:00 to 19:00 unlocked, to the second; the leaf may move freely; no alarm."""
    side = a_side(MORNING, auto_open="hall")
    side.run(HOUR - 1)
    assert not side.is_unlocked("a")
    side.run(1)
    assert side.strikes[("a", "door")] == "held"
    assert side.leaf("a", True) == "none"
    assert side.said(side.run(HOUR)) == "none"
    assert side.leaf("a", False) == "none"
    side.run(10 * HOUR - 1)
    assert side.is_unlocked("a")
    side.run(1)
    assert not side.is_unlocked("a")
    assert side.leaf("a", True) == "alarm:forced"


@pytest.mark.parametrize("how", ["exit", "badge", "command"])
@pytest.mark.parametrize("late_ms", [0, 1, 40])
def test_an_opening_as_standing_ends_is_a_pulse(how: str, late_ms: int) -> None:
    """Somebody comes just as the hall closes, before the tick: they get their pulse, and the strike ends locked."""
    side = a_side(MORNING, auto_open="hall")
    side.run(12 * HOUR - 1)
    assert side.strikes[("a", "door")] == "held"
    side.mono_ms, side.utc_ms = side.mono_ms + 1 + late_ms, side.utc_ms + 1 + late_ms
    said = {
        "exit": lambda: side.exit("a"),
        "badge": lambda: side.present("a-in", "badge", 1),
        "command": lambda: side.command("open", "a"),
    }[how]()
    assert said.startswith("open")
    assert side.strikes[("a", "door")] == side.mono_ms + 5000
    side.run(5000)
    assert side.strikes[("a", "door")] == "locked"


def test_an_opening_as_the_clock_loses_trust_is_a_pulse() -> None:
    """The input that comes with the first untrusted moment ends the standing; the strike must not stay unlocked."""
    side = a_side(auto_open="hall")
    side.run(SECOND)
    assert side.strikes[("a", "door")] == "held"
    side.trusted = False
    side.exit("a")
    side.run(MINUTE)
    assert side.strikes[("a", "door")] == "locked"


def test_a_leaf_that_stands_ajar_when_standing_ends_is_watched() -> None:
    """Left open at closing time: no forced alarm, held after its seconds."""
    side = a_side(MORNING, auto_open="hall", held_open_s=30)
    side.run(11 * HOUR)
    side.leaf("a", True)
    assert side.said(side.run(HOUR + 29 * SECOND)) == "none"
    assert not side.is_unlocked("a")
    assert side.said(side.run(SECOND)) == "alarm:held"


def test_auto_open_needs_a_trusted_clock() -> None:
    """M2: no opening by a week type while the clock is not trusted; it ends when trust is lost."""
    side = a_side(auto_open="hall")
    side.run(SECOND)
    assert side.is_unlocked("a")
    side.trusted = False
    side.take(model.Tick())
    assert not side.is_unlocked("a")
    side.trusted = True
    side.take(model.Tick())
    assert side.is_unlocked("a")


def test_first_card_starts_auto_open() -> None:
    """Inside the interval nothing stands open before the first granted badge; then until its end, not the next day."""
    side = a_side(MORNING, auto_open="hall", first_card=True)
    side.present("a-in", "badge", 1)
    side.run(2 * HOUR)
    assert not side.is_unlocked("a")
    side.present("a-in", "badge", 77)
    assert not side.is_unlocked("a")
    side.present("a-in", "badge", 1)
    side.run(MINUTE)
    assert side.strikes[("a", "door")] == "held"
    side.run(10 * HOUR - MINUTE - 1)
    assert side.is_unlocked("a")
    side.run(1)
    assert not side.is_unlocked("a")
    side.run(15 * HOUR)
    assert not side.is_unlocked("a")


@pytest.mark.parametrize("medium", ["badge", "code"])
def test_first_card_is_kept_across_a_restart(medium: str) -> None:
    """After a restart inside the interval the door stands open again, until the same end."""
    side = a_side(MORNING, auto_open="hall", first_card=True)
    side.run(2 * HOUR)
    side.present("a-in", medium, 1)
    side.restart(off_ms=MINUTE)
    assert side.strikes[("a", "door")] == "held"
    side.run(10 * HOUR - MINUTE)
    assert not side.is_unlocked("a")


def test_first_card_is_kept_when_the_policy_comes_after_the_start() -> None:
    """`Started` is the first input: what it brings must wait for the doors that the policy brings."""
    side = a_side(MORNING, auto_open="hall", first_card=True)
    side.run(2 * HOUR)
    side.present("a-in", "badge", 1)
    controller = Controller({"a"})
    controller.handle(model.Started(dict(side.kept), ""), side.moment)
    outputs = controller.handle(model.PolicyReplaced(side.index), side.moment)
    assert model.Strike("a", "door", model.HOLD) in outputs


@pytest.mark.parametrize("policy_first", [True, False])
def test_auto_open_after_a_restart(policy_first: bool) -> None:
    """A start inside the interval: in either order of the first inputs the last word to the strike is HOLD."""
    side = a_side(auto_open="hall")
    controller = Controller({"a"})
    first_two = [model.PolicyReplaced(side.index), model.Started({}, "")]
    outputs = []
    for happened in first_two if policy_first else reversed(first_two):
        outputs += controller.handle(happened, side.moment)
    outputs += controller.handle(model.Tick(), side.moment)
    told = [output.ms for output in outputs if type(output).__name__ == "Strike" and output[:2] == ("a", "door")]
    assert told[-1] == model.HOLD


def test_lockdown_beats_everything_but_exit() -> None:
    """Badges, codes, auto-open, holds and openings by command are refused or end; emergency passes and exits open."""
    side = a_side(auto_open="hall")
    side.run(SECOND)
    assert side.is_unlocked("a")
    assert side.command("lockdown") == "none"
    assert not side.is_unlocked("a")
    assert side.present("a-in", "badge", 1) == "denied:lockdown"
    assert side.present("a-in", "code", 99) == "denied:lockdown"
    assert side.command("open", "a") == "denied:lockdown"
    assert side.command("hold", "a", HOUR) == "denied:lockdown"
    assert not side.is_unlocked("a")
    assert side.present("a-in", "badge", 3) == "open"
    side.run(6 * SECOND)
    assert side.exit("a") == "open:exit"
    side.run(6 * SECOND)
    assert side.command("release") == "none"
    assert side.is_unlocked("a")
    assert side.present("b-in", "badge", 1) == "open"


def test_lockdown_of_one_door_leaves_the_other() -> None:
    """A lockdown names its door."""
    side = a_side()
    side.command("lockdown", "a")
    assert side.present("a-in", "badge", 1) == "denied:lockdown"
    assert side.present("b-in", "badge", 1) == "open"


def test_lockdown_survives_a_restart_and_a_hold_does_not() -> None:
    """Lockdown is a state, a hold is not."""
    side = a_side()
    side.command("hold", "b", HOUR)
    assert side.is_unlocked("b")
    side.command("lockdown", "a")
    side.restart()
    side.run(SECOND)
    assert not side.is_unlocked("b")
    assert side.present("a-in", "badge", 1) == "denied:lockdown"


def test_a_hold_ends_within_a_day() -> None:
    """A hold of 48 h is ended after 24 h; release ends it at once."""
    side = a_side()
    side.command("hold", "a", 48 * HOUR)
    side.run(24 * HOUR - 1)
    assert side.is_unlocked("a")
    side.run(1)
    assert not side.is_unlocked("a")
    side.command("hold", "a", HOUR)
    side.run(SECOND)
    side.command("release", "a")
    assert not side.is_unlocked("a")


def test_a_hold_that_is_over_opens_nothing_and_says_so() -> None:
    """A hold whose end has passed: no opening on record that never was."""
    side = a_side()
    assert "open" not in side.command("hold", "a", -1).split(":")[0]
    assert not side.is_unlocked("a")


@pytest.mark.parametrize("step", YEARS)
def test_a_stepped_clock_lengthens_no_pulse_hold_or_countdown(step: int) -> None:
    """D4: the wall clock jumps ten years during a pulse, a hold, a held countdown and a badge that waits."""
    side = a_side(held_open_s=30)
    side.present("a-in", "badge", 2)
    side.command("hold", "b", HOUR)
    side.run(SECOND)
    side.step_clock(step)
    side.take(model.Tick())
    side.run(14 * SECOND - 1)
    assert side.is_unlocked("a")
    side.run(1)
    assert not side.is_unlocked("a")
    side.run(HOUR - 15 * SECOND - 1)
    assert side.is_unlocked("b")
    side.run(1)
    assert not side.is_unlocked("b")
    side.utc_ms -= step
    side.present("a-in", "badge", 1)
    side.leaf("a", True)
    side.step_clock(step)
    assert side.said(side.run(30 * SECOND - 1)) == "none"
    assert side.said(side.run(1)) == "alarm:held"


@pytest.mark.parametrize("step", YEARS)
def test_a_stepped_clock_moves_auto_open_only_with_the_wall(step: int) -> None:
    """Auto-open follows the trusted wall clock at once, both ways."""
    side = a_side(auto_open="hall")
    side.run(SECOND)
    assert side.is_unlocked("a")
    side.step_clock(step - step % (7 * DAY) + 6 * DAY)  # a Sunday
    side.take(model.Tick())
    assert not side.is_unlocked("a")


@pytest.mark.parametrize("untrusted", ["always-only", "allow"])
def test_an_untrusted_clock_follows_the_sites_setting(untrusted: str) -> None:
    """Always opens; what is scheduled or dated does as the site says; the loss of trust is an alarm."""
    site = a_site()
    site.untrusted = untrusted
    side = Doorside(site)
    side.trusted = False
    assert side.said(side.take(model.Tick())) == "alarm:clock"
    wanted = "open" if untrusted == "allow" else "denied:clock-untrusted"
    assert side.present("a-in", "badge", 1) == "open"
    assert side.present("a-in", "badge", 4) == wanted
    assert side.present("a-in", "badge", 5) == wanted
    assert side.present("a-in", "badge", 3) == "open"


def test_restart_locks_every_output() -> None:
    """A pulse may have been running: each output is told to lock."""
    side = a_side()
    side.present("a-in", "badge", 1)
    before = side.outputs
    side.restart()
    strikes = [output for output in side.outputs if type(output).__name__ == "Strike"]
    told = {(output.door, output.output) for output in strikes if output.ms == model.LOCK}
    assert before is not side.outputs
    assert told == {("a", "door"), ("a", "aux1"), ("b", "door")}


def test_a_door_that_denies_without_its_log_is_locked_again() -> None:
    """LogTrouble at a `deny` door: locked at once, denied:log-failure, the log alarm once."""
    side = a_side()
    row = side.controller.doors["a"].row
    values = [value if index != 8 else True for index, value in enumerate(row)]
    side.controller.doors["a"].row = rows.Door(*values)
    side.present("a-in", "badge", 1)
    assert side.said(side.take(model.LogTrouble("a", "full"))) == "denied:log-failure+alarm:log"
    assert not side.is_unlocked("a")
    assert side.said(side.take(model.LogTrouble("a", "full"))) == "denied:log-failure"
    side.present("b-in", "badge", 1)
    side.take(model.LogTrouble("b", "full"))
    assert side.is_unlocked("b")


def test_a_lockdown_ends_a_running_pulse_but_not_an_exits() -> None:
    """Lockdown beats everything but exit: a badge's pulse is cut short, an exit button's runs to its end."""
    side = a_side()
    side.present("a-in", "badge", 2)
    side.exit("b")
    side.command("lockdown")
    assert not side.is_unlocked("a")
    assert side.leaf("a", True) == "alarm:forced"
    assert side.is_unlocked("b")
    side.run(5 * SECOND)
    assert not side.is_unlocked("b")
