"""D3: both DST nights, every minute of 36 hours, every kind of schedule, against the oracle."""

import random
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import oracle
import pytest
import random_sites
import site_rows
from oracle import HOLIDAY, Site, WeekType

from edge.decision.index import Index

NIGHTS = [
    ("Europe/Paris", date(2026, 3, 29)),
    ("Europe/Paris", date(2026, 10, 25)),
    ("Europe/Paris", date(2027, 3, 28)),
    ("Europe/Paris", date(2027, 10, 31)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/New_York", date(2027, 11, 7)),
]
WORKDAYS, ALL = range(5), range(7)
KINDS = {
    "plain": WeekType({day: [(480, 720), (780, 1080)] for day in ALL}),
    "early": WeekType({6: [(60, 300)]}),
    "inside the gap": WeekType({6: [(125, 175)], 0: [(0, 60)]}),
    "over the gap": WeekType({5: [(90, 110)], 6: [(100, 200)]}),
    "over midnight": WeekType({4: [(1200, 150)], 5: [(1200, 150)], 6: [(1320, 60)]}),
    "long tail": WeekType({5: [(1380, 181)], 6: [(181, 180)]}),
    "to midnight": WeekType({5: [(1200, 0)], 6: [(0, 1440)]}),
    "24:00": WeekType({5: [(600, 1440)], 6: [(600, 1440)], 0: [(0, 1)]}),
    "all week": WeekType({day: [(0, 1440)] for day in (*ALL, HOLIDAY)}),
    "workdays": WeekType({day: [(0, 1440)] for day in WORKDAYS}),
    "holiday only": WeekType({HOLIDAY: [(60, 200), (1320, 120)]}),
    "holiday differs": WeekType({**{day: [(60, 180)] for day in ALL}, HOLIDAY: [(150, 165)]}),
    "holiday empty": WeekType({day: [(0, 1440)] for day in ALL}),
    "empty": WeekType({}),
}
NAMES = [*KINDS, "Always", "Never"]
HARDLY_EVER = ("all week", "empty")  # a year is searched for their next change: asked less often
QUICK = [(*night, number % 3 - 1) for number, night in enumerate(NIGHTS)]
FULL = [(*night, holiday) for night in NIGHTS for holiday in (-1, 0, 1) if (*night, holiday) not in QUICK]
CASES = [*QUICK, *[pytest.param(*case, marks=pytest.mark.full) for case in FULL]]


@cache
def scene(zone: str, night: date, holiday: int) -> tuple[Site, Index, datetime]:
    """A site whose DST night falls in the 36 hours from the moment returned. holiday: days from the night."""
    site = Site(zone=zone, week_types=dict(KINDS), holidays={night + timedelta(days=holiday)})
    noon_before = datetime(night.year, night.month, night.day, 12, tzinfo=ZoneInfo(zone)) - timedelta(days=1)
    return site, site_rows.index_of(site), noon_before.astimezone(UTC)


def number_of(name: str) -> int:
    return {"Always": 0, "Never": 1}.get(name, 2 + list(KINDS).index(name) if name in KINDS else 0)


@pytest.mark.parametrize(("zone", "night", "holiday"), CASES)
def test_every_minute_of_a_dst_night(zone: str, night: date, holiday: int) -> None:
    """36 hours from noon before, minute by minute and a second before each: open where the oracle says so."""
    site, index, start = scene(zone, night, holiday)
    for name in NAMES:
        for minute in range(36 * 60):
            at = start + timedelta(minutes=minute)
            for utc in (at, at - timedelta(seconds=1)):
                got = index.is_open(number_of(name), int(utc.timestamp()))
                assert got == oracle.is_open(site, name, utc), (name, utc.astimezone(ZoneInfo(zone)).isoformat())


@pytest.mark.parametrize(("zone", "night"), NIGHTS)
def test_the_nights_do_change_the_clock(zone: str, night: date) -> None:
    """Negative control: the 36 hours do contain a change of offset."""
    _, _, start = scene(zone, night, 0)
    here = ZoneInfo(zone)
    assert start.astimezone(here).utcoffset() != (start + timedelta(hours=36)).astimezone(here).utcoffset()


def changes_by_scan(site: Site, name: str, start: datetime, minutes: int) -> list:
    """For each minute from `start`: the next minute at which the answer differs, None beyond the scan."""
    answers = [oracle.is_open(site, name, start + timedelta(minutes=minute)) for minute in range(minutes)]
    after = [None] * minutes
    for minute in range(minutes - 2, -1, -1):
        after[minute] = minute + 1 if answers[minute + 1] != answers[minute] else after[minute + 1]
    return after


@pytest.mark.parametrize(("zone", "night", "holiday"), CASES)
def test_next_change_by_brute_force(zone: str, night: date, holiday: int) -> None:
    """Asked every seven minutes of the 36 hours, next_change is the minute that a scan of three days finds."""
    site, index, start = scene(zone, night, holiday)
    start_s, scanned = int(start.timestamp()), 3 * 1440
    for name in NAMES:
        after = changes_by_scan(site, name, start, scanned)
        for minute in range(0, 36 * 60, 540 if name in HARDLY_EVER else 7):
            got = index.next_change(number_of(name), start_s + minute * 60)
            at = (start + timedelta(minutes=minute)).astimezone(ZoneInfo(zone)).isoformat()
            if after[minute] is None:
                assert got is None or got >= start_s + scanned * 60, (name, at)
            else:
                assert got == start_s + after[minute] * 60, (name, at)


def test_next_change_of_random_week_types() -> None:
    """Random week types, holidays and zones: next_change against a scan, from random moments."""
    seed = 303
    print(f"seed {seed}")
    for number in range(40):
        rng = random.Random(f"{seed}/{number}")
        site = random_sites.a_site(rng)
        index = site_rows.index_of(site)
        for which, name in enumerate(site.week_types):
            start = random_sites.an_instant(rng, site).replace(second=0)
            after = changes_by_scan(site, name, start, 3 * 1440)
            for minute in (0, 1, 59, 600):
                got = index.next_change(2 + which, int(start.timestamp()) + minute * 60)
                wanted = None if after[minute] is None else int(start.timestamp()) + after[minute] * 60
                beyond = int(start.timestamp()) + 3 * 86400
                assert got == wanted or (wanted is None and got >= beyond), (number, site.zone, name, start, minute)


def test_a_change_far_away_is_found_or_none() -> None:
    """A holiday that comes once a year is found; a week type that never opens, and the built-in ones, have none."""
    site = Site(week_types={"feast": WeekType({HOLIDAY: [(600, 660)]}), "empty": WeekType({})})
    site.holidays = {date(2027, 11, 20)}
    index = site_rows.index_of(site)
    asked = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
    assert index.next_change(2, asked) == int(datetime(2027, 11, 20, 9, tzinfo=UTC).timestamp())
    assert index.next_change(3, asked) is None
    assert index.next_change(0, asked) is None
    assert index.next_change(1, asked) is None


def test_ten_years_by_the_offset_table() -> None:
    """Random instants over ten years: the offset rows give zoneinfo's answers."""
    site, index, _ = scene("Europe/Paris", date(2026, 3, 29), 0)
    rng = random.Random(7)
    for _ in range(3000):
        utc = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(10 * 365 * 86400))
        name = rng.choice(NAMES)
        assert index.is_open(number_of(name), int(utc.timestamp())) == oracle.is_open(site, name, utc)


def test_after_the_last_offset_row_it_holds() -> None:
    """A controller whose table ran out keeps the last offset: an hour off in half of the year, never further."""
    site = Site(week_types={"day": WeekType({day: [(480, 1080)] for day in ALL})})
    index = site_rows.index_of(site)
    utc = datetime(site_rows.LAST_YEAR + 3, 7, 1, 12, tzinfo=UTC)
    assert index.is_open(2, int(utc.timestamp()))
