"""Random sites and questions from a seed, leaning towards the edges: boundaries, DST nights, holidays, last days."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import oracle
from oracle import Answer, Area, Ask, Door, Grant, Moment, Pass, Reader, Site, State, WeekType

ZONES = ("Europe/Paris", "America/New_York", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
EDGE_DAYS = [
    date(2026, 3, 29), date(2026, 10, 25), date(2027, 3, 28), date(2027, 10, 31),  # Paris
    date(2026, 3, 8), date(2026, 11, 1), date(2027, 3, 14), date(2027, 11, 7),  # New York
    date(2026, 12, 31), date(2027, 1, 1), date(2028, 2, 29), date(2026, 4, 5),
]  # fmt: skip
MINUTES = (0, 1, 60, 90, 119, 120, 121, 150, 179, 180, 181, 240, 480, 720, 1080, 1320, 1380, 1439)


def a_day(rng: random.Random) -> date:
    near = rng.choice(EDGE_DAYS) + timedelta(days=rng.choice((-1, 0, 0, 0, 1)))
    return near if rng.random() < 0.6 else date(2026, 1, 1) + timedelta(days=rng.randrange(1200))


def a_week_type(rng: random.Random) -> WeekType:
    rows = {}
    for row in (*range(7), oracle.HOLIDAY):
        if rng.random() < 0.25:
            continue
        rows[row] = []
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            start = rng.choice(MINUTES) if rng.random() < 0.7 else rng.randrange(1440)
            end = rng.choice((*MINUTES, 1440, 1440)) if rng.random() < 0.7 else rng.randrange(1441)
            if start != end:
                rows[row].append((start, end))
    return WeekType(rows)


def some_grants(rng: random.Random, site: Site) -> list:
    grants, taken = [], {}
    for _ in range(rng.choice((0, 1, 2, 3, 5))):
        door = rng.choice(list(site.doors))
        outputs = site.doors[door].outputs
        output = rng.choice(("", *outputs))
        media = frozenset(rng.sample(oracle.MEDIA, rng.choice((1, 2, 3, 5))))
        buttons = frozenset(rng.sample((1, 2, 3, 4), rng.randint(1, 4)))
        if "remote" in media:
            named = output or outputs[0]
            buttons = frozenset(button for button in buttons if taken.setdefault((door, button), named) == named)
        week_type = rng.choice(("Always", "Always", *site.week_types, *site.week_types, "Never"))
        grants.append(Grant(door, output, media, buttons, week_type))
    return grants


def a_pass(rng: random.Random, site: Site) -> Pass:
    first = a_day(rng) if rng.random() < 0.3 else None
    last = a_day(rng) if rng.random() < 0.3 else None
    return Pass(
        profile=rng.choice(list(site.profiles)),
        first_day=first,
        last_day=last,
        state=rng.choice(("active",) * 8 + ("lost", "disabled")),
        duress=rng.random() < 0.1,
        extended=rng.random() < 0.1,
        emergency=rng.random() < 0.2,
        output=rng.choice(("", "", "door", "aux1", "aux2")),
    )


def a_site(rng: random.Random) -> Site:
    site = Site(zone=rng.choice(ZONES), untrusted=rng.choice(("always-only", "allow")))
    site.holidays = {a_day(rng) for _ in range(rng.randrange(8))}
    for number in range(rng.randint(1, 5)):
        site.week_types[f"w{number}"] = a_week_type(rng)
    site.areas = {name: Area(name, rng.choice((1, 10))) for name in ("hard", "soft", "timed")}
    names = [f"d{number}" for number in range(rng.randint(1, 4))]
    for name in names:
        others = [other for other in names if other != name]
        site.doors[name] = Door(
            outputs=("door", "aux1", "aux2")[: rng.randint(1, 3)],
            area_in=rng.choice(("", "", "hard", "soft", "timed")),
            area_out=rng.choice(("", "hard")),
            interlock=tuple(rng.sample(others, rng.randint(0, len(others)))) if rng.random() < 0.3 else (),
            badge_and_code=rng.choice(("Never", "Never", "Never", "Always", *site.week_types)),
        )
        for number in range(rng.randint(1, 3)):
            output = rng.choice(("", *site.doors[name].outputs))
            site.readers[f"{name}-r{number}"] = Reader(name, rng.choice(("in", "in", "out")), output)
    for number in range(rng.randint(1, 5)):
        site.profiles[f"p{number}"] = some_grants(rng, site)
    for _ in range(40):
        number = rng.choice((rng.randrange(60), rng.randrange(1 << 34), rng.randrange(1 << 64), 0, (1 << 64) - 1))
        site.passes[(rng.choice(oracle.MEDIA), number)] = a_pass(rng, site)
    site.lockdown = set(rng.sample(["", *names], 1)) if rng.random() < 0.15 else set()
    return site


def an_instant(rng: random.Random, site: Site) -> datetime:
    """Often one second about a boundary of a week type or of a day."""
    day = rng.choice(sorted(site.holidays)) if site.holidays and rng.random() < 0.2 else a_day(rng)
    day += timedelta(days=rng.choice((0, 0, 0, 1)))
    minute = rng.randrange(1440)
    if rng.random() < 0.7:
        week_type = rng.choice(list(site.week_types.values()))
        edges = [edge for row in week_type.rows.values() for span in row for edge in span]
        minute = rng.choice((0, *edges))
    wall = datetime(day.year, day.month, day.day, tzinfo=None) + timedelta(minutes=minute)
    utc = wall.replace(tzinfo=ZoneInfo(site.zone), fold=rng.choice((0, 1))).astimezone(UTC)
    return utc + timedelta(seconds=rng.choice((-1, 0, 0, 0, 1, rng.randrange(-3600, 3600))))


def a_question(rng: random.Random, site: Site) -> tuple[State, Ask, Moment]:
    reader = rng.choice(list(site.readers))
    door = site.readers[reader].door
    medium, number = rng.choice(list(site.passes))
    if rng.random() < 0.08:
        number = rng.choice((None, number + 1 if number < (1 << 64) - 1 else 0, rng.randrange(1 << 64)))
    elif rng.random() < 0.7:  # towards a door where the profile has something
        granted = [
            name
            for name, row in site.readers.items()
            for grant in site.profiles[site.passes[(medium, number)].profile]
            if grant.door == row.door and medium in grant.media
        ]
        if granted:
            reader = rng.choice(granted)
            door = site.readers[reader].door
    if medium in ("phone", "mobile", "remote") and rng.random() < 0.3:
        reader = ""
    ask = Ask(door, reader, medium, number, rng.randrange(0, 6) if medium == "remote" else 0, rng.random() > 0.02)
    state = State(learning={reader} if reader and rng.random() < 0.02 else set(), locked_out=rng.random() < 0.1)
    state.open_doors = {name for name in site.doors if rng.random() < 0.2}
    if number is not None and rng.random() < 0.3:
        state.inside[(medium, number)] = (rng.choice(list(site.areas)), rng.choice((0, 1, 9, 10, 11)))
    utc, floor = an_instant(rng, site), an_instant(rng, site)
    edges = day_edges(site, site.passes.get((medium, number)))
    if edges and rng.random() < 0.4:
        utc = rng.choice(edges) + timedelta(seconds=rng.choice((-1, 0, 1)))
        floor = rng.choice((utc, floor))
    trusted = rng.random() > 0.25
    return state, ask, Moment(utc, trusted, utc if trusted else min(utc, floor))


def day_edges(site: Site, known: Pass | None) -> list:
    """The instants at which a pass begins and ends to be valid."""
    days = [known.first_day, known.last_day and known.last_day + timedelta(days=1)] if known else []
    return [datetime(*day.timetuple()[:3], tzinfo=ZoneInfo(site.zone)).astimezone(UTC) for day in days if day]


def as_day(lines: list) -> str:
    """Questions with the oracle's answers as a day file: what a failure prints."""
    out = ["at;door;reader;medium;value;button;expect;note"]
    for site, ask, now, answer in lines:
        at = now.utc.astimezone(ZoneInfo(site.zone)).isoformat()
        button = str(ask.button) if ask.medium == "remote" else ""
        value = "" if ask.number is None else f"{ask.number:010d}"
        out.append(";".join((at, ask.door, ask.reader, ask.medium, value, button, expected(site, ask, answer), "")))
    return "\n".join(out)


def expected(site: Site, ask: Ask, answer: Answer) -> str:
    if answer.reason:
        return "denied:" + answer.reason
    word = "open" if answer.output == site.doors[ask.door].outputs[0] else "open:" + answer.output
    return word + "+alarm:passback" if answer.marked else word
