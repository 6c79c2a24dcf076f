"""`vantail events verify` and `vantail events erase`: whether the past is whole, and one person taken out of it."""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.commands.options import a_path
from edge.config import load
from edge.console.api import call
from edge.failures import CommandError

_LONGEST_S = 3600.0  # a log of ten million on a slow card


def add(events: argparse.ArgumentParser) -> None:
    """The words that may follow `vantail events`."""
    words = events.add_subparsers(title="instead of listing", metavar="WORD", required=False)
    verify = words.add_parser("verify", help="check that nobody changed the past; exit code 65 where somebody did")
    erase = words.add_parser("erase", help="take one person's number out of every event, for good")
    for parser in (verify, erase):
        # Without a default: it would undo a --config that stands before the word.
        parser.add_argument("--config", type=a_path, default=argparse.SUPPRESS, metavar="FILE", help="agent.toml")
    verify.add_argument("--json", action="store_true", help="one JSON object")
    verify.set_defaults(run=_verify)
    erase.add_argument("--credential", metavar="NUMBER", help="a badge's, remote's or telephone's number")
    erase.add_argument("--call-code", metavar="CODE", help="the code by which visitors called")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.set_defaults(run=_erase)


def _verify(options: argparse.Namespace) -> int:
    api = Path(load(options.config).api)
    with _told_that_it_runs("verifying"):
        found = call(api, "verify", timeout_s=_LONGEST_S)
    found.pop("ok")  # that it was answered
    acknowledged = call(api, "status")["log"]["acknowledged"]
    if options.json:
        print(json.dumps({**found, "acknowledged": acknowledged}))
    elif found["bad_seq"] is None:
        print(
            f"{found['checked']} records fit, from {found['first']} to {found['last']}; "
            f"cloud acknowledged up to {acknowledged}"
        )
    else:
        print(f"record {found['bad_seq']} does not fit: {found['why']}; {found['checked']} before it do")
    return 0 if found["bad_seq"] is None else os.EX_DATAERR


def _erase(options: argparse.Namespace) -> int:
    whom = " and ".join(each for each in (options.credential, options.call_code) if each)
    if not whom:
        raise CommandError("erase whom? give --credential, --call-code or both", os.EX_USAGE)
    asked: dict[str, object] = {} if not options.credential else {"credential": number_of(options.credential)}
    if options.call_code:
        asked["call_code"] = options.call_code
    if not options.yes:
        _ask_for_sure(whom)
    erased = call(Path(load(options.config).api), "erase", timeout_s=_LONGEST_S, **asked)["erased"]
    print(f"{erased} events name {whom} no more; their records stay, and still fit")
    return 0


def _ask_for_sure(number: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("erase asks before it does, and nobody can answer here; give --yes", os.EX_USAGE)
    print(f"Take {number} out of every event? It cannot be undone. Type yes: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise CommandError("nothing was erased", os.EX_NOPERM)


@contextmanager
def _told_that_it_runs(doing: str) -> Iterator[None]:
    """A line on a terminal that counts the seconds, gone at the end."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        while not ended.wait(0.5):
            print(f"\r{doing}, {time.monotonic() - started:.0f} s", end="", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def number_of(text: str) -> int:
    """The number that a person wrote. CommandError where it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise CommandError(f"'{text}' is no number; write the digits on the badge", os.EX_USAGE)
    return int(text.removeprefix("00")) if text.startswith("00") and len(text) > 10 else int(text)
