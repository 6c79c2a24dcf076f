"""B10, B11: the call to a resident: numbers, delays, refusals, the key, its outcome's own name."""

from datetime import UTC, datetime

import pytest
import site_rows
from doorside import START, Doorside
from oracle import Door, Grant, Pass, Reader, Site, WeekType

from edge.decision import model, rows
from edge.decision.index import Index

SECOND, MINUTE = 1000, 60_000
NUMBERS = ((33612000001, 20), (33612000002, 15), (33612000003, 10))
DAYTIME = WeekType({day: [(480, 1140)] for day in range(5)})
EVENING = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def a_site() -> Site:
    site = Site(week_types={"day": DAYTIME}, doors={"a": Door(interlock=("b",)), "b": Door()})
    site.readers = {"gsm": Reader("a", kind="gsm")}
    site.profiles = {"p": [Grant("a")]}
    site.passes = {("badge", 1): Pass("p")}
    return site


class CallSide(Doorside):
    """A doorside whose policy has a panel at door a. A1: three numbers; A2: opens by itself by day; A3: none."""

    def __init__(self, start: datetime = START):
        super().__init__(a_site(), start)
        more = [
            rows.Panel("panel", "a", "gsm", "1"),
            rows.Display("panel", "A1", "Solomon", rows.NEVER, NUMBERS),
            rows.Display("panel", "A2", "Sully", 2, NUMBERS[:1]),
            rows.Display("panel", "A3", "Jolly", rows.NEVER, ()),
            rows.Display("panel", "A4", "Always", rows.ALWAYS, NUMBERS[:1]),
        ]
        self.index = Index(site_rows.image_of(site_rows.rows_of(self.site) + more))
        self.take(model.PolicyReplaced(self.index))

    def call(self, code: str) -> str:
        return self.said(self.take(model.CallStarted("a", code)))

    def says(self, what: str, key: str = "") -> str:
        return self.said(self.take(model.CallProgress("a", what, key)))


def test_numbers_are_dialled_in_turn_each_for_its_delay() -> None:
    """20 s, 15 s, 10 s, then the end: not-completed, and nothing opened."""
    side = CallSide()
    assert side.call("A1") == "none"
    for turn, (_, delay_s) in enumerate(NUMBERS):
        assert side.dialled == [*NUMBERS[: turn + 1]]
        assert side.said(side.run(delay_s * SECOND - 1)) == "none"
        last = "denied:not-completed" if turn == 2 else "none"
        assert side.said(side.run(1)) == last
    assert side.dialled == [*NUMBERS]
    assert not side.is_unlocked("a")


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_whoever_answers_may_open_with_the_key(turn: int) -> None:
    """Answered and the open key: open, recorded as a call; the others are not dialled any more."""
    side = CallSide()
    side.call("A1")
    for _, delay_s in NUMBERS[:turn]:
        side.run(delay_s * SECOND)
    assert side.says("answered") == "none"
    assert side.says("key", "2") == "none"
    assert side.says("key", "1") == "open"
    assert side.is_unlocked("a")
    assert side.events[-1].medium == "call"
    side.run(5 * SECOND)
    assert not side.is_unlocked("a")
    side.run(5 * MINUTE)
    assert len(side.dialled) == turn + 1


def test_a_key_before_the_answer_opens_nothing() -> None:
    """Tones of a number that has not answered are nobody's."""
    side = CallSide()
    side.call("A1")
    assert side.says("key", "1") == "none"
    assert not side.is_unlocked("a")


def test_refused_means_the_next_number() -> None:
    """Each refusal dials the next at once; the last one ends the call as refused."""
    side = CallSide()
    side.call("A1")
    assert side.says("refused") == "none"
    assert side.says("refused") == "none"
    assert len(side.dialled) == 3
    assert side.says("refused") == "denied:refused"


def test_answering_stops_the_delay() -> None:
    """A conversation is not cut after the delay; hanging up without the key refuses."""
    side = CallSide()
    side.call("A1")
    side.says("answered")
    assert side.said(side.run(60 * SECOND)) == "none"
    assert side.says("ended") == "denied:refused"
    assert len(side.dialled) == 1


def test_auto_open_dials_nobody() -> None:
    """Inside the flat's week type the door opens; outside it the number is dialled."""
    side = CallSide()
    assert side.call("A2") == "open"
    assert side.dialled == []
    evening = CallSide(EVENING)
    assert evening.call("A2") == "none"
    assert evening.dialled == [NUMBERS[0]]


def test_auto_open_by_an_untrusted_clock() -> None:
    """A week type is not read then: the number is dialled; Always needs no clock."""
    side = CallSide()
    side.trusted = False
    side.take(model.Tick())
    assert side.call("A2") == "none"
    assert side.dialled == [NUMBERS[0]]
    side.says("refused")
    assert side.call("A4") == "open"


def test_unknown_codes_and_flats_without_numbers() -> None:
    """Nobody behind the call code: unknown; nobody to dial: not-completed."""
    side = CallSide()
    assert side.call("ZZ") == "denied:unknown"
    assert side.call("A3") == "denied:not-completed"
    assert side.said(side.take(model.CallStarted("b", "A1"))) == "denied:unknown"


def test_lockdown_refuses_a_call_before_and_during() -> None:
    """No resident opens a door that is locked down, nor does a week type."""
    side = CallSide()
    side.command("lockdown", "a")
    assert side.call("A1") == "denied:lockdown"
    assert side.call("A2") == "denied:lockdown"
    side.command("release", "a")
    side.call("A1")
    side.says("answered")
    side.command("lockdown", "a")
    assert side.says("key", "1") == "denied:lockdown"
    assert not side.is_unlocked("a")


def test_interlock_refuses_the_key() -> None:
    """The other door of the mantrap opened meanwhile."""
    side = CallSide()
    side.call("A1")
    side.says("answered")
    side.exit("b")
    side.leaf("b", True)
    assert side.says("key", "1") == "denied:interlock"


def test_a_second_call_ends_the_first() -> None:
    """One panel, one call: the first is not-completed; progress then belongs to the second."""
    side = CallSide()
    side.call("A1")
    assert side.call("A2") == "denied:not-completed+open"
    side.call("A1")
    assert side.call("A1") == "denied:not-completed"
    assert len(side.dialled) == 3


def test_progress_without_a_call_is_nothing() -> None:
    """A late modem opens no door."""
    side = CallSide()
    for what, key in (("answered", ""), ("key", "1"), ("refused", ""), ("ended", "")):
        assert side.says(what, key) == "none"
    assert not side.is_unlocked("a")


def test_a_policy_that_removes_the_door_ends_its_call() -> None:
    """The door goes while its panel rings: the key opens nothing and breaks nothing."""
    side = CallSide()
    side.call("A1")
    site = a_site()
    site.doors = {"b": Door()}
    site.readers, site.profiles, site.passes = {}, {"p": []}, {}
    side.take(model.PolicyReplaced(site_rows.index_of(site, (1, 2))))
    assert "open" not in side.says("answered")
    assert "open" not in side.says("key", "1").split(":")[0]
    side.run(5 * MINUTE)


@pytest.mark.parametrize("years", [-10, 10])
def test_a_stepped_clock_lengthens_no_ringing(years: int) -> None:
    """D4: delays are monotonic."""
    side = CallSide()
    side.call("A1")
    side.step_clock(years * 365 * 86_400_000)
    side.run(20 * SECOND - 1)
    assert len(side.dialled) == 1
    side.run(1)
    assert len(side.dialled) == 2
