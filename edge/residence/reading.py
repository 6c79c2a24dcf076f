"""A residence's folder → `Residence`, with every problem of every file."""

import tomllib
from datetime import date
from pathlib import Path

from edge.residence import doors, rights, site
from edge.residence.people import Context, read_passes, read_residents
from edge.residence.places import find_places
from edge.residence.problems import Findings, Problem, has_errors
from edge.residence.registry import Registry
from edge.residence.tables import FILE, Document, Table
from edge.residence.values import Residence

FILES = (FILE, "residents.csv", "passes.csv")
MAX_SITE_BYTES = 4 << 20


def read(folder: str | Path, today: date, partial: bool = False) -> tuple[Residence | None, list[Problem]]:
    """The residence of a folder and all problems, by file and line; None where there is an error.

    With `partial`, rows of residents.csv and passes.csv that have errors are left out instead; site.toml and the
    headings must be right.
    `today`: the local date on which the 3 years of a provider without dates begin.
    """
    folder = Path(folder)
    findings = Findings()
    table = _read_toml(folder / FILE, findings.whole)
    residence = _read_all(folder, table, today, findings) if table else None
    fatal = findings.whole if partial else findings.all()
    problems = sorted(findings.all(), key=lambda one: (FILES.index(one.file), one.line, one.column))
    return (None if has_errors(fatal) else residence), problems


def _read_toml(path: Path, problems: list[Problem]) -> Table | None:
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_SITE_BYTES:
            raise OSError(f"larger than {MAX_SITE_BYTES >> 20} MiB")
        text = raw.decode("utf-8-sig")
        data = tomllib.loads(text)
        return Table(Document(find_places(text), problems), data, ())
    except FileNotFoundError:
        problems.append(Problem(FILE, 0, 0, f"is missing in {path.parent}: a residence begins with it"))
    except OSError as error:
        problems.append(Problem(FILE, 0, 0, f"cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(Problem(FILE, line, 1, "is not UTF-8 here: save the file as UTF-8"))
    except tomllib.TOMLDecodeError as error:
        problems.append(_syntax_problem(str(error), text))
    except RecursionError:
        problems.append(Problem(FILE, 1, 1, "lists stand too deep within lists"))
    return None


def _syntax_problem(message: str, text: str) -> Problem:
    """tomllib names the place in its message: "… (at line 3, column 5)" or "… (at end of document)"."""
    what, _, place = message.rpartition(" (at ")
    numbers = [int(word.strip(",)")) for word in place.split() if word.strip(",)").isdigit()]
    line, column = numbers if len(numbers) == 2 else (text.count("\n") + 1, 1)
    return Problem(FILE, line, column, f"is not TOML here: {what or message}")


def _read_all(folder: Path, table: Table, today: date, findings: Findings) -> Residence:
    registry = Registry()
    head = site.read_head(table)
    registry.short_codes = head.short_codes
    week_types = site.read_week_types(table)
    names = site.names_of(week_types)
    areas = site.read_areas(table)
    controllers = doors.read_controllers(table, names, areas)
    known = rights.known_of(controllers, names)
    profiles = rights.read_profiles(table, known)
    profile_names = tuple(profile.name for profile in profiles)
    blocks = site.read_blocks(table, profile_names)
    block_ids = tuple(block.id for block in blocks)
    panels = site.read_panels(table, controllers, block_ids)
    companies = rights.read_companies(table)
    providers = rights.read_providers(table, companies, head.country, head.zone, today, registry)
    tasks = rights.read_tasks(table, providers, known)
    holidays = site.read_holidays(table)
    table.close()
    context = Context(head.zone, head.country, names, block_ids, profile_names, panels, registry)
    flats, known_flats = read_residents(folder / "residents.csv", context, findings)
    passes = read_passes(folder / "passes.csv", context, known_flats, findings)
    return Residence(
        slug=head.slug, name=head.name, time_zone=head.zone.key, country=head.country, subdivision=head.subdivision,
        manager=head.manager, untrusted_allow=head.untrusted_allow, short_codes=head.short_codes,
        names_persons=head.names_persons, week_types=week_types, holidays=holidays, blocks=blocks,
        controllers=controllers, panels=panels, areas=areas,
        profiles=profiles, companies=companies, providers=providers, tasks=tasks, flats=flats, passes=passes,
    )  # fmt: skip
