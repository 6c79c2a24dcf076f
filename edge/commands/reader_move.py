"""`vantail reader move`: give an OSDP reader another address or speed."""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from edge.commands.options import takes_config
from edge.config import load
from edge.console.api import call
from edge.failures import CommandError

ANSWERS_WITHIN_S = 10.0


def add(actions: Any) -> None:
    """Into the parser of `vantail reader`."""
    move = actions.add_parser("move", help="give a reader that is on line another address or speed")
    move.add_argument("reader", metavar="READER", help="its id in agent.toml")
    move.add_argument("--address", type=int, metavar="N", help="0 to 126")
    move.add_argument("--baud", type=int, metavar="N", help="9600 to 230400: as the line shall be")
    takes_config(move)
    move.add_argument("--json", action="store_true", help="one JSON object")
    move.set_defaults(run=_move)


def _move(options: argparse.Namespace) -> int:
    if options.address is None and options.baud is None:
        raise CommandError("give --address, --baud or both; see vantail reader move --help", os.EX_USAGE)
    socket = Path(load(options.config).api)
    wanted = {name: getattr(options, name) for name in ("address", "baud") if getattr(options, name) is not None}
    last = call(socket, "status")["log"]["last_seq"]
    asked = call(socket, "reader-move", reader=options.reader, **wanted)
    moved = _heard_of(socket, options.reader, last)
    if not moved:
        said = f"reader {options.reader} did not say that it moved; look with: vantail doctor"
        raise CommandError(said, os.EX_UNAVAILABLE)
    if options.json:
        print(json.dumps({"reader": options.reader, "address": asked["address"], "baud": asked["baud"]}))
    else:
        print(f"{options.reader}: {moved} from now on; write that into agent.toml before the next start")
    return 0


def _heard_of(socket: Path, reader: str, after_seq: int) -> str:
    end_s = time.monotonic() + ANSWERS_WITHIN_S
    while time.monotonic() < end_s:
        found = call(socket, "events", reader=reader, reason="reader-moved", after_seq=after_seq)["events"]
        if found:
            return str(found[-1]["detail"])
        time.sleep(0.1)
    return ""
