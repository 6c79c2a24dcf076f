"""`vantail reader pair` and `vantail reader rekey`: give an OSDP reader a key of its own, standing beside it."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edge.commands.options import takes_config
from edge.config import load
from edge.console.api import call
from edge.failures import CommandError

LOOK_EVERY_S = 0.2
LONGEST_REKEY_S = 30.0  # a reader that is on line answers within a second
MOST_MINUTES = 5
SHORTEST_S = 5


def add(subcommands: Any) -> None:
    """Into the parser of `vantail reader`."""
    pair = subcommands.add_parser("pair", help="give a reader in install mode its key, within a few minutes")
    _takes_reader(pair)
    pair.add_argument(
        "--minutes", type=float, default=MOST_MINUTES, metavar="N", help="how long the window stays open (at most 5)"
    )
    pair.set_defaults(run=_pair)
    rekey = subcommands.add_parser("rekey", help="change the key of a reader that is on line")
    _takes_reader(rekey)
    rekey.set_defaults(run=_rekey)


def _takes_reader(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reader", metavar="READER", help="its id in agent.toml")
    takes_config(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _pair(options: argparse.Namespace) -> int:
    if not SHORTEST_S / 60 <= options.minutes <= MOST_MINUTES:
        said = f"--minutes {options.minutes:g}: give at most {MOST_MINUTES}, and at least {SHORTEST_S} seconds (0.1)"
        raise CommandError(said, os.EX_USAGE)
    window_s = round(options.minutes * 60)
    socket = Path(load(options.config).api)
    call(socket, "pair", reader=options.reader, window_s=window_s)
    try:
        return _report(options, _outcome(socket, options.reader, time.monotonic() + window_s + 10))
    except KeyboardInterrupt:
        call(socket, "pair-close", reader=options.reader)
        raise


def _rekey(options: argparse.Namespace) -> int:
    socket = Path(load(options.config).api)
    call(socket, "rekey", reader=options.reader)
    return _report(options, _outcome(socket, options.reader, time.monotonic() + LONGEST_REKEY_S))


def _outcome(socket: Path, reader: str, end_s: float) -> str:
    """What became of it; shows on a terminal what is being waited for."""
    shown = sys.stderr.isatty()
    while time.monotonic() < end_s:
        progress = call(socket, "pairing", reader=reader)
        if progress["outcome"]:
            break
        if shown:
            left = progress["window_left_s"]
            said = f"{progress['stage'] or 'waiting'}" + ("" if left is None else f", {left // 60}:{left % 60:02} left")
            print(f"\r\033[K{reader}: {said}", end="", file=sys.stderr, flush=True)
        time.sleep(LOOK_EVERY_S)
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return str(progress["outcome"]) or "it has not answered yet; its old key holds until it proves the new one"


def _report(options: argparse.Namespace, outcome: str) -> int:
    is_paired = outcome == "paired"
    if options.json:
        print(json.dumps({"reader": options.reader, "paired": is_paired, "outcome": outcome}, ensure_ascii=False))
    elif is_paired:
        print(f"{options.reader}: has its new key, and proved it")
    else:
        raise CommandError(f"reader {options.reader}: {outcome}", os.EX_UNAVAILABLE)
    return 0 if is_paired else os.EX_UNAVAILABLE
