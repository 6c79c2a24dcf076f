"""A residence of any size for `decide`, and people at its doors: the same for every side, from one seed.

Of the credentials 60 % belong to groups that may come at any time, 30 % to groups with week types (two of them run
over midnight, most have a row for holidays), 6 % are dated, 2 % are lost and 2 % disabled. People stand at the
doors through four weeks with a change of the clocks and a holiday; one in twenty holds up what nobody knows.
"""

import hashlib
import hmac
import random
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from edge.decision import model, rows
from edge.decision.authorize import Situation
from edge.decision.passback import Passback

SEED = 20260101
CODE_KEY = hashlib.sha256(b"decide").digest()
DAY_S = 86400
FIRST_S = 1774224000  # 2026-03-23T00:00Z: the clocks change on the 29th, the 6th of April is Easter Monday
WEEKS = 4
_EPOCH = date(1970, 1, 1)
_ALWAYS_GROUPS, _WEEKLY_GROUPS = 12, 18
_BADGE_CODE_REMOTE = 1 << model.BADGE | 1 << model.CODE | 1 << model.REMOTE
_EVERY_MEDIUM = 62
_DOORS = ("hall-a", "hall-b", "garage", "bikes", "bins", "gym", "roof", "side")
_MEDIA = {model.BADGE: 70, model.REMOTE: 12, model.CODE: 8, model.PHONE: 6, model.MOBILE: 4}

_WEEK = range(5)
_WEEK_TYPES: dict[str, tuple[tuple[int, int, int], ...]] = {  # (row, start_min, end_min); row 7 is the holiday's
    "Trades": (*((day, *span) for day in _WEEK for span in ((420, 720), (810, 1080))), (5, 480, 720)),
    "Evenings": ((4, 1200, 150), (5, 1200, 150), (7, 1200, 1440)),
    "Night nurse": tuple((day, 1320, 360) for day in range(8)),
    "Cleaning": tuple((day, 300, 480) for day in range(6)),
    "Pool": (*((day, 540, 1260) for day in range(7)), (7, 600, 1200)),
    "Post": tuple((day, 390, 780) for day in range(6)),
    "Office": tuple((day, 480, 1140) for day in _WEEK),
    "Weekend": ((4, 1020, 1440), (5, 0, 1440), (6, 0, 1320), (7, 0, 1440)),
}
_HOLIDAYS = [(year, *day) for year in range(2025, 2038) for day in ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (12, 25))]
_HOLIDAYS += [(2026, 4, 6), (2026, 5, 14), (2026, 5, 25)]


class Ask(NamedTuple):
    """One person at a door: the arguments of `authorize` after the index, and what was keyed in for a code."""

    presented: model.Presented
    situation: Situation
    moment: model.Moment
    digits: bytes


class Residence(NamedTuple):
    """`small`: every row but the credentials."""

    small: list[tuple]
    credentials: list[rows.Credential]

    def packed(self) -> Iterator[bytes]:
        for row in self.small:
            yield rows.pack(row)
        for credential in self.credentials:
            yield rows.pack(credential)


def code_number(digits: bytes) -> int:
    """Return a code's number: the first 8 bytes of HMAC-SHA256, big-endian."""
    return int.from_bytes(hmac.digest(CODE_KEY, digits, "sha256")[:8], "big")


def build(count: int) -> Residence:
    """Build a residence of `count` credentials."""
    chance = random.Random(SEED)
    groups = _groups(chance)
    always, weekly = groups[:_ALWAYS_GROUPS], groups[_ALWAYS_GROUPS:]
    media = chance.choices(list(_MEDIA), list(_MEDIA.values()), k=count)
    credentials = []
    for serial, medium in enumerate(media):
        kind = chance.random()
        group = chance.choice(weekly if 0.6 <= kind < 0.9 else always).id
        from_s, to_s, state = 0, 0, rows.ACTIVE
        if 0.9 <= kind < 0.96:
            from_s = FIRST_S + DAY_S * chance.randrange(-200, 20)
            to_s = from_s + DAY_S * chance.randrange(30, 365, 5)
        elif kind >= 0.96:
            state = rows.STATE_LOST if kind < 0.98 else rows.STATE_DISABLED
        flags = chance.choices((0, rows.EXTENDED, rows.EMERGENCY, rows.DURESS), (94, 4, 1, 1))[0]
        output = "aux1" if medium == model.CODE and serial % 5 == 0 else ""
        number = _number(medium, serial)
        credentials.append(rows.Credential(medium, number, group, from_s, to_s, state, flags, output, f"H{serial}"))
    return Residence(_building() + groups, credentials)


def digits_of(serial: int) -> bytes:
    """Return the code of the credential with that serial number, if it is a code."""
    return b"%08d" % (serial * 97 % 100_000_000)


def _number(medium: int, serial: int) -> int:
    """Return a number as its maker would give it: badges in runs, the others spread."""
    if medium == model.BADGE:
        return 136_000_000 + serial // 500 * 7919 + serial % 500
    if medium == model.CODE:
        return code_number(digits_of(serial))
    if medium == model.PHONE:
        return 33_600_000_000 + serial * 7_919 % 100_000_000
    if medium == model.REMOTE:
        return serial * 2_654_435_761 % (1 << 32)
    return int.from_bytes(hashlib.sha256(b"%d" % serial).digest()[:7], "big")


def _building() -> list[tuple]:
    site = rows.Site(bytes(16), "decide", False, 1)
    offsets = [rows.Offset(0, 3600)]
    for year in range(2025, 2038):
        for month, offset_s in ((3, 7200), (10, 3600)):
            last = date(year, month, 31)
            sunday = (last - _EPOCH).days - (last.weekday() + 1) % 7
            offsets.append(rows.Offset(sunday * DAY_S + 3600, offset_s))
    holidays = [rows.Holiday((date(*day) - _EPOCH).days, "") for day in _HOLIDAYS]
    schedules = [
        rows.Schedule(rows.FIRST_SCHEDULE + at, name, intervals)
        for at, (name, intervals) in enumerate(_WEEK_TYPES.items())
    ]
    doors, readers = [], []
    for name in _DOORS:
        outputs = ("door", "aux1") if name in ("hall-a", "garage") else ("door",)
        area = "bikes" if name == "bikes" else ""
        both = rows.FIRST_SCHEDULE + 2 if name == "roof" else rows.NEVER
        doors.append(
            rows.Door(name, name, outputs, 5000, 9000, 30, rows.NEVER, False, False, False, area, "", (), both)
        )
        readers += [
            rows.Reader(f"{name}-{kind}", name, kind, rows.IN, "", kind == "osdp", "")
            for kind in ("osdp", "radio", "gsm")
        ]
    return [site, *offsets, *holidays, *schedules, rows.Area("bikes", rows.SOFT, 10), *doors, *readers]


def _groups(chance: random.Random) -> list[rows.Group]:
    """Groups that may come at any time at three to six doors; then groups with one or two week types a door."""
    groups = []
    for at in range(_ALWAYS_GROUPS + _WEEKLY_GROUPS):
        grants = []
        for door in sorted(chance.sample(_DOORS, chance.randrange(3, 7))):
            media = chance.choice((_BADGE_CODE_REMOTE, _BADGE_CODE_REMOTE, _EVERY_MEDIUM))
            schedules = [rows.ALWAYS]
            if at >= _ALWAYS_GROUPS:
                schedules = chance.sample(range(rows.FIRST_SCHEDULE, rows.FIRST_SCHEDULE + 8), chance.randrange(1, 3))
            for schedule in schedules:
                grants.append((door, "", media & ~(1 << model.REMOTE), 0, schedule))
                grants.append((door, "", media & (1 << model.REMOTE), 1, schedule))
            if door in ("hall-a", "garage"):
                grants.append((door, "aux1", _BADGE_CODE_REMOTE, 2, schedules[0]))
        groups.append(rows.Group(at + 1, f"group {at + 1}", tuple(grants)))
    return groups


def ask(residence: Residence, count: int) -> list[Ask]:
    """Let `count` people come to the doors, one after the other; five in six come where their group may."""
    chance = random.Random(SEED + 1)
    doors_of = {row.id: sorted({grant[0] for grant in row.grants}) for row in residence.small if _is_group(row)}
    passback = Passback()
    asks = []
    step_s = WEEKS * 7 * DAY_S / count
    for at in range(count):
        serial = chance.randrange(len(residence.credentials))
        credential = residence.credentials[serial]
        medium, number, digits = credential.medium, credential.number, b""
        if medium == model.CODE:
            digits = digits_of(serial)
        if chance.random() < 0.05:
            digits = b"%07d" % chance.randrange(10_000_000)
            number = code_number(digits) if medium == model.CODE else number ^ 1 << 40
        door = chance.choice(doors_of[credential.group] if chance.random() < 5 / 6 else _DOORS)
        utc_ms = int((FIRST_S + (at + chance.random()) * step_s) * 1000)
        asks.append(
            Ask(
                _presented(chance, door, medium, number),
                _situation(chance, passback),
                model.Moment(at, utc_ms, chance.random() < 0.98, utc_ms - 3_600_000),
                digits,
            )
        )
    return asks


def _is_group(row: tuple) -> bool:
    return isinstance(row, rows.Group)


def _presented(chance: random.Random, door: str, medium: int, number: int) -> model.Presented:
    reader = {model.REMOTE: f"{door}-radio", model.PHONE: f"{door}-gsm", model.MOBILE: ""}.get(medium, f"{door}-osdp")
    button = chance.choice((1, 1, 1, 2, 3)) if medium == model.REMOTE else 0
    return model.Presented(reader, door, medium, number, button, chance.random() < 0.99)


def _situation(chance: random.Random, passback: Passback) -> Situation:
    kind = chance.random()
    return Situation(False, kind < 0.03, 0.03 <= kind < 0.06, kind > 0.98, 0.06 <= kind < 0.07, passback)
