"""`vantail explain`: why a credential opens a door or does not."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from edge.commands.options import a_path, parse_time, takes_config
from edge.config import load
from edge.console.api import call


def add(commands: Any) -> None:
    explain = commands.add_parser("explain", help="why a credential opens a door or does not, and when it would")
    takes_config(explain)
    explain.add_argument("--building", type=a_path, metavar="DIR", help="ask a residence's files, not the agent")
    explain.add_argument("--door", required=True, metavar="DOOR")
    explain.add_argument("--medium", required=True, choices=("badge", "remote", "code", "phone", "mobile"))
    explain.add_argument("--value", required=True, metavar="VALUE", help="the number, or a code's digits")
    explain.add_argument("--button", type=int, default=1, choices=(1, 2, 3, 4), help="of a remote (default 1)")
    explain.add_argument("--reader", default="", metavar="READER", help="default: the door's first for that medium")
    explain.add_argument("--at", metavar="TIME", help="default: now")
    explain.add_argument("--json", action="store_true", help="one JSON object")
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from edge.explaining import explain_in_files, explanation_lines

    at_ms = parse_time(options.at) if options.at else int(time.time() * 1000)
    asked = {name: getattr(options, name) for name in ("door", "medium", "value", "button", "reader")}
    if options.building is not None:
        answer = explain_in_files(options.building, at_ms=at_ms, **asked)
    else:
        when = {"at_ms": at_ms} if options.at else {}
        answer = call(Path(load(options.config).api), "explain", **asked, **when)
        answer.pop("ok")
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        print("\n".join(explanation_lines(answer)))
    return 0
