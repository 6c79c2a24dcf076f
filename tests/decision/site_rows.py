"""The oracle's site as policy rows: the only place in these tests where the two vocabularies meet."""

import hashlib
import zlib
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import oracle

from edge.decision import model, policy, rows
from edge.decision.index import Index

FIRST_YEAR, LAST_YEAR = 2024, 2037
MODES = {"soft": rows.SOFT, "hard": rows.HARD, "timed": rows.TIMED}
STATES = {"active": rows.ACTIVE, "lost": rows.STATE_LOST, "disabled": rows.STATE_DISABLED}


def mask_of(media: frozenset) -> int:
    return sum(1 << model.MEDIUM_OF_WORD[word] for word in media)


def start_of(zone: str, day: date) -> int:
    """The utc second at which a local day begins."""
    return int(datetime.combine(day, time(), ZoneInfo(zone)).timestamp())


def offset_rows(zone: str) -> list:
    """The zone's offsets as rows, found by asking zoneinfo hour by hour, then minute by minute."""
    found = []
    at = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    end = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
    here = ZoneInfo(zone)
    before = at.astimezone(here).utcoffset()
    found.append(rows.Offset(int(at.timestamp()), int(before.total_seconds())))
    while at < end:
        if (at + timedelta(days=1)).astimezone(here).utcoffset() == before:
            at += timedelta(days=1)
            continue
        while at.astimezone(here).utcoffset() == before:
            at += timedelta(minutes=1)
        before = at.astimezone(here).utcoffset()
        found.append(rows.Offset(int(at.timestamp()), int(before.total_seconds())))
    return found


_offsets: dict = {}


def rows_of(site: oracle.Site) -> list:
    """Row values of a site, in table order."""
    if site.zone not in _offsets:
        _offsets[site.zone] = offset_rows(site.zone)
    week_ids = {"Always": rows.ALWAYS, "Never": rows.NEVER}
    for name in site.week_types:
        week_ids[name] = len(week_ids)
    group_ids = {name: number for number, name in enumerate(site.profiles)}
    found = [rows.Site(bytes(16), "here", site.untrusted == "allow", 4711), *_offsets[site.zone]]
    found += [rows.Holiday((day - date(1970, 1, 1)).days, "") for day in sorted(site.holidays)]
    for name, week_type in site.week_types.items():
        spans = []
        for row, intervals in week_type.rows.items():
            spans += [(rows.HOLIDAY_ROW if row == oracle.HOLIDAY else row, *interval) for interval in intervals]
        found.append(rows.Schedule(week_ids[name], name, tuple(spans)))
    found += [rows.Area(name, MODES[area.mode], area.timed_min) for name, area in site.areas.items()]
    for name, door in site.doors.items():
        found.append(
            rows.Door(
                name, name, door.outputs, door.unlock_ms, door.extended_ms, door.held_open_s,
                week_ids[door.auto_open], door.first_card, False, door.relock_on_open, door.area_in, door.area_out,
                door.interlock, week_ids[door.badge_and_code],
            )
        )  # fmt: skip
    for name, reader in site.readers.items():
        direction = rows.IN if reader.direction == "in" else rows.OUT
        found.append(rows.Reader(name, reader.door, reader.kind, direction, reader.output, True, ""))
    for name, grants in site.profiles.items():
        packed = []
        for grant in grants:
            buttons = sum(1 << (button - 1) for button in grant.buttons)
            packed.append((grant.door, grant.output, mask_of(grant.media), buttons, week_ids[grant.week_type]))
        found.append(rows.Group(group_ids[name], name, tuple(packed)))
    for (medium, number), known in site.passes.items():
        found.append(pass_row(site, medium, number, known, group_ids))
    found += [rows.Mode(door, True, "manager") for door in site.lockdown]
    return found


def pass_row(site: oracle.Site, medium: str, number: int, known: oracle.Pass, group_ids: dict) -> rows.Credential:
    """[from, to) of local days."""
    from_s = start_of(site.zone, known.first_day) if known.first_day else 0
    to_s = start_of(site.zone, known.last_day + timedelta(days=1)) if known.last_day else 0
    flags = known.duress * rows.DURESS + known.extended * rows.EXTENDED + known.emergency * rows.EMERGENCY
    return rows.Credential(
        model.MEDIUM_OF_WORD[medium], number, group_ids[known.profile], from_s, to_s, STATES[known.state], flags,
        known.output, "",
    )  # fmt: skip


def image_of(row_values: list, version: tuple = (1, 1)) -> bytes:
    """Packed, digested and compiled, as a controller does."""
    packed = [rows.pack(row) for row in row_values]
    total = sum(int.from_bytes(hashlib.sha256(row).digest(), "big") for row in packed) % (1 << 256)
    return bytes(policy.compile_image(packed, version, total.to_bytes(32, "big"), zlib.crc32))


def index_of(site: oracle.Site, version: tuple = (1, 1)) -> Index:
    return Index(image_of(rows_of(site), version))


def presented_of(ask: oracle.Ask) -> model.Presented:
    return model.Presented(ask.reader, ask.door, model.MEDIUM_OF_WORD[ask.medium], ask.number, ask.button, ask.secure)


def moment_of(now: oracle.Moment, mono_ms: int = 0) -> model.Moment:
    return model.Moment(mono_ms, ms_of(now.utc), now.trusted, ms_of(now.floor))


def ms_of(utc: datetime) -> int:
    return int(utc.timestamp()) * 1000 + utc.microsecond // 1000
