"""site.toml: access profiles, companies, providers and their tasks."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from zoneinfo import ZoneInfo

from edge.decision.model import MEDIUM_OF_WORD
from edge.residence import texts, times
from edge.residence.problems import Place
from edge.residence.registry import Registry, Report
from edge.residence.tables import Table
from edge.residence.values import ALWAYS, Company, Controller, Door, Grant, Profile, Provider, Task

DEFAULT_MEDIA = ("badge", "remote", "code")
ALL_BUTTONS = (1, 2, 3, 4)
DEFAULT_YEARS = 3
MAX_YEARS = 5


@dataclass
class Known:
    """What grants may refer to."""

    doors: dict[str, Door]
    week_types: tuple[str, ...]
    is_phone_warned: bool = False


def known_of(controllers: Iterable[Controller], week_types: tuple[str, ...]) -> Known:
    """The doors of all controllers, and the week types' names."""
    return Known({door.id: door for controller in controllers for door in controller.doors}, week_types)


def read_profiles(site: Table, known: Known) -> tuple[Profile, ...]:
    """[[access_profile]] with its grants."""
    found = []
    seen: dict[str, Place] = {}
    for table in site.tables("access_profile"):
        name = table.text("name", texts.parse_name)
        table.unique(seen, "name", name)
        grants = _read_grants(table, "grants", known, [])
        table.close()
        found.append(Profile(name, grants))
    return tuple(found)


def _read_grants(table: Table, key: str, known: Known, before: list[Grant]) -> tuple[Grant, ...]:
    """The grants of a list; `before`: those of the same holder that were read already, and these are added to it."""
    grants = []
    for entry in table.tables(key):
        door_id = entry.choice("door", known.doors)
        door = known.doors.get(door_id)
        grant = Grant(
            door=door_id,
            output=entry.choice("output", door.outputs, "") if door else entry.text("output", texts.parse_id, ""),
            week_type=entry.choice("week_type", known.week_types, ALWAYS),
            media=entry.names("media", MEDIUM_OF_WORD, DEFAULT_MEDIA),
            buttons=_read_buttons(entry),
        )
        entry.close()
        for name in ("media", "buttons"):
            if entry.data.get(name) == []:
                entry.fail("an empty list grants nothing: leave the key out, or the whole grant", name)
        if door:
            _check_buttons(entry, grant, door, before)
        if "phone" in grant.media and not known.is_phone_warned:
            known.is_phone_warned = True
            entry.warn("whoever forges a caller number can open this door: 'phone' trusts the number shown", "media")
        before.append(grant)
        grants.append(grant)
    return tuple(grants)


def _read_buttons(entry: Table) -> tuple[int, ...]:
    buttons = []
    for i, button in enumerate(entry.list_of("buttons", int, "a number from 1 to 4", ALL_BUTTONS)):
        if button not in ALL_BUTTONS:
            entry.fail(f"{button} is no button: a remote has 1 to 4", "buttons", i)
        elif button not in buttons:
            buttons.append(button)
    return tuple(sorted(buttons))


def _check_buttons(entry: Table, grant: Grant, door: Door, before: list[Grant]) -> None:
    """One press cannot move two outputs of a door. Where no radio reader is, only what names the remote counts."""
    has_radio = any(reader.kind == "radio" for reader in door.readers)
    names_remote = "media" in entry.data
    if "remote" not in grant.media or not (has_radio or names_remote):
        return
    for other in before:
        is_meant = has_radio or other.media != DEFAULT_MEDIA
        same = set(grant.buttons) & set(other.buttons)
        differs = (grant.output or door.outputs[0]) != (other.output or door.outputs[0])
        if other.door == grant.door and "remote" in other.media and is_meant and same and differs:
            entry.fail(
                f"button {min(same)} would move two outputs of door {door.id!r}: give each its own buttons",
                "buttons" if "buttons" in entry.data else "door",
            )
            return


def read_companies(site: Table) -> tuple[Company, ...]:
    """[[company]]."""
    found = []
    seen: dict[str, Place] = {}
    for table in site.tables("company"):
        name = table.text("name", texts.parse_name)
        table.unique(seen, "name", name)
        found.append(Company(name, table.text("person_in_charge", texts.parse_name, "")))
        table.close()
    return tuple(found)


def read_providers(
    site: Table, companies: Iterable[Company], country: str, zone: ZoneInfo, today: date, registry: Registry
) -> tuple[Provider, ...]:
    """[[provider]]: without dates 3 years from `today`; more than 5 only with permanent = true."""
    found = []
    seen: dict[str, Place] = {}
    company_names = tuple(company.name for company in companies)
    for table in site.tables("provider"):
        name = table.text("name", texts.parse_name)
        table.unique(seen, "name", name)
        from_s, to_s, is_permanent = _read_validity(table, zone, today)
        phone = table.text("phone", str, "")
        provider = Provider(
            name=name,
            company=table.choice("company", company_names, ""),
            from_s=from_s,
            to_s=to_s,
            is_permanent=is_permanent,
            phone=table.parsed(partial(texts.parse_telephone, phone, country), None, "phone") if phone else None,
            pass_number=table.text("pass", texts.parse_number, ""),
            radio_number=table.text("radio", texts.parse_number, ""),
            door_code=table.text("door_code", texts.parse_code, ""),
            relay1_code=table.text("relay1_code", texts.parse_code, ""),
            relay2_code=table.text("relay2_code", texts.parse_code, ""),
        )
        table.close()
        _register(table, provider, registry)
        found.append(provider)
    return tuple(found)


def _read_validity(table: Table, zone: ZoneInfo, today: date) -> tuple[int, int, bool]:
    from_text, to_text = table.moment("from"), table.moment("to")
    is_permanent = table.flag("permanent")
    from_s = table.parsed(lambda: times.parse_from(from_text, zone), 0, "from") if from_text else 0
    to_s = table.parsed(lambda: times.parse_to(to_text, zone), 0, "to") if to_text else 0
    first_day = times.local_day(from_s, zone) if from_s else today
    if not to_text and not is_permanent:
        to_s = times.start_of_day_s(times.add_years(first_day, DEFAULT_YEARS), zone)
    if from_s and to_s and to_s <= from_s:
        table.fail("ends before it begins", "to")
    elif not is_permanent and to_s > times.start_of_day_s(times.add_years(first_day, MAX_YEARS), zone):
        table.fail(f"more than {MAX_YEARS} years: choose an earlier day, or write permanent = true", "to")
    return from_s, to_s, is_permanent


def _register(table: Table, provider: Provider, registry: Registry) -> None:
    """Note what the provider holds, so that nobody else may have it too."""

    def reporter(key: str) -> Report:
        return lambda message, level: table.document.problems.append(table.place(key).problem(message, level))

    for key, medium, number in (
        ("phone", "phone", provider.phone),
        ("pass", "badge", provider.pass_number),
        ("radio", "remote", provider.radio_number),
    ):
        if number:
            registry.take_credential(medium, int(number), table.place(key), reporter(key))
    for key in ("door_code", "relay1_code", "relay2_code"):
        if getattr(provider, key):
            registry.take_code(getattr(provider, key), True, table.place(key), reporter(key))


def read_tasks(site: Table, providers: Iterable[Provider], known: Known) -> tuple[Task, ...]:
    """[[task]]. Its week type is that of all its access; an access' own one must agree or be Always."""
    found = []
    provider_names = tuple(provider.name for provider in providers)
    held: dict[str, list[Grant]] = {}  # a provider's grants of all tasks share one remote
    for table in site.tables("task"):
        name = table.text("name", texts.parse_name)
        provider = table.choice("provider", provider_names)
        week_type = table.choice("week_type", known.week_types, ALWAYS)
        access = _read_grants(table, "access", known, held.setdefault(provider, []))
        table.close()
        covered = tuple(_covered(table, i, grant, week_type) for i, grant in enumerate(access))
        found.append(Task(name, provider, week_type, covered))
    return tuple(found)


def _covered(table: Table, i: int, grant: Grant, week_type: str) -> Grant:
    if grant.week_type == ALWAYS:
        return replace(grant, week_type=week_type)
    if week_type not in (ALWAYS, grant.week_type):
        table.fail(
            f"the task's week type {week_type!r} covers all its access: leave this out, or make it a task of its own",
            "access", i, "week_type",
        )  # fmt: skip
    return grant
