"""Who may open what, when: written from examples/README.md, mission.md and requirements.md alone.

It shares no code with edge.decision: plain dataclasses, words for everything, zoneinfo for time, loops over lists.
Slow and simple on purpose. Where the two differ, examples/README.md decides.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MEDIA = ("badge", "remote", "code", "phone", "mobile")

# examples/README.md, "Reasons of a denial, in the order in which they are checked".
LADDER = [
    "not-secure",
    "learning",
    "locked-out",
    "lockdown",
    "unknown",
    "lost",
    "disabled",
    "not-started",
    "expired",
    "no-access",
    "clock-untrusted",
    "outside-schedule",
    "code-needed",
    "interlock",
    "passback",
]

HOLIDAY = "holiday"  # beside the weekdays 0 (Monday) to 6


@dataclass(frozen=True)
class WeekType:
    """rows: weekday 0-6 or HOLIDAY → [(start minute, end minute)]; a missing row is empty."""

    rows: dict


@dataclass(frozen=True)
class Grant:
    """media: words. buttons: of a remote. week_type: a name, "Always" or "Never". output "": the door's first."""

    door: str
    output: str = ""
    media: frozenset = frozenset(("badge", "remote", "code"))
    buttons: frozenset = frozenset((1, 2, 3, 4))
    week_type: str = "Always"


@dataclass(frozen=True)
class Pass:
    """A credential of any medium. first_day, last_day: local days, both included, None for open. output: of a code."""

    profile: str
    first_day: date | None = None
    last_day: date | None = None
    state: str = "active"  # lost, disabled
    duress: bool = False
    extended: bool = False
    emergency: bool = False
    output: str = ""


@dataclass(frozen=True)
class Door:
    outputs: tuple = ("door",)
    unlock_ms: int = 5000
    extended_ms: int = 15000
    held_open_s: int = 30
    auto_open: str = "Never"
    first_card: bool = False
    relock_on_open: bool = True
    area_in: str = ""
    area_out: str = ""
    interlock: tuple = ()
    badge_and_code: str = "Never"


@dataclass(frozen=True)
class Reader:
    door: str
    direction: str = "in"
    output: str = ""
    kind: str = "osdp"


@dataclass(frozen=True)
class Area:
    mode: str  # hard, soft, timed
    timed_min: int = 10


@dataclass
class Site:
    zone: str = "Europe/Paris"
    untrusted: str = "always-only"  # or "allow"
    holidays: set = field(default_factory=set)
    week_types: dict = field(default_factory=dict)
    doors: dict = field(default_factory=dict)
    readers: dict = field(default_factory=dict)
    areas: dict = field(default_factory=dict)
    profiles: dict = field(default_factory=dict)  # name → [Grant]
    passes: dict = field(default_factory=dict)  # (medium word, number) → Pass
    lockdown: set = field(default_factory=set)  # door ids; "" for all


@dataclass(frozen=True)
class Moment:
    """utc: aware. floor: the earliest that it can be, aware."""

    utc: datetime
    trusted: bool = True
    floor: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class State:
    """What happened before. inside: (medium, number) → (area, minutes since the leaf opened)."""

    learning: set = field(default_factory=set)  # reader ids
    locked_out: bool = False
    open_doors: set = field(default_factory=set)
    inside: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    door: str
    reader: str
    medium: str
    number: int | None
    button: int = 0
    secure: bool = True


@dataclass(frozen=True)
class Answer:
    """reason "" means open. marked: a soft area entered twice."""

    reason: str
    output: str = ""
    marked: bool = False


def row_of(site: Site, week_type: WeekType, day: date) -> list:
    """The intervals that start on a local day."""
    return week_type.rows.get(HOLIDAY if day in site.holidays else day.weekday(), [])


def is_open(site: Site, name: str, utc: datetime) -> bool:
    """[start, end) by local wall time; an end before the start runs on into the next day."""
    if name == "Always":
        return True
    if name == "Never":
        return False
    local = utc.astimezone(ZoneInfo(site.zone))
    minute = local.hour * 60 + local.minute
    week_type = site.week_types[name]
    for start, end in row_of(site, week_type, local.date()):
        if start < end and start <= minute < end:
            return True
        if end < start and minute >= start:
            return True
    day_before = row_of(site, week_type, local.date() - timedelta(days=1))
    return any(end < start and minute < end for start, end in day_before)


def next_change(site: Site, name: str, utc: datetime, days: int) -> datetime | None:
    """The first minute after `utc` at which is_open differs from now, looking `days` days ahead."""
    now = is_open(site, name, utc)
    at = utc.replace(second=0, microsecond=0)
    for _ in range(days * 1440):
        at += timedelta(minutes=1)
        if is_open(site, name, at) != now:
            return at
    return None


def moved_output(site: Site, ask: Ask, known: Pass, grants: list) -> str:
    """README, "Which output moves"; "" where nothing names one."""
    first = site.doors[ask.door].outputs[0]
    if ask.medium == "code":
        return known.output or first
    if ask.medium == "remote":
        for grant in grants:
            if ask.button in grant.buttons:
                return grant.output or first
        return ""
    if ask.reader:
        return site.readers[ask.reader].output or first
    return first


def decide(site: Site, state: State, ask: Ask, now: Moment) -> Answer:
    """The ladder, in the README's order."""
    if not ask.secure:
        return Answer("not-secure")
    if ask.reader in state.learning:
        return Answer("learning")
    if ask.medium == "code" and state.locked_out:
        return Answer("locked-out")
    known = None
    if ask.number is not None:
        known = site.passes.get((ask.medium, ask.number))
    if ("" in site.lockdown or ask.door in site.lockdown) and not (known and known.emergency):
        return Answer("lockdown")
    if known is None:
        return Answer("unknown")

    first = site.doors[ask.door].outputs[0]
    grants = []
    for grant in site.profiles[known.profile]:
        if grant.door == ask.door and ask.medium in grant.media:
            grants.append(grant)
    output = moved_output(site, ask, known, grants)
    matching = []
    for grant in grants:
        if (grant.output or first) != output:
            continue
        if ask.medium == "remote" and ask.button not in grant.buttons:
            continue
        matching.append(grant)
    if ask.medium == "code" and not matching:
        return Answer("unknown")

    if known.state in ("lost", "disabled"):
        return Answer(known.state)
    dated = known.first_day is not None or known.last_day is not None
    zone = ZoneInfo(site.zone)
    if now.trusted:
        today = now.utc.astimezone(zone).date()
        if known.first_day is not None and today < known.first_day:
            return Answer("not-started")
        if known.last_day is not None and today > known.last_day:
            return Answer("expired")
    elif known.last_day is not None and now.floor.astimezone(zone).date() > known.last_day:
        return Answer("expired")
    if not matching:
        return Answer("no-access")

    reason = by_schedule(site, matching, dated, now)
    if reason:
        return Answer(reason)
    if ask.medium in ("badge", "code") and asks_for_both(site, ask.door, now):
        return Answer("code-needed")
    for other in site.doors[ask.door].interlock:
        if other in state.open_doors:
            return Answer("interlock")
    return by_passback(site, state, ask, output)


def asks_for_both(site: Site, door: str, now: Moment) -> bool:
    """Badge and code together: then neither is enough alone. README leaves the untrusted clock open here; the
    stricter side is asked for, unless the week type is Never."""
    name = site.doors[door].badge_and_code
    return name != "Never" and (not now.trusted or is_open(site, name, now.utc))


def by_schedule(site: Site, matching: list, dated: bool, now: Moment) -> str:
    """clock-untrusted, outside-schedule, or "" where any matching grant is open."""
    if now.trusted:
        for grant in matching:
            if is_open(site, grant.week_type, now.utc):
                return ""
        return "outside-schedule"
    names = [grant.week_type for grant in matching]
    if all(name == "Never" for name in names):
        return "outside-schedule"  # no date and no schedule would have to be read
    if "Always" in names and not dated:
        return ""
    return "" if site.untrusted == "allow" else "clock-untrusted"


def by_passback(site: Site, state: State, ask: Ask, output: str) -> Answer:
    """D7: checked on `in` readers only; an unknown place passes."""
    area_id = site.doors[ask.door].area_in
    if not area_id or not ask.reader or site.readers[ask.reader].direction != "in":
        return Answer("", output)
    place = state.inside.get((ask.medium, ask.number))
    if place is None or place[0] != area_id:
        return Answer("", output)
    area = site.areas[area_id]
    if area.mode == "hard":
        return Answer("passback")
    if area.mode == "timed":
        return Answer("passback") if place[1] < area.timed_min else Answer("", output)
    return Answer("", output, marked=True)
