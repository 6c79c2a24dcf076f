"""A site of the oracle as a residence's files, so that a failure can be played with `vantail replay`.

Badges and remotes become passes. What only a controller can be in (a lockdown, a clock that is not trusted) and codes,
telephones and mobiles, whose values the questions do not have, are left out: `is_playable` says so.
"""

from pathlib import Path

from oracle import HOLIDAY, Ask, Grant, Moment, Pass, Site, State

_ROWS = {0: "mon", 1: "tue", 2: "wed", 3: "thu", 4: "fri", 5: "sat", 6: "sun", HOLIDAY: "holiday"}
_PASSES = "number;radio_number;type;colour;block;flat;profile;from;to;state;notes"
_RESIDENTS = "block;flat;name;floor;display;call_code;phone1"


def is_playable(site: Site, state: State, ask: Ask, now: Moment) -> bool:
    """Whether a question can be asked of a quiet building through its files."""
    quiet = not (state.learning or state.locked_out or state.open_doors or state.inside or site.lockdown)
    sound = ask.medium in ("badge", "remote") and ask.number is not None and ask.secure and ask.reader
    return bool(quiet and sound and now.trusted and (ask.medium == "badge" or 1 <= ask.button <= 4))


def files_of(site: Site) -> dict[str, str]:
    """site.toml, residents.csv and passes.csv by name."""
    passes = [_pass_line(*key, known) for key, known in site.passes.items() if key[0] in ("badge", "remote")]
    return {
        "site.toml": "\n".join(_site_lines(site)) + "\n",
        "residents.csv": f"{_RESIDENTS}\na;001;Someone;0;;;\n",
        "passes.csv": "\n".join([_PASSES, *passes]) + "\n",
    }


def write_building(site: Site, folder: Path) -> None:
    """The files of `files_of`, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files_of(site).items():
        (folder / name).write_text(text)


def _site_lines(site: Site) -> list[str]:
    lines = [
        'site = "shrunk"',
        'name = "Shrunk"',
        f'time_zone = "{site.zone}"',
        f'untrusted_clock = "{site.untrusted}"',
    ]
    for name, week_type in site.week_types.items():
        lines += ["[[week_type]]", f'name = "{name}"']
        for day, spans in week_type.rows.items():
            lines.append(f"{_ROWS[day]} = [{', '.join(_span(*span) for span in spans)}]")
    for day in sorted(site.holidays):
        lines += ["[[holiday]]", f'date = "{day}"', 'name = "holiday"']
    lines += ["[[block]]", 'id = "a"', 'name = "A"', "[[controller]]", 'id = "c"', 'name = "C"']
    for name in site.doors:
        lines += _door_lines(site, name)
    for name, area in site.areas.items():
        lines += ["[[area]]", f'id = "{name}"', f'passback = "{area.mode}"', f"timed_min = {area.timed_min}"]
    for name, grants in site.profiles.items():
        written = ", ".join(filter(None, map(_grant, grants)))
        lines += ["[[access_profile]]", f'name = "{name}"', f"grants = [{written}]"]
    return lines


def _span(start: int, end: int) -> str:
    return f'"{start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}"'


def _door_lines(site: Site, name: str) -> list[str]:
    door = site.doors[name]
    outputs = ", ".join(f'"{output}"' for output in door.outputs)
    lines = ["[[controller.door]]", f'id = "{name}"', f'name = "{name}"', f"outputs = [{outputs}]"]
    lines += [f"unlock_ms = {door.unlock_ms}", f'badge_and_code = "{door.badge_and_code}"']
    lines += [f'{key} = "{value}"' for key, value in (("area_in", door.area_in), ("area_out", door.area_out)) if value]
    if door.interlock:
        lines.append(f"interlock = [{', '.join(repr(other) for other in door.interlock)}]")
    readers = [
        f'{{ id = "{reader}", kind = "osdp", address = {at}, direction = "{row.direction}"'
        + (f', output = "{row.output}"' if row.output else "")
        + " }"
        for at, (reader, row) in enumerate(site.readers.items())
        if row.door == name
    ]
    return [*lines, f"readers = [{', '.join(readers)}]"]


def _grant(grant: Grant) -> str:
    """A grant of remotes without a button opens nothing, and the files have no words for it."""
    words = sorted(grant.media if grant.buttons else grant.media - {"remote"})
    if not words:
        return ""
    media = ", ".join(f'"{word}"' for word in words)
    buttons = f", buttons = [{', '.join(map(str, sorted(grant.buttons)))}]" if grant.buttons else ""
    output = f', output = "{grant.output}"' if grant.output else ""
    return f'{{ door = "{grant.door}"{output}, week_type = "{grant.week_type}", media = [{media}]{buttons} }}'


def _pass_line(medium: str, number: int, known: Pass) -> str:
    days = f"{known.first_day or ''};{known.last_day or ''}"
    return f"{number:010d};;{medium};black;a;001;{known.profile};{days};{known.state};"
