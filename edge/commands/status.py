"""`vantail status`: how the running agent is."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.commands.options import local_time, takes_config
from edge.config import load
from edge.connectivity import SILENT, WAITING
from edge.console.api import call

# A character for each half hour: before the start, never connected, partly (rising), always.
BLOCKS = ("·", "▁", "▂▃▄▅▆▇", "█")
ASCII = ("-", "_", "+", "#")
EXAMPLES = """the cloud's line says "up to date", "12 events waiting", or "silent since" when: the line is down, or an
answer that was due did not come. Below it the last 24 hours, a mark for each half hour, now at the right: a full
block where the line was up, a lower one where it was in part, the lowest where it was not, a point before the
agent's start. Where stdout cannot write blocks: # up, + in part, _ not, - before the start.

examples:
  vantail status
  vantail status --json
"""


def add(commands: Any) -> None:
    status = commands.add_parser(
        "status",
        help="how the running agent is",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(status)
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.set_defaults(run=_status)


def _status(options: argparse.Namespace) -> int:
    status = call(Path(load(options.config).api), "status")
    status.pop("ok")
    if options.json:
        print(json.dumps(status, ensure_ascii=False))
        return 0
    for line in status_lines(status):
        print(line)
    return 0


def status_lines(status: dict[str, Any]) -> list[str]:
    """The status as a person reads it."""
    policy, log, sync = status["policy"], status["log"], status["sync"]
    trusted = "trusted" if status["clock"]["trusted"] else "NOT trusted"
    site = status["site"] or "no site yet"
    lines = [
        f"controller {status['controller']} of {site}, {status['software']}, up {status['uptime_s']} s",
        f"clock      {local_time(status['clock']['utc_ms'])} ({trusted})",
        "policy     " + (f"epoch {policy['epoch']} revision {policy['revision']}" if policy["in_force"] else "none"),
        f"log        {log['total']} events, {log['unsent']} waiting for the cloud, {log['late']} recorded late",
    ]
    if sync is None:
        lines.append("cloud      none configured")
    else:
        lines += [f"cloud      {badge_text(sync)}", f"24 hours   {strip_text(sync['strip'])}"]
    lines += [f"door       {door['id']}: {door['state']}" for door in status["doors"]]
    for reader in status["readers"]:
        how = "secure" if reader["secure"] else reader["state"]
        lines.append(f"reader     {reader['reader']} at address {reader['address']}: {how}")
    return lines


def badge_text(sync: dict[str, Any]) -> str:
    """How the controller and its cloud stand, as the cloud's pages say it too. sync: of the status."""
    if sync["badge"] == SILENT:
        return f"silent since {local_time(sync['silent_since_ms'])[:16]}"
    if sync["badge"] == WAITING:
        return f"{sync['waiting']} event{'' if sync['waiting'] == 1 else 's'} waiting"
    return "up to date"


def strip_text(strip: Sequence[float | None]) -> str:
    """A character for each share of a half hour; blocks where stdout can write them, else ASCII."""
    before, never, partly, always = BLOCKS if _can_write("".join(BLOCKS)) else ASCII
    drawn = ""
    for share in strip:
        if share is None:
            drawn += before
        elif share in (0, 1):
            drawn += always if share else never
        else:
            drawn += partly[min(int(share * len(partly)), len(partly) - 1)]
    return drawn


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
