"""Interlock (mantrap) and badge-and-code by week type."""

from datetime import UTC, datetime

from doorside import Doorside
from oracle import Door, Grant, Pass, Reader, Site, WeekType

SECOND = 1000
NIGHT = WeekType({day: [(1200, 360)] for day in range(7)})


def a_mantrap() -> Doorside:
    site = Site(doors={"a": Door(interlock=("b",)), "b": Door(interlock=("a",))})
    site.readers = {"a-in": Reader("a"), "b-in": Reader("b")}
    site.profiles = {"p": [Grant("a"), Grant("b")]}
    site.passes = {("badge", 1): Pass("p"), ("badge", 2): Pass("p", emergency=True)}
    return Doorside(site)


def test_door_two_refuses_while_door_one_is_open() -> None:
    """Open, held or forced: refused; closed: granted."""
    side = a_mantrap()
    assert side.present("a-in", "badge", 1) == "open"
    side.leaf("a", True)
    assert side.present("b-in", "badge", 1) == "denied:interlock"
    side.run(60 * SECOND)
    assert side.present("b-in", "badge", 1) == "denied:interlock"
    side.leaf("a", False)
    assert side.present("b-in", "badge", 1) == "open"
    side.run(6 * SECOND)
    side.leaf("b", True)
    assert side.present("a-in", "badge", 1) == "denied:interlock"


def test_both_doors_are_never_released_together() -> None:
    """Door one is unlocked and not yet open: door two waits for it."""
    side = a_mantrap()
    assert side.present("a-in", "badge", 1) == "open"
    assert side.present("b-in", "badge", 1) == "denied:interlock"
    assert not side.is_unlocked("b")
    side.run(5 * SECOND)
    assert side.present("b-in", "badge", 1) == "open"


def test_exits_ask_no_interlock() -> None:
    """Exit buttons open whatever the other door does."""
    side = a_mantrap()
    side.exit("a")
    side.leaf("a", True)
    assert side.exit("b") == "open:exit"
    assert side.is_unlocked("b")


def a_safe_door(start: datetime = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)) -> Doorside:
    """A door that asks for badge and code from 20:00 to 06:00; it is 21:00 in Paris."""
    site = Site(week_types={"night": NIGHT}, doors={"a": Door(badge_and_code="night"), "b": Door()})
    site.readers = {"a-in": Reader("a"), "a-2": Reader("a"), "b-in": Reader("b"), "a-radio": Reader("a", kind="radio")}
    media = frozenset(("badge", "code", "remote"))
    site.profiles = {"p": [Grant("a", media=media), Grant("b")], "b": [Grant("b")]}
    site.passes = {
        ("badge", 1): Pass("p", extended=True), ("badge", 2): Pass("p"), ("badge", 3): Pass("b"),
        ("code", 1): Pass("p"), ("code", 2): Pass("b"), ("remote", 1): Pass("p"),
    }  # fmt: skip
    return Doorside(site, start)


def test_at_night_a_badge_needs_its_code() -> None:
    """code-needed, then the code opens, with the badge's own time."""
    side = a_safe_door()
    assert side.present("a-in", "badge", 1) == "denied:code-needed"
    assert not side.is_unlocked("a")
    assert side.lights["a-in"] == "code-needed"
    assert side.present("a-in", "code", 1) == "open"
    assert side.strikes[("a", "door")] == side.mono_ms + 15000
    side.run(16 * SECOND)
    assert side.present("a-in", "code", 1) == "denied:code-needed"


def test_the_code_has_ten_seconds() -> None:
    """At 9.999 s it opens, at 10 s the badge is forgotten."""
    for waited, said in ((10 * SECOND - 1, "open"), (10 * SECOND, "denied:code-needed")):
        side = a_safe_door()
        side.present("a-in", "badge", 1)
        side.run(waited)
        assert side.present("a-in", "code", 1) == said


def test_neither_half_alone_nor_at_another_reader() -> None:
    """A code alone opens nothing; the code at another reader is not the badge's."""
    side = a_safe_door()
    assert side.present("a-in", "code", 1) == "denied:code-needed"
    side.present("a-in", "badge", 1)
    assert side.present("a-2", "code", 1) == "denied:code-needed"
    assert side.present("a-in", "badge", 2) == "denied:code-needed"
    assert not side.is_unlocked("a")


def test_a_wrong_code_after_the_badge_is_a_guess() -> None:
    """unknown, counted; a code without a grant here as well; the right one still opens in time."""
    side = a_safe_door()
    side.present("a-in", "badge", 1)
    assert side.present("a-in", "code", 99) == "denied:unknown"
    assert side.present("a-in", "code", 2) == "denied:unknown"
    assert side.present("a-in", "code", 1) == "open"


def test_a_badge_without_access_opens_nothing_with_any_code() -> None:
    """no-access comes before code-needed, and the code is alone then."""
    side = a_safe_door()
    assert side.present("a-in", "badge", 3) == "denied:no-access"
    assert side.present("a-in", "code", 1) == "denied:code-needed"


def test_the_code_is_judged_when_it_comes() -> None:
    """A lockdown between badge and code: refused."""
    side = a_safe_door()
    side.present("a-in", "badge", 1)
    side.command("lockdown", "a")
    assert side.present("a-in", "code", 1) == "denied:lockdown"
    assert not side.is_unlocked("a")


def test_by_day_one_half_is_enough() -> None:
    """Outside the week type badge or code open alone; a remote is never asked for a code."""
    side = a_safe_door(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    assert side.present("a-in", "badge", 1) == "open"
    assert side.present("a-in", "code", 1) == "open"
    night = a_safe_door()
    assert night.present("a-radio", "remote", 1, button=1) == "open"
    assert night.present("b-in", "badge", 1) == "open"


def test_an_untrusted_clock_asks_for_both() -> None:
    """The stricter side: by day too, where the hour is not known."""
    side = a_safe_door(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    side.trusted = False
    assert side.present("a-in", "badge", 1) == "alarm:clock+denied:code-needed"
    assert not side.is_unlocked("a")
