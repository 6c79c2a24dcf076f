"""`vantail replay`: play a day file through the decision core alone."""

import argparse
import json
import os
import sys
from typing import Any

from edge.commands.options import a_path
from edge.failures import CommandError


def add(commands: Any) -> None:
    replay = commands.add_parser("replay", help="play a day file through the decision core alone")
    replay.add_argument("--building", type=a_path, required=True, metavar="DIR", help="a residence's folder")
    replay.add_argument("--day", type=a_path, required=True, metavar="FILE", help="a day file")
    replay.add_argument("--json", action="store_true", help="one JSON object a line")
    replay.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> int:
    from edge.explaining import read_files
    from edge.replay import Replay
    from edge.residence.day import read_day

    residence = read_files(options.building)
    if not options.day.is_file():
        raise CommandError(f"{options.day}: no such file", os.EX_NOINPUT)
    steps, problems = read_day(options.day, residence)
    for problem in problems:
        print(f"vantail: {problem}", file=sys.stderr)
    if any(problem.level == "error" for problem in problems):
        return os.EX_DATAERR
    failed = 0
    for one in Replay(residence, steps).run():
        failed += not one.is_ok
        print(json.dumps(one.as_object(), ensure_ascii=False) if options.json else one.line())
    if failed:
        print(f"vantail: {failed} of {len(steps)} steps did not give what was expected", file=sys.stderr)
    return 1 if failed else 0
