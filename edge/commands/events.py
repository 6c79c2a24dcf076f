"""`vantail events`: what was recorded."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edge.commands.options import local_time, parse_time, takes_config
from edge.config import load
from edge.console.api import call
from edge.failures import CommandError


def add(commands: Any) -> None:
    events = commands.add_parser("events", help="what was recorded")
    takes_config(events)
    _takes_filters(events)
    events.set_defaults(run=_events)


def _takes_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="from this time on: 2026-11-23 or 2026-11-23T07:58+01:00")
    parser.add_argument("--until", metavar="TIME", help="before this time")
    for name in ("door", "reader", "result", "reason", "medium"):
        parser.add_argument(f"--{name}", metavar=name.upper())
    parser.add_argument("--credential", metavar="NUMBER", help="a badge's, remote's or telephone's number")
    parser.add_argument("--text", metavar="TEXT", help="anywhere in the line")
    parser.add_argument("--limit", type=int, default=100, help="at most so many, the newest (default 100)")
    parser.add_argument("--follow", action="store_true", help="go on with what is recorded from now on")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _events(options: argparse.Namespace) -> int:
    socket = Path(load(options.config).api)
    filters = {
        name: getattr(options, name)
        for name in ("door", "reader", "result", "reason", "medium", "text")
        if getattr(options, name) is not None
    }
    if options.credential is not None:
        filters["credential"] = _credential_of(options.credential)
    for name in ("since", "until"):
        if getattr(options, name) is not None:
            filters[f"{name}_ms"] = parse_time(getattr(options, name))
    if options.limit < 1:
        raise CommandError(f"--limit {options.limit}: give at least 1", os.EX_USAGE)
    last = _print_events(call(socket, "events", limit=options.limit, **filters), options.json, 0)
    while options.follow:
        time.sleep(0.5)
        last = _print_events(call(socket, "events", limit=1000, after_seq=last, **filters), options.json, last)
    return 0


def _print_events(answer: dict[str, Any], as_json: bool, last: int) -> int:
    for event in answer["events"]:
        last = event["seq"]
        print(json.dumps({**event, "log": answer["log"]}, ensure_ascii=False) if as_json else event_line(event))
    sys.stdout.flush()
    return last


def event_line(event: dict[str, Any]) -> str:
    """One event as a person reads it."""
    trust = "" if event["clock_trusted"] else "?"
    who = " ".join(part for part in (event["medium"], event["credential"]) if part)
    said = event["result"] + (f" ({event['reason']})" if event["reason"] else "")
    where = event["reader"] or event["door"]
    output = f" → {event['output']}" if event["output"] else ""
    late = " [late]" if event["late"] else ""
    when = f"{event['seq']:>7} {local_time(event['at_ms'])}{trust}"
    return f"{when} {where:<16} {said:<28} {who}{output} {event['detail']}{late}".rstrip()


def _credential_of(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise CommandError(f"'{text}' is no number; write the digits on the badge", os.EX_USAGE)
    return int(text.removeprefix("00")) if text.startswith("00") and len(text) > 10 else int(text)
