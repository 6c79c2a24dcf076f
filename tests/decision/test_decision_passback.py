"""D7: anti-passback hard, soft and timed; exits; unknown places; who moves when; forgiveness."""

import pytest
from doorside import Doorside
from oracle import Area, Door, Grant, Pass, Reader, Site

MINUTE = 60_000


def a_side(mode: str, contacts: bool = True, area_out: str = "") -> Doorside:
    site = Site(areas={"in": Area(mode, 10), "yard": Area("hard")})
    site.doors = {"a": Door(area_in="in", area_out=area_out), "b": Door(area_in="in"), "gate": Door(area_in="yard")}
    site.readers = {
        "a-in": Reader("a"), "a-out": Reader("a", "out"), "b-in": Reader("b"), "b-out": Reader("b", "out"),
        "gate-in": Reader("gate"), "gate-out": Reader("gate", "out"),
    }  # fmt: skip
    site.profiles = {"p": [Grant(door) for door in site.doors]}
    site.passes = {("badge", 1): Pass("p"), ("badge", 2): Pass("p"), ("badge", 3): Pass("p", emergency=True)}
    return Doorside(site, contacts=None if contacts else set())


def walk(side: Doorside, reader: str, number: int = 1) -> str:
    """Present a badge and go through."""
    said = side.present(reader, "badge", number)
    door = side.site.readers[reader].door
    if said.startswith("open") and door in side.contacts:
        side.leaf(door, True)
        side.leaf(door, False)
    side.run(6000)
    return said


def test_hard_refuses_who_has_not_left() -> None:
    """In, in again: refused, at the other door of the area as well; out, then in: open."""
    side = a_side("hard")
    assert walk(side, "a-in") == "open"
    assert walk(side, "a-in") == "denied:passback"
    assert walk(side, "b-in") == "denied:passback"
    assert walk(side, "b-in", 2) == "open"
    assert walk(side, "b-out") == "open"
    assert walk(side, "a-in") == "open"


def test_soft_grants_and_marks() -> None:
    """The second entry opens, with the passback alarm."""
    side = a_side("soft")
    assert walk(side, "a-in") == "open"
    assert walk(side, "a-in") == "open+alarm:passback"


def test_timed_refuses_for_its_minutes() -> None:
    """Refused until timed_min after the leaf opened, then granted."""
    side = a_side("timed")
    side.present("a-in", "badge", 1)
    side.leaf("a", True)
    side.leaf("a", False)
    side.run(10 * MINUTE - 1)
    assert side.present("a-in", "badge", 1) == "denied:passback"
    side.run(1)
    assert side.present("a-in", "badge", 1) == "open"


@pytest.mark.parametrize("years", [-10, 10])
def test_a_stepped_wall_clock_changes_no_timed_area(years: int) -> None:
    """D4: timed passback counts on the monotonic clock."""
    side = a_side("timed")
    walk(side, "a-in")
    side.step_clock(years * 365 * 86_400_000)
    assert walk(side, "a-in") == "denied:passback"
    side.run(10 * MINUTE)
    assert walk(side, "a-in") == "open"


@pytest.mark.parametrize("mode", ["hard", "soft", "timed"])
def test_an_exit_is_never_asked(mode: str) -> None:
    """Out readers and exit buttons open wherever one is thought to be, twice over."""
    side = a_side(mode)
    for reader in ("a-out", "a-out", "b-out"):
        assert walk(side, reader) == "open"
    walk(side, "a-in")
    assert side.exit("a") == "open:exit"
    assert walk(side, "a-out") == "open"
    assert walk(side, "a-out") == "open"


def test_an_unknown_place_passes() -> None:
    """Who was never seen may enter, and may leave."""
    side = a_side("hard")
    assert walk(side, "a-out", 2) == "open"
    assert walk(side, "a-in", 2) == "open"


def test_one_moves_when_the_leaf_opens() -> None:
    """Granted but not gone through: still outside."""
    side = a_side("hard")
    assert side.present("a-in", "badge", 1) == "open"
    side.run(6000)
    assert side.present("a-in", "badge", 1) == "open"
    side.leaf("a", True)
    assert side.present("a-in", "badge", 1) == "denied:passback"


def test_a_later_opening_moves_nobody() -> None:
    """A pulse that passed unused is forgotten: the leaf that opens for the next person moves only them."""
    side = a_side("hard")
    side.present("a-in", "badge", 1)
    side.run(6000)
    side.exit("a")
    side.leaf("a", True)
    side.leaf("a", False)
    side.run(6000)
    assert side.present("a-in", "badge", 1) == "open"


def test_without_a_contact_one_moves_at_the_grant() -> None:
    """Nothing would tell that the leaf opened."""
    side = a_side("hard", contacts=False)
    assert side.present("a-in", "badge", 1) == "open"
    assert side.present("a-in", "badge", 1) == "denied:passback"


def test_forgiven_on_command() -> None:
    """After `forgive` everybody's place is unknown."""
    side = a_side("hard")
    walk(side, "a-in")
    assert walk(side, "a-in") == "denied:passback"
    assert side.command("forgive") == "none"
    assert walk(side, "a-in") == "open"


def test_places_are_kept_across_a_restart() -> None:
    """A restart is no way around a hard area."""
    side = a_side("hard")
    walk(side, "a-in")
    side.restart()
    assert walk(side, "a-in") == "denied:passback"


def test_the_area_on_the_other_side_is_entered_by_leaving() -> None:
    """area_out: leaving `in` puts one into `yard`, so the yard's gate refuses a second entry there."""
    side = a_side("hard", area_out="yard")
    walk(side, "a-in")
    walk(side, "a-out")
    assert walk(side, "gate-in") == "denied:passback"
    assert walk(side, "a-in") == "open"


def test_occupancy_counts_who_is_inside() -> None:
    """Two in, one out: one."""
    side = a_side("hard")
    for reader, number, inside in (("a-in", 1, 1), ("b-in", 2, 2), ("a-out", 1, 1), ("a-out", 1, 1)):
        walk(side, reader, number)
        assert side.controller.passback.occupancy("in") == inside
