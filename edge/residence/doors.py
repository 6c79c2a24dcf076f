"""site.toml: controllers, their doors and readers."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from edge.residence import texts
from edge.residence.problems import Place
from edge.residence.tables import Table
from edge.residence.values import NEVER, Area, Controller, Door, Reader

_KINDS = ("osdp", "wiegand", "radio", "gsm")
_BAUDS = (9600, 19200, 38400, 57600, 115200, 230400)
_WIEGAND_BITS = (26, 32, 34, 35, 37, 48)
_MAX_PULSE_MS = 600_000
_MAX_EXTENDED_MS = 3_600_000
_LAST_ADDRESS = 126  # 127 is OSDP's broadcast


@dataclass
class _Seen:
    """Ids of one site, with their places, and which controller has an area."""

    controllers: dict[str, Place] = field(default_factory=dict)
    doors: dict[str, Place] = field(default_factory=dict)
    readers: dict[str, Place] = field(default_factory=dict)
    areas: dict[str, str] = field(default_factory=dict)


def read_controllers(site: Table, week_types: Iterable[str], areas: Iterable[Area]) -> tuple[Controller, ...]:
    """[[controller]] with its doors and readers. Ids are unique in the whole site."""
    found = []
    seen = _Seen()
    names, area_ids = tuple(week_types), tuple(area.id for area in areas)
    for table in site.tables("controller"):
        controller_id = table.text("id", texts.parse_slug)
        table.unique(seen.controllers, "id", controller_id)
        doors = tuple(_read_door(door, names, area_ids, seen) for door in table.tables("door"))
        controller = Controller(
            controller_id,
            table.text("name", texts.parse_name, controller_id),
            table.flag("mini"),
            _with_interlocks(doors, table),
        )
        table.close()
        _check_areas(table, controller, seen)
        _check_addresses(table, controller)
        found.append(controller)
    if not found:
        site.fail("a site has at least one [[controller]]", "controller")
    return tuple(found)


def _read_door(table: Table, week_types: tuple[str, ...], areas: tuple[str, ...], seen: _Seen) -> Door:
    door_id = table.text("id", texts.parse_id)
    table.unique(seen.doors, "id", door_id)
    outputs = _read_outputs(table)
    unlock_ms = table.whole("unlock_ms", 5000, 100, _MAX_PULSE_MS)
    door = Door(
        id=door_id,
        name=table.text("name", texts.parse_name, door_id),
        outputs=outputs,
        unlock_ms=unlock_ms,
        extended_ms=table.whole("extended_ms", 3 * unlock_ms, unlock_ms, _MAX_EXTENDED_MS),
        held_open_s=table.whole("held_open_s", 30, 0, 65535),
        auto_open=table.choice("auto_open", week_types, NEVER),
        first_card_unlock=table.flag("first_card_unlock"),
        deny_on_log_failure=table.choice("on_log_failure", ("open", "deny"), "open") == "deny",
        relock_on_open=table.flag("relock_on_open"),
        area_in=table.choice("area_in", areas, ""),
        area_out=table.choice("area_out", areas, ""),
        interlock=table.list_of("interlock", str, "a door's id in quotes"),
        badge_and_code=table.choice("badge_and_code", week_types, NEVER),
        readers=tuple(_read_reader(reader, door_id, outputs, seen) for reader in table.tables("readers")),
    )
    table.close()
    if door.area_in and door.area_in == door.area_out:
        table.fail("leads from an area into the same area: area_in and area_out must differ", "area_out")
    return door


def _read_outputs(table: Table) -> tuple[str, ...]:
    outputs = []
    for i, name in enumerate(table.list_of("outputs", str, "a text in quotes", ("door",))):
        name = table.parsed(partial(texts.parse_id, name), "", "outputs", i)
        if name == "exit":
            table.fail("'exit' means the exit button: give this output another name", "outputs", i)
        elif name in outputs:
            table.fail(f"{name!r} is written twice here", "outputs", i)
        elif name:
            outputs.append(name)
    if not outputs:
        table.fail("a door has at least one output", "outputs")
    return tuple(outputs)


def _read_reader(table: Table, door: str, outputs: tuple[str, ...], seen: _Seen) -> Reader:
    reader_id = table.text("id", texts.parse_id)
    table.unique(seen.readers, "id", reader_id)
    kind = table.choice("kind", _KINDS)
    address = baud = bits = None
    if kind == "osdp":
        address = table.whole("address", 0, 0, _LAST_ADDRESS)
        baud = _one_of(table, "baud", 9600, _BAUDS)
    if kind == "wiegand":
        bits = _one_of(table, "bits", 26, _WIEGAND_BITS)
    for key, owner in (("address", "osdp"), ("baud", "osdp"), ("bits", "wiegand")):
        table.asked.add(key)
        if key in table.data and kind not in (owner, ""):
            table.fail(f"a {kind} reader has no {key}: only {owner} readers have", key)
    reader = Reader(
        id=reader_id,
        door=door,
        kind=kind,
        direction=table.choice("direction", ("in", "out"), "in"),
        output=table.choice("output", outputs, ""),
        keypad=table.flag("keypad"),
        format=table.text("format", texts.parse_id, "" if bits is None else str(bits)),
        address=address,
        baud=baud,
        bits=bits,
    )
    table.close()
    return reader


def _one_of(table: Table, key: str, default: int, allowed: tuple[int, ...]) -> int:
    value = table.whole(key, default, allowed[0], allowed[-1])
    if value not in allowed:
        table.fail(f"{value} is none of {', '.join(map(str, allowed))}", key)
        return default
    return value


def _with_interlocks(doors: tuple[Door, ...], table: Table) -> tuple[Door, ...]:
    """The doors again, interlocks checked: only a door of the same controller can be known to be closed."""
    ids = tuple(door.id for door in doors)
    checked = []
    for i, door in enumerate(doors):
        kept = []
        for k, other in enumerate(door.interlock):
            if other not in ids or other == door.id:
                table.fail(f"{other!r} is no other door of this controller", "door", i, "interlock", k)
            elif other not in kept:
                kept.append(other)
        checked.append(replace(door, interlock=tuple(kept)))
    return tuple(checked)


def _check_areas(table: Table, controller: Controller, seen: _Seen) -> None:
    for i, door in enumerate(controller.doors):
        for key, area in (("area_in", door.area_in), ("area_out", door.area_out)):
            owner = seen.areas.setdefault(area, controller.id) if area else controller.id
            if owner != controller.id:
                table.fail(
                    f"area {area!r} is of controller {owner!r} already: an area lies within one controller",
                    "door", i, key,
                )  # fmt: skip


def _check_addresses(table: Table, controller: Controller) -> None:
    """Two readers of one address cannot share a line. It only warns: a controller may have more than one line."""
    seen: dict[int, str] = {}
    for i, door in enumerate(controller.doors):
        for k, reader in enumerate(door.readers):
            if reader.address is None:
                continue
            first = seen.setdefault(reader.address, reader.id)
            if first != reader.id:
                table.warn(
                    f"address {reader.address} is that of {first!r} too: they cannot share a line",
                    "door", i, "readers", k, "address",
                )  # fmt: skip
