"""A residence → the policy rows of one of its controllers.

All of a site's credentials are known at all its controllers, so that a stranger's badge is told from a neighbour's
(`unknown` or `no-access`); groups grant only this controller's doors. Rules: examples/README.md.
"""

import hashlib
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

from edge.codes import code_number
from edge.decision import model, rows
from edge.residence.calendar import Years, find_holidays, find_offsets, years_around
from edge.residence.values import ALWAYS, NEVER, Controller, Door, Flat, Grant, Panel, Pass, Provider, Residence

__all__ = ["policy_digest", "policy_rows", "years_around"]

NO_GROUP = 0  # without any grant
MAX_HOLDER_CHARS = 80

_MODES = {"soft": rows.SOFT, "hard": rows.HARD, "timed": rows.TIMED}
_STATES = {"active": rows.ACTIVE, "lost": rows.STATE_LOST, "disabled": rows.STATE_DISABLED}
_DIRECTIONS = {"in": rows.IN, "out": rows.OUT}


def policy_rows(
    residence: Residence,
    controller_id: str,
    site_uid: bytes,
    code_key: bytes,
    years: Years,
    modes: Iterable[rows.Mode] = (),
) -> list[bytes]:
    """The packed rows of a controller, sorted, keys unique. `site_uid`: 16 bytes. `code_key`: the controller's, for
    codes. `years`: of the calendar, see `years_around`. `modes`: lasting states that the manager set, no part of the
    residence. KeyError for an unknown controller, RowError where a value does not fit a row."""
    controller = residence.controller(controller_id)
    # Numbered by name, so that the order in which things were written does not matter.
    names = sorted(week_type.name for week_type in residence.week_types)
    schedules = {ALWAYS: rows.ALWAYS, NEVER: rows.NEVER} | {
        name: i for i, name in enumerate(names, rows.FIRST_SCHEDULE)
    }
    groups = {name: i for i, name in enumerate(sorted(_grants_by_group(residence)), NO_GROUP + 1)}
    found: list[object] = [rows.Site(site_uid, residence.name, residence.untrusted_allow, residence.manager)]
    if not residence.names_persons:
        found.append(rows.Privacy(False))
    found.extend(_calendar_rows(residence, years))
    found.extend(_schedule_rows(residence, schedules))
    found.extend(_door_rows(residence, controller, schedules))
    found.extend(_group_rows(residence, controller, schedules, groups))
    found.extend(_panel_rows(residence, controller, schedules))
    found.extend(_Issuer(residence, groups, code_key).credentials())
    found.extend(modes)
    return _packed(found)


def policy_digest(packed: Iterable[bytes]) -> bytes:
    """The sum of the rows' SHA-256 hashes modulo 2^256, 32 bytes, big-endian: the order of rows does not matter."""
    total = sum(int.from_bytes(hashlib.sha256(row).digest(), "big") for row in packed)
    return (total % (1 << 256)).to_bytes(32, "big")


def _packed(found: Iterable[object]) -> list[bytes]:
    packed = sorted(rows.pack(row) for row in found)
    keys: set[bytes] = set()
    for row in packed:
        key = rows.key_of(row)
        if key in keys:
            raise rows.RowError(f"{rows.describe(rows.unpack(row))} is there twice: the residence was not checked")
        keys.add(key)
    return packed


def _calendar_rows(residence: Residence, years: Years) -> Iterator[object]:
    for from_s, offset_s in find_offsets(ZoneInfo(residence.time_zone), years):
        yield rows.Offset(from_s, offset_s)
    days = find_holidays(residence.country, residence.subdivision, residence.holidays, years)
    for day, name in days.items():
        yield rows.Holiday(day, name)


def _schedule_rows(residence: Residence, schedules: dict[str, int]) -> Iterator[object]:
    for week_type in residence.week_types:
        intervals = {(one.row, one.start_min, one.end_min) for one in week_type.intervals}
        yield rows.Schedule(schedules[week_type.name], week_type.name, tuple(sorted(intervals)))


def _door_rows(residence: Residence, controller: Controller, schedules: dict[str, int]) -> Iterator[object]:
    used = {area for door in controller.doors for area in (door.area_in, door.area_out)}
    for area in residence.areas:
        if area.id in used:
            yield rows.Area(area.id, _MODES[area.passback], area.timed_min)
    for door in controller.doors:
        yield rows.Door(
            door.id, door.name, door.outputs, door.unlock_ms, door.extended_ms, door.held_open_s,
            schedules[door.auto_open], door.first_card_unlock, door.deny_on_log_failure, door.relock_on_open,
            door.area_in, door.area_out, door.interlock, schedules[door.badge_and_code],
        )  # fmt: skip
        for reader in door.readers:
            output = _output(reader.output, door)
            yield rows.Reader(
                reader.id, door.id, reader.kind, _DIRECTIONS[reader.direction], output, reader.keypad, reader.format
            )  # fmt: skip


def _output(name: str, door: Door) -> str:
    """One form of the door's first output: ""."""
    return "" if name == door.outputs[0] else name


def _grants_by_group(residence: Residence) -> dict[tuple[str, str], list[Grant]]:
    """Groups are profiles and providers; a provider's grants are those of all its tasks."""
    grants: dict[tuple[str, str], list[Grant]] = {}
    for profile in residence.profiles:
        grants["profile", profile.name] = list(profile.grants)
    for provider in residence.providers:
        grants["provider", provider.name] = []
    for task in residence.tasks:
        grants["provider", task.provider].extend(task.access)
    return grants


def _group_rows(
    residence: Residence, controller: Controller, schedules: dict[str, int], groups: dict[tuple[str, str], int]
) -> Iterator[object]:
    yield rows.Group(NO_GROUP, "", ())
    doors = {door.id: door for door in controller.doors}
    for key, grants in _grants_by_group(residence).items():
        here = [grant for grant in grants if grant.door in doors]
        mute = _doors_without_remotes(here, doors)
        packed = set()
        for grant in here:
            media = set(grant.media) - ({"remote"} if grant.door in mute else set())
            mask = sum(1 << model.MEDIUM_OF_WORD[word] for word in media)
            buttons = sum(1 << (button - 1) for button in set(grant.buttons))
            if mask:
                output = _output(grant.output, doors[grant.door])
                packed.add((grant.door, output, mask, buttons, schedules[grant.week_type]))
        yield rows.Group(groups[key], key[1], tuple(sorted(packed)))


def _doors_without_remotes(grants: Iterable[Grant], doors: dict[str, Door]) -> set[str]:
    """Doors where a button would move two outputs. Reading allows that only where no radio reader is and the remote
    came with the default media, so nothing is lost; the core takes no group that leaves it open."""
    outputs: dict[tuple[str, int], str] = {}
    mute = set()
    for grant in grants:
        if "remote" in grant.media:
            output = _output(grant.output, doors[grant.door])
            for button in grant.buttons:
                if outputs.setdefault((grant.door, button), output) != output:
                    mute.add(grant.door)
    return mute


def _panel_rows(residence: Residence, controller: Controller, schedules: dict[str, int]) -> Iterator[object]:
    doors = {door.id for door in controller.doors}
    for panel in residence.panels:
        if panel.door in doors:
            yield rows.Panel(panel.id, panel.door, panel.modem, panel.open_key)
            yield from _display_rows(residence, panel, schedules)


def _display_rows(residence: Residence, panel: Panel, schedules: dict[str, int]) -> Iterator[object]:
    for flat in residence.flats:
        if flat.block in panel.blocks and flat.display and flat.call_code:
            numbers = tuple((phone.number, phone.delay_s) for phone in flat.phones)
            yield rows.Display(panel.id, flat.call_code, flat.display, schedules[flat.auto_open], numbers)


class _Issuer:
    """Makes the credential rows of one residence."""

    def __init__(self, residence: Residence, groups: dict[tuple[str, str], int], code_key: bytes) -> None:
        self.residence = residence
        self.groups = groups
        self.code_key = code_key
        self.block_profiles = {block.id: block.profile for block in residence.blocks}
        self.names = {(flat.block, flat.flat): flat.name for flat in residence.flats}

    def credentials(self) -> Iterator[object]:
        for flat in self.residence.flats:
            if flat.display:  # without one, neither codes nor telephones
                yield from self._of_flat(flat)
        for one in self.residence.passes:
            if one.state != "stock":
                yield from self._of_pass(one)
        for provider in self.residence.providers:
            yield from self._of_provider(provider)

    def _group(self, profile: str) -> int:
        return self.groups["profile", profile] if profile else NO_GROUP

    def _code(self, digits: str) -> int:
        return code_number(self.code_key, digits)

    def _of_flat(self, flat: Flat) -> Iterator[object]:
        group = self._group(self.block_profiles.get(flat.block, ""))
        holder = _holder(f"{flat.block}/{flat.flat} {flat.name}")
        for phone in flat.phones:
            yield rows.Credential(model.PHONE, phone.number, group, 0, 0, rows.ACTIVE, 0, "", holder)
        for digits, output, flags in (
            (flat.door_code, "", 0),
            (flat.aux1_code, "aux1", 0),
            (flat.aux2_code, "aux2", 0),
            (flat.duress_code, "", rows.DURESS),
        ):
            if digits:
                number = self._code(digits)
                yield rows.Credential(model.CODE, number, group, 0, 0, rows.ACTIVE, flags, output, holder)

    def _of_pass(self, one: Pass) -> Iterator[object]:
        group = self._group(one.profile or self.block_profiles.get(one.block, ""))
        flat = f"{one.block}/{one.flat}" if one.flat else one.block
        holder = _holder(f"{flat} {self.names.get((one.block, one.flat), '')}")
        medium = model.REMOTE if one.kind == "remote" else model.BADGE
        numbers = [(medium, one.number)]
        if one.kind == "dual":
            numbers.append((model.REMOTE, one.radio_number))
        for medium, number in numbers:
            yield rows.Credential(
                medium, int(number), group, one.from_s, one.to_s, _STATES[one.state], 0, "", holder
            )  # fmt: skip

    def _of_provider(self, provider: Provider) -> Iterator[object]:
        group = self.groups["provider", provider.name]
        holder = _holder(f"{provider.name} ({provider.company})" if provider.company else provider.name)
        held: list[tuple[int, int, str]] = []
        if provider.pass_number:
            held.append((model.BADGE, int(provider.pass_number), ""))
        if provider.radio_number:
            held.append((model.REMOTE, int(provider.radio_number), ""))
        if provider.phone is not None:
            held.append((model.PHONE, provider.phone, ""))
        for digits, output in (
            (provider.door_code, ""),
            (provider.relay1_code, "aux1"),
            (provider.relay2_code, "aux2"),
        ):
            if digits:
                held.append((model.CODE, self._code(digits), output))
        for medium, number, output in held:
            yield rows.Credential(
                medium, number, group, provider.from_s, provider.to_s, rows.ACTIVE, 0, output, holder
            )  # fmt: skip


def _holder(text: str) -> str:
    return text.strip()[:MAX_HOLDER_CHARS]
