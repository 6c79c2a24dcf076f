"""`vantail events`: what was recorded, as lines, JSON, CSV or a picture; verified; a person taken out."""

import argparse
import csv
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.commands import events_kept
from edge.commands.event_pages import Event, Pages
from edge.commands.options import a_path, local_time, parse_past, takes_config
from edge.config import Config, load
from edge.console.api import call
from edge.failures import CommandError

Writer = Callable[[Iterable[Event]], None]
SHOWN = 100  # lines, unless --limit says otherwise
FOLLOW_S = 0.5
CSV_COLUMNS = (
    "log", "seq", "at", "clock_trusted", "door", "reader", "medium", "credential", "result", "reason", "output",
    "detail", "late", "policy",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run
EXAMPLES = """times: 2026-11-23, 2026-11-23T07:58, 2026-11-23T07:58+01:00, yesterday, "2 hours ago", 2h, 3d, 8w

examples:
  vantail events --since yesterday --result denied
  vantail events --follow --door hall-a
  vantail events --since 2026-11-01 --until 2026-12-01 --csv > november.csv
  vantail events --since 8w --plot passages.svg --lang fr
  vantail events verify
  vantail events erase --credential 1111100008
"""


def add(commands: Any) -> None:
    events = commands.add_parser(
        "events",
        help="what was recorded",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(events)
    _takes_filters(events)
    _takes_forms(events)
    events.set_defaults(run=_events)
    events_kept.add(events)


def _takes_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="from this time on")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    for name in ("door", "reader", "result", "reason", "medium"):
        parser.add_argument(f"--{name}", metavar=name.upper())
    parser.add_argument("--credential", metavar="NUMBER", help="a badge's, remote's or telephone's number")
    parser.add_argument("--text", metavar="TEXT", help="anywhere in the line")
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help=f"at most so many, the newest (default {SHOWN}; all for --csv and --plot)",
    )


def _takes_forms(parser: argparse.ArgumentParser) -> None:
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="one JSON object a line")
    forms.add_argument("--csv", action="store_true", help="a table for spreadsheets (RFC 4180)")
    forms.add_argument(
        "--plot", type=a_path, metavar="FILE.svg", help="a calendar and a bar for each door, as a picture"
    )
    parser.add_argument("--lang", choices=("en", "fr"), default="en", help="of the picture")
    parser.add_argument("--follow", action="store_true", help="go on with what is recorded from now on")


def _events(options: argparse.Namespace) -> int:
    config = load(options.config)
    if options.limit is not None and options.limit < 1:
        raise CommandError(f"--limit {options.limit}: give at least 1", os.EX_USAGE)
    if options.follow and (options.plot or options.until):
        said = "--plot: a picture" if options.plot else "--until: what was before a time"
        raise CommandError(f"--follow and {said} has an end; leave one of them out", os.EX_USAGE)
    pages = Pages(Path(config.api), _filters_of(options))
    if options.plot:
        return _plot(config, pages, options)
    write: Writer = _write_json if options.json else _csv_writer() if options.csv else _write_lines
    limit = options.limit or (None if options.csv else SHOWN)
    last = pages.last_seq() if options.follow or limit is None else 0
    write(_noting(pages.upwards(0, last) if limit is None else pages.newest(limit), seen := [last]))
    while options.follow:
        time.sleep(FOLLOW_S)
        _write_on(pages, write, seen)
    return 0


def _noting(events: Iterable[Event], seen: list[int]) -> Iterator[Event]:
    """The events; seen[0] becomes the highest number."""
    for event in events:
        seen[0] = max(seen[0], event["seq"])
        yield event


def _write_on(pages: Pages, write: Writer, seen: list[int]) -> None:
    """Write what was recorded since. After a restore another log begins with number 1."""
    log, last = pages.log, pages.last_seq()
    if pages.log != log:
        seen[0] = 0
    write(pages.upwards(seen[0], last))
    seen[0] = last


def _filters_of(options: argparse.Namespace) -> dict[str, Any]:
    now = datetime.now().astimezone()
    filters = {
        name: getattr(options, name)
        for name in ("door", "reader", "result", "reason", "medium", "text")
        if getattr(options, name) is not None
    }
    if options.credential is not None:
        filters["credential"] = events_kept.number_of(options.credential)
    for name in ("since", "until"):
        if getattr(options, name) is not None:
            filters[f"{name}_ms"] = parse_past(getattr(options, name), now)
    if filters.get("since_ms", 0) >= filters.get("until_ms", math.inf):
        raise CommandError("--since is not before --until: nothing can be between them", os.EX_USAGE)
    return filters


# --- forms ------------------------------------------------------------------------------------------------------


def _write_lines(events: Iterable[Event]) -> None:
    for event in events:
        print(event_line(event))
    sys.stdout.flush()


def _write_json(events: Iterable[Event]) -> None:
    for event in events:
        print(json.dumps(event, ensure_ascii=False))
    sys.stdout.flush()


def _csv_writer() -> Writer:
    table = csv.writer(sys.stdout, lineterminator="\r\n")
    table.writerow(CSV_COLUMNS)

    def write(events: Iterable[Event]) -> None:
        for event in events:
            table.writerow(csv_row(event))
        sys.stdout.flush()

    return write


def csv_row(event: Event) -> list[str]:
    """The cells of CSV_COLUMNS: times with their offset; nothing that a spreadsheet would take for a formula."""
    cells = {**event, "at": _local(event["at_ms"]).isoformat(timespec="milliseconds")}
    cells |= {name: "yes" if event[name] else "no" for name in ("clock_trusted", "late")}
    return [f"'{text}" if (text := str(cells[name])).startswith(_FORMULA) else text for name in CSV_COLUMNS]


def event_line(event: Event) -> str:
    """One event as a person reads it."""
    trust = "" if event["clock_trusted"] else "?"
    who = " ".join(part for part in (event["medium"], event["credential"]) if part)
    said = event["result"] + (f" ({event['reason']})" if event["reason"] else "")
    where = event["reader"] or event["door"]
    output = f" → {event['output']}" if event["output"] else ""
    late = " [late]" if event["late"] else ""
    when = f"{event['seq']:>7} {local_time(event['at_ms'])}{trust}"
    return f"{when} {where:<16} {said:<28} {who}{output} {event['detail']}{late}".rstrip()


def _plot(config: Config, pages: Pages, options: argparse.Namespace) -> int:
    """Count page by page, so that a hundred thousand events are never held; then draw."""
    from edge.events_plot import Tally, draw
    from edge.translations import catalogue

    status = call(Path(config.api), "status")
    tally = Tally(_local)
    for event in pages.newest(options.limit) if options.limit else pages.upwards(0, pages.last_seq()):
        tally.add(event)
    names = {door["id"]: door["name"] for door in status["doors"]}
    french = Path(__file__).parents[1] / "locale" / "fr" / "LC_MESSAGES" / "plot.po"
    say = catalogue(french).gettext if options.lang == "fr" else str
    drawn = draw(tally, f"{status['site']}, {status['controller']}", names, say)
    try:
        options.plot.write_text(drawn, "utf-8")
    except OSError as error:
        raise CommandError(f"{options.plot}: {error.strerror}", os.EX_CANTCREAT) from None
    counts = ", ".join(f"{tally.total(result)} {result}" for result in ("open", "denied", "alarm"))
    print(f"{options.plot}: {counts}")
    return 0


def _local(utc_ms: int) -> datetime:
    """That moment on this machine's clock, with the offset of that day."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone()
