"""D1: the table of checks is pinned: for every pair of reasons, which wins."""

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import oracle
import pytest
import site_rows
from core_answers import ask_core
from oracle import Area, Ask, Door, Grant, Moment, Pass, Reader, Site, State, WeekType

from edge.decision import authorize, reasons

# examples/README.md, typed here a second time so that a change of either list is seen.
LADDER = (
    "not-secure", "learning", "locked-out", "lockdown", "unknown", "lost", "disabled", "not-started", "expired",
    "no-access", "clock-untrusted", "outside-schedule", "code-needed", "interlock", "passback",
)  # fmt: skip

# Pairs that cannot both apply to one question, and why.
IMPOSSIBLE = {
    ("locked-out", "no-access"): "of a code, that is unknown",
    ("unknown", "no-access"): "a code without its grant is unknown, never no-access; what has no row has no access",
    ("unknown", "outside-schedule"): "what is unknown has no schedule",
    ("lost", "disabled"): "one state at a time",
    ("not-started", "expired"): "from is never after to",
    ("not-started", "clock-untrusted"): "not-started needs a trusted clock",
    ("clock-untrusted", "outside-schedule"): "one needs a trusted clock, the other an untrusted one, or Never alone",
}

# A code that exists but has no grant here is unknown, and may have what else a known credential has.
OF_KNOWN = {"lost", "disabled", "not-started", "expired", "clock-untrusted", "code-needed", "passback"}

DAY = date(2026, 11, 23)  # a Monday
NOON = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
OPEN_ALL_DAY = WeekType({day: [(0, 1440)] for day in range(7)})
MORNINGS = WeekType({day: [(360, 480)] for day in range(7)})


def scene(wanted: set) -> tuple:
    """A question to which every reason of `wanted` applies, and no other."""
    site = Site(week_types={"day": OPEN_ALL_DAY, "mornings": MORNINGS}, areas={"in": Area("hard")})
    site.doors = {
        "a": Door(
            area_in="in",
            interlock=("b",),
            badge_and_code="Always" if "code-needed" in wanted else "Never",
        ),
        "b": Door(),
    }
    site.readers = {"r": Reader("a")}
    ungranted = "unknown" in wanted and wanted & OF_KNOWN
    medium = "code" if "locked-out" in wanted or ungranted else "badge"
    scheduled = "mornings" if "outside-schedule" in wanted else "day" if "clock-untrusted" in wanted else "Always"
    grants = (
        [] if "no-access" in wanted or ungranted else [Grant("a", media=frozenset(oracle.MEDIA), week_type=scheduled)]
    )
    site.profiles = {"p": grants}
    known = Pass("p")
    if "lost" in wanted or "disabled" in wanted:
        known = replace(known, state="lost" if "lost" in wanted else "disabled")
    if "not-started" in wanted:
        known = replace(known, first_day=DAY + timedelta(days=1))
    if "expired" in wanted:
        known = replace(known, last_day=DAY - timedelta(days=2))
    if "clock-untrusted" in wanted and known.last_day is None:
        known = replace(known, last_day=DAY + timedelta(days=900))
    if "unknown" not in wanted or ungranted:
        site.passes[(medium, 7)] = known
    if "lockdown" in wanted:
        site.lockdown = {"a"}
    state = State(
        learning={"r"} if "learning" in wanted else set(),
        locked_out="locked-out" in wanted,
        open_doors={"b"} if "interlock" in wanted else set(),
        inside={(medium, 7): ("in", 5)} if "passback" in wanted else {},
    )
    ask = Ask("a", "r", medium, 7, 0, "not-secure" not in wanted)
    return site, state, ask, Moment(NOON, "clock-untrusted" not in wanted, NOON)


def answer(wanted: set) -> str:
    site, state, ask, now = scene(wanted)
    return ask_core(site_rows.index_of(site), site, state, ask, now).reason


def test_the_ladder_is_the_readmes() -> None:
    """Three lists of one order: the README's, the oracle's and the core's."""
    assert LADDER == tuple(oracle.LADDER) == reasons.LADDER


@pytest.mark.parametrize("reason", LADDER)
def test_each_reason_alone(reason: str) -> None:
    """Each reason refuses by itself, so a pair's answer means something."""
    assert answer({reason}) == reason


def test_nothing_wrong_opens() -> None:
    """The scene without any reason is granted."""
    assert answer(set()) == ""


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in itertools.combinations(LADDER, 2) if pair not in IMPOSSIBLE]
)
def test_of_two_reasons_the_earlier_wins(first: str, second: str) -> None:
    """Both apply: the answer is the one that stands earlier in the ladder."""
    assert answer({first, second}) == first


@pytest.mark.parametrize(("first", "second"), sorted(IMPOSSIBLE))
def test_pairs_that_cannot_both_apply_are_few(first: str, second: str) -> None:
    """Each excepted pair is a pair of the ladder, in its order."""
    assert LADDER.index(first) < LADDER.index(second)


def test_all_at_once_fall_away_one_by_one() -> None:
    """From the top, each reason that is taken away uncovers the next that is possible with the rest."""
    for start in range(len(LADDER)):
        rest, chosen = LADDER[start:], []
        for reason in rest:
            if all((earlier, reason) not in IMPOSSIBLE for earlier in chosen):
                chosen.append(reason)
        assert answer(set(chosen)) == rest[0], chosen


def test_an_emergency_pass_skips_lockdown_alone() -> None:
    """Emergency beats a lockdown and no other rung."""
    for reason in LADDER:
        if reason in ("unknown", "locked-out"):
            continue
        site, state, ask, now = scene({"lockdown", reason})
        site.passes[("badge", 7)] = replace(site.passes[("badge", 7)], emergency=True)
        got = ask_core(site_rows.index_of(site), site, state, ask, now).reason
        assert got == ("" if reason == "lockdown" else reason)


NEIGHBOURS = [pair for pair in itertools.pairwise(LADDER) if pair not in IMPOSSIBLE]


@pytest.mark.parametrize(("first", "second"), NEIGHBOURS)
def test_a_swapped_check_is_seen(first: str, second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with two neighbouring rungs exchanged in the core, the table no longer holds."""
    words = dict(vars(reasons))
    names = {word: name for name, word in words.items() if name.isupper() and isinstance(word, str)}
    words[names[first]], words[names[second]] = second, first
    monkeypatch.setattr(authorize, "reasons", SimpleNamespace(**words))
    assert answer({first, second}) == second
