"""D6: a duress code looks like any other at the door; the alarm goes up elsewhere, denied or not."""

import pytest
from doorside import Doorside
from oracle import Door, Grant, Pass, Reader, Site, WeekType

from edge.decision import model

PLAIN, DURESS = 1, 2


def a_side(known: dict | None = None, **door: object) -> Doorside:
    site = Site(week_types={"shut": WeekType({})}, doors={"a": Door(**door), "b": Door()})
    site.readers = {"a-in": Reader("a"), "b-in": Reader("b")}
    site.profiles = {"p": [Grant("a")], "none": [Grant("b")], "shut": [Grant("a", week_type="shut")]}
    for number in (PLAIN, DURESS):
        site.passes[("code", number)] = Pass(**{"profile": "p", **(known or {})}, duress=number == DURESS)
    site.passes[("badge", 1)] = Pass("p")
    return Doorside(site)


def shown(side: Doorside, number: int) -> tuple:
    """What anybody at the door could see or hear: strikes and lights, in order."""
    before = len(side.outputs)
    said = side.present("a-in", "code", number)
    seen = [output for output in side.outputs[before:] if type(output).__name__ in ("Strike", "Indicate")]
    return seen, said


CASES = {
    "granted": ({}, {}, None),
    "lost": ({"state": "lost"}, {}, None),
    "disabled": ({"state": "disabled"}, {}, None),
    "outside its week type": ({"profile": "shut"}, {}, None),
    "not granted here": ({"profile": "none"}, {}, None),
    "badge and code": ({}, {"badge_and_code": "Always"}, None),
    "after its badge": ({}, {"badge_and_code": "Always"}, lambda side: side.present("a-in", "badge", 1)),
    "lockdown": ({}, {}, lambda side: side.command("lockdown")),
    "locked out": ({}, {}, lambda side: [side.present("a-in", "code", 99) for _ in range(5)]),
    "interlock": ({}, {"interlock": ("b",)}, lambda side: side.leaf("b", True)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_door_behaves_alike(case: str) -> None:
    """The same strikes and lights as for an ordinary code in the same case; one duress alarm more on record."""
    known, door, before = CASES[case]
    results = []
    for number in (PLAIN, DURESS):
        side = a_side(known, **door)
        if before:
            before(side)
        results.append(shown(side, number))
    assert results[0][0] == results[1][0]
    assert "duress" not in results[0][1]
    assert results[1][1].replace("+alarm:duress", "") == results[0][1]
    assert results[1][1].count("alarm:duress") == 1


def test_the_alarm_names_who_and_where() -> None:
    """The alarm carries the credential and the reader, for whoever must help."""
    side = a_side()
    side.present("a-in", "code", DURESS)
    alarm = next(event for event in side.events if event.result == model.ALARM)
    assert (alarm.door, alarm.reader, alarm.medium, alarm.credential) == ("a", "a-in", "code", DURESS)
