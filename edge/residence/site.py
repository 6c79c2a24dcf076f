"""site.toml: the site itself, its week types, holidays, areas, blocks and panels."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial
from zoneinfo import ZoneInfo

import holidays as public_holidays
import phonenumbers

from edge.residence import texts, times
from edge.residence.problems import Place, TextError, unknown
from edge.residence.tables import Table
from edge.residence.values import ALWAYS, NEVER, Area, Block, Controller, Holiday, Interval, Panel, WeekType

_ROWS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
_MAX_U32 = (1 << 32) - 1
_OPEN_KEYS = tuple("0123456789*#")


@dataclass(frozen=True)
class Head:
    """The keys at the top of site.toml."""

    slug: str
    name: str
    zone: ZoneInfo
    country: str
    subdivision: str
    manager: int
    untrusted_allow: bool
    short_codes: bool
    names_persons: bool


def read_head(table: Table) -> Head:
    """The site's own keys."""
    zone_name = table.text("time_zone", str)
    country = table.text("country", str, "")
    subdivision = table.text("subdivision", str, "")
    table.parsed(lambda: _check_country(country), None, "country")
    if country and country in _supported() and subdivision and subdivision not in _supported()[country]:
        table.fail(unknown(subdivision, _supported()[country]), "subdivision")
    elif country in phonenumbers.SUPPORTED_REGIONS and country not in _supported():
        table.warn(f"no public holidays are known of {country}: list them as [[holiday]]", "country")
    return Head(
        slug=table.text("site", texts.parse_slug),
        name=table.text("name", texts.parse_name),
        zone=table.parsed(lambda: _zone(zone_name), ZoneInfo("UTC"), "time_zone") if zone_name else ZoneInfo("UTC"),
        country=country if country in phonenumbers.SUPPORTED_REGIONS else "",
        subdivision=subdivision,
        manager=table.whole("manager", 0, 0, _MAX_U32),
        untrusted_allow=table.choice("untrusted_clock", ("always-only", "allow"), "always-only") == "allow",
        short_codes=table.flag("short_codes"),
        names_persons=table.flag("names_persons", True),
    )


def read_week_types(site: Table) -> tuple[WeekType, ...]:
    """[[week_type]]; "Always" and "Never" exist without being written."""
    found = []
    seen: dict[str, Place] = {}
    for table in site.tables("week_type"):
        name = table.text("name", texts.parse_name)
        if name in (ALWAYS, NEVER):
            table.fail(f"{name!r} exists everywhere and cannot be written anew: choose another name", "name")
        table.unique(seen, "name", name)
        intervals: list[Interval] = []
        for row, key in enumerate(_ROWS):
            for i, text in enumerate(table.list_of(key, str, 'a text such as "07:00-12:00"')):
                minutes = table.parsed(partial(times.parse_interval, text), None, key, i)
                if minutes:
                    intervals.append(Interval(row, *minutes))
        table.close()
        found.append(WeekType(name, tuple(intervals)))
    return tuple(found)


def names_of(week_types: Iterable[WeekType]) -> tuple[str, ...]:
    """All names that a week type may have here."""
    return (ALWAYS, NEVER, *(week_type.name for week_type in week_types))


def read_holidays(site: Table) -> tuple[Holiday, ...]:
    """[[holiday]]: days that the site adds, or with open = true removes."""
    found = []
    for table in site.tables("holiday"):
        text = table.moment("date")
        if not text:
            table.fail("the key date is missing here", "date")
        day = table.parsed(partial(times.parse_day, text), None, "date") if text else None
        holiday = Holiday(
            day or date(2000, 1, 1),
            table.text("name", texts.parse_name, ""),
            table.flag("every_year"),
            table.flag("open"),
        )
        table.close()
        if day:
            found.append(holiday)
    return tuple(found)


def read_areas(site: Table) -> tuple[Area, ...]:
    """[[area]]: anti-passback areas."""
    found = []
    seen: dict[str, Place] = {}
    for table in site.tables("area"):
        area_id = table.text("id", texts.parse_id)
        table.unique(seen, "id", area_id)
        area = Area(
            area_id,
            table.choice("passback", ("hard", "soft", "timed")),
            table.whole("timed_min", 0, 0, 65535),
        )
        if area.passback == "timed" and not area.timed_min:
            table.fail("a timed area needs timed_min, the minutes until a pass may enter again", "timed_min")
        table.close()
        found.append(area)
    return tuple(found)


def read_blocks(site: Table, profiles: Iterable[str]) -> tuple[Block, ...]:
    """[[block]], each with the access profile of its flats."""
    found = []
    seen: dict[str, Place] = {}
    for table in site.tables("block"):
        block_id = table.text("id", texts.parse_name)
        table.unique(seen, "id", block_id)
        name = table.text("name", texts.parse_name, block_id)
        found.append(Block(block_id, name, table.choice("access_profile", profiles, "")))
        table.close()
    return tuple(found)


def read_panels(site: Table, controllers: tuple[Controller, ...], blocks: Iterable[str]) -> tuple[Panel, ...]:
    """[[panel]], where visitors call; its modem must be a gsm reader of the same controller."""
    found = []
    seen: dict[str, Place] = {}
    by_door = {door.id: controller for controller in controllers for door in controller.doors}
    for table in site.tables("panel"):
        panel_id = table.text("id", texts.parse_id)
        table.unique(seen, "id", panel_id)
        door = table.choice("door", by_door)
        modems = (
            [reader.id for one in by_door[door].doors for reader in one.readers if reader.kind == "gsm"] if door else []
        )
        modem = table.choice("modem", modems) if door else table.text("modem", texts.parse_id)
        panel = Panel(panel_id, door, modem, table.names("blocks", blocks), table.choice("open_key", _OPEN_KEYS, "1"))
        table.close()
        found.append(panel)
    return tuple(found)


def _supported() -> dict[str, list[str]]:
    return public_holidays.list_supported_countries(include_aliases=False)


def _check_country(country: str) -> None:
    if country and country not in phonenumbers.SUPPORTED_REGIONS:
        raise TextError(f"{country!r} is no country: write two capital letters, as in FR")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise TextError(f"{name!r} is no time zone of this machine: write one such as Europe/Paris") from None
