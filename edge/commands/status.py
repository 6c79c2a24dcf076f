"""`vantail status`: how the running agent is."""

import argparse
import json
from pathlib import Path
from typing import Any

from edge.commands.options import local_time, takes_config
from edge.config import load
from edge.console.api import call


def add(commands: Any) -> None:
    status = commands.add_parser("status", help="how the running agent is")
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
    policy, log, uplink = status["policy"], status["log"], status["uplink"]
    trusted = "trusted" if status["clock"]["trusted"] else "NOT trusted"
    lines = [
        f"controller {status['controller']} of {status['site']}, {status['software']}, up {status['uptime_s']} s",
        f"clock      {local_time(status['clock']['utc_ms'])} ({trusted})",
        "policy     " + (f"epoch {policy['epoch']} revision {policy['revision']}" if policy["in_force"] else "none"),
        f"log        {log['total']} events, {log['unsent']} waiting for the cloud, {log['late']} recorded late",
    ]
    if uplink is None:
        lines.append("cloud      none configured")
    else:
        lines.append(f"cloud      {'connected' if uplink['connected'] else 'away'}")
    lines += [f"door       {door['id']}: {door['state']}" for door in status["doors"]]
    for reader in status["readers"]:
        how = "secure" if reader["secure"] else reader["state"]
        lines.append(f"reader     {reader['reader']} at address {reader['address']}: {how}")
    return lines
