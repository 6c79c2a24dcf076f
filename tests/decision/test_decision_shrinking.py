"""D2 once more with Hypothesis: small policies and days against the oracle; what differs is printed as a day file."""

from datetime import UTC, date, datetime, timedelta

import building_files
import oracle
import random_sites
import site_rows
from core_answers import ask_core
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from oracle import HOLIDAY, Area, Ask, Door, Grant, Moment, Pass, Reader, Site, State, WeekType

QUIET = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MINUTES = st.integers(0, 1439)
INTERVALS = st.tuples(MINUTES, st.integers(0, 1440)).filter(lambda pair: pair[0] != pair[1])
WEEK_TYPES = st.builds(
    WeekType,
    st.dictionaries(st.sampled_from((*range(7), HOLIDAY)), st.lists(INTERVALS, max_size=2), max_size=8),
)
DAYS = st.dates(date(2026, 3, 1), date(2027, 12, 31))
MEDIA = st.sampled_from(oracle.MEDIA)
WEEK_NAMES = st.sampled_from(("Always", "Never", "w0", "w1"))
GRANTS = st.builds(
    Grant,
    st.sampled_from(("d0", "d1")),
    st.sampled_from(("", "door")),  # one output a button: two are refused
    st.frozensets(MEDIA, min_size=1),
    st.frozensets(st.sampled_from((1, 2, 3, 4)), min_size=1),
    WEEK_NAMES,
)
PASSES = st.builds(
    Pass,
    st.sampled_from(("p0", "p1")),
    st.none() | DAYS,
    st.none() | DAYS,
    st.sampled_from(("active", "active", "active", "lost", "disabled")),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(("", "door", "aux1")),
)
DOORS = st.builds(
    Door,
    outputs=st.sampled_from((("door",), ("door", "aux1"))),
    area_in=st.sampled_from(("", "in")),
    badge_and_code=WEEK_NAMES,
)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    site = Site(draw(st.sampled_from(("Europe/Paris", "America/New_York"))))
    site.untrusted = draw(st.sampled_from(("always-only", "allow")))
    site.holidays = draw(st.sets(DAYS, max_size=3))
    site.week_types = {"w0": draw(WEEK_TYPES), "w1": draw(WEEK_TYPES)}
    site.areas = {"in": Area(draw(st.sampled_from(("hard", "soft", "timed"))), 10)}
    site.doors = {"d0": draw(DOORS), "d1": draw(DOORS)}
    site.readers = {"r0": Reader("d0"), "r1": Reader("d1", draw(st.sampled_from(("in", "out"))))}
    site.profiles = {"p0": draw(st.lists(GRANTS, max_size=3)), "p1": draw(st.lists(GRANTS, max_size=2))}
    keys = st.tuples(MEDIA, st.integers(0, 3))
    site.passes = draw(st.dictionaries(keys, PASSES, min_size=1, max_size=4))
    return site


@st.composite
def questions(draw: st.DrawFn, site: Site) -> tuple[State, Ask, Moment]:
    reader = draw(st.sampled_from(("r0", "r1")))
    ask = Ask(site.readers[reader].door, reader, draw(MEDIA), draw(st.integers(0, 3)), draw(st.integers(0, 5)), True)
    state = State(locked_out=draw(st.booleans()))
    if draw(st.booleans()):
        state.inside[(ask.medium, ask.number)] = ("in", draw(st.sampled_from((0, 9, 10))))
    utc = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 670 * 1440)))
    return state, ask, Moment(utc, draw(st.booleans()), datetime(2026, 3, 1, tzinfo=UTC))


@given(st.data())
@QUIET
def test_small_policies_and_days_agree(data: st.DataObject) -> None:
    """A site and a day of up to eight questions: each answer is the oracle's; a shrunk failure is a day file."""
    site = data.draw(sites())
    index = site_rows.index_of(site)
    day = sorted(data.draw(st.lists(questions(site), min_size=1, max_size=8)), key=lambda step: step[2].utc)
    answers = [oracle.decide(site, *step) for step in day]
    steps = [(site, ask, now, answer) for (_, ask, now), answer in zip(day, answers, strict=True)]
    files = "".join(f"--- {name}\n{text}" for name, text in building_files.files_of(site).items())
    note(f"{site}\n{files}--- day.csv\n{random_sites.as_day(steps)}")  # for `vantail replay`
    assert [ask_core(index, site, *step) for step in day] == answers


@given(sites(), st.integers(0, 670 * 1440))
@QUIET
def test_small_week_types_change_when_the_oracle_says(site: Site, minute: int) -> None:
    """next_change is the first minute that a scan of two days finds."""
    utc = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)
    index = site_rows.index_of(site)
    for number, name in ((2, "w0"), (3, "w1")):
        wanted, got = oracle.next_change(site, name, utc, 2), index.next_change(number, int(utc.timestamp()))
        if wanted is None:
            assert got is None or got > int(utc.timestamp()) + 2 * 86400
        else:
            assert got == int(wanted.timestamp())


def test_a_failure_would_be_a_day_file() -> None:
    """What is printed has the headings and the words of examples/README.md."""
    site = Site(doors={"d": Door(("door", "aux1"))}, readers={"r": Reader("d")})
    now = Moment(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    steps = [
        (site, Ask("d", "r", "badge", 7), now, oracle.Answer("", "aux1", True)),
        (site, Ask("d", "r", "remote", 7, 3), now, oracle.Answer("no-access")),
    ]
    assert random_sites.as_day(steps).split("\n") == [
        "at;door;reader;medium;value;button;expect;note",
        "2026-10-25T02:30:00+02:00;d;r;badge;0000000007;;open:aux1+alarm:passback;",
        "2026-10-25T02:30:00+02:00;d;r;remote;0000000007;3;denied:no-access;",
    ]
