"""`vantail learn`: have a reader learn a commissioning key, and so bind the manager of a hand-over that waits."""

import argparse
import base64
import getpass
import json
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

from edge.commands.options import a_path, parse_time, takes_config
from edge.config import load
from edge.console.api import ApiError, call
from edge.failures import CommandError

LOOK_S = 0.2
BACK_S = 120.0  # the agent is away for a second or two when it has another manager
STORED_S = 30.0
SAID_EVERY_S = 10
MOST_HANDOVER = 65_536  # bytes
EXAMPLES = """examples:
  vantail learn --manager 77 --reader hall-a-in
  vantail learn --manager 77 --reader hall-a-in --countdown 120 --handover hall-a.handover
  vantail learn --manager 77 --reader hall-a-in --password-file secret --json

The reader blinks red and green while the countdown runs; when it blinks fast in red, hold the key there for about two
seconds and take it away. Exit code 0: the new manager is bound; 75: begin again; 65: the hand-over or the key is not
right; 77: the password is not. Ctrl-C gives up, and everything stays as it was.
"""
_CODES = {
    **dict.fromkeys(("password", "wrong-password", "weak-password", "old-password", "locked"), os.EX_NOPERM),
    **dict.fromkeys(
        ("statement", "needs-release", "superseded", "keyless", "no-hand-over", "foreign-site", "foreign-controller",
         "epoch", "secret", "wrong-number", "expired", "wrong-key"), os.EX_DATAERR,
    ),
    "not-stored": os.EX_IOERR, "countdown": os.EX_USAGE, "clock": os.EX_CONFIG,
}  # fmt: skip
_BUSY = ("armed", "presenting", "holding", "binding")


def add(commands: Any) -> None:
    learn = commands.add_parser(
        "learn",
        help="bind a new manager: its commissioning key is held at a reader",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(learn)
    learn.add_argument("--manager", required=True, type=int, metavar="N", help="the new manager's number")
    learn.add_argument("--reader", metavar="ID", help="the learning reader")
    learn.add_argument("--countdown", type=int, default=90, metavar="S", help="time to walk there: 10 to 600 s")
    learn.add_argument("--adopt", action="store_true", help="a factory-new controller's first manager, without a key")
    learn.add_argument("--handover", type=a_path, metavar="FILE", help="bring this hand-over first")
    learn.add_argument("--time", metavar="TIME", help="set the controller's date and time first: 2026-11-23T07:58")
    learn.add_argument("--password-file", type=a_path, metavar="FILE", help="its first line; else it is asked for")
    learn.add_argument("--json", action="store_true", help="one JSON object a line, for each step")
    learn.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.adopt == (options.reader is not None):
        raise CommandError("give --reader ID, or --adopt for a first manager without a key", os.EX_USAGE)
    set_to_ms = parse_time(options.time) if options.time else None
    desk = _Desk(Path(load(options.config).api), options.json)
    epoch = desk.ask("commission-view")["epoch"]
    if options.handover is not None:
        content = base64.b64encode(_handover(options.handover)).decode()
        desk.must("commission-deposit", handover=content)
        desk.tell("deposited", f"{options.handover}: the hand-over waits in the controller")
    desk.session = desk.must("commission-login", password=_password(options.password_file))["session"]
    try:
        if set_to_ms is not None:
            desk.must("commission-time", session=desk.session, utc_ms=set_to_ms)
        if options.adopt:
            desk.must("commission-adopt", session=desk.session, manager=options.manager)
            _adopted(desk, epoch)
        else:
            asked = {"manager": options.manager, "reader": options.reader, "countdown_s": options.countdown}
            desk.must("commission-arm", session=desk.session, **asked)
            _follow(desk, epoch)
    except KeyboardInterrupt:
        desk.refused(desk.ask("commission-cancel", session=desk.session))
        desk.tell("cancelled", "given up; everything stays as it was")
        raise
    desk.tell("done", f"done: this controller obeys manager {options.manager}; it starts again now")
    return os.EX_OK


class _Desk:
    """The agent that is asked, and what people or programs are told. `session`: of the password."""

    def __init__(self, api: Path, is_json: bool) -> None:
        self._api, self._is_json = api, is_json
        self.session = ""

    def ask(self, op: str, **arguments: object) -> dict[str, Any]:
        """ApiError."""
        return call(self._api, op, 30.0, **arguments)

    def must(self, op: str, **arguments: object) -> dict[str, Any]:
        """CommandError with what was refused and how to go on."""
        answer = self.ask(op, **arguments)
        if answer["reason"]:
            raise self.refused(answer)
        return answer

    def refused(self, answer: dict[str, Any]) -> CommandError:
        """An answer's reason as an error; told to programs here."""
        if self._is_json and answer["reason"]:
            print(json.dumps({"state": "failed", **{key: answer[key] for key in ("reason", "what", "way_on")}}))
        code = _CODES.get(answer["reason"], os.EX_TEMPFAIL)
        return CommandError(f"{answer['what']} {answer['way_on']}", code)

    def tell(self, state: str, said: str, **more: object) -> None:
        """A step; at once, whoever reads it."""
        print(json.dumps({"state": state, **more}) if self._is_json else said, flush=True)


def _follow(desk: _Desk, epoch: int) -> None:
    """Say what happens until another manager is bound. CommandError with the reason where none is."""
    told: tuple[str, int] = ("", 0)
    away_s: float | None = None
    while True:
        try:
            view = desk.ask("commission-view", session=desk.session)
            away_s = None
        except ApiError:  # it ends where the new manager was stored, and comes back
            away_s = away_s or time.monotonic()
            if time.monotonic() - away_s > BACK_S:
                raise
            time.sleep(LOOK_S)
            continue
        if view["epoch"] != epoch:
            return
        if view["state"] not in _BUSY and view["reason"]:
            raise desk.refused(view)
        left_s = -(-view["left_ms"] // 1000)
        now = view["state"], -(-left_s // SAID_EVERY_S)
        if now != told and view["state"] in _BUSY:
            desk.tell(view["state"], _said(view, left_s), reader=view["reader"], left_s=left_s)
        told = now
        time.sleep(LOOK_S)


def _adopted(desk: _Desk, epoch: int) -> None:
    """Wait until the first manager is stored."""
    end_s = time.monotonic() + STORED_S
    while desk.ask("commission-view")["epoch"] == epoch:
        if time.monotonic() > end_s:
            raise CommandError("the new manager could not be stored; check the disk and begin again", os.EX_IOERR)
        time.sleep(LOOK_S)


def _said(view: dict[str, Any], left_s: int) -> str:
    reader = view["reader"]
    return {
        "armed": f"countdown {left_s} s: walk to {reader}, which blinks red and green",
        "presenting": f"present the key: {reader} blinks fast in red; hold it for two seconds ({left_s} s left)",
        "holding": "the key is seen: take it away after two seconds",
        "binding": "the new manager is being stored",
    }[view["state"]]


def _handover(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: cannot be read ({error.strerror})", os.EX_NOINPUT) from None
    if len(content) > MOST_HANDOVER:
        raise CommandError(f"{path}: {len(content)} bytes is no hand-over", os.EX_DATAERR)
    return content


def _password(path: Path | None) -> str:
    if path is not None:
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise CommandError(f"{path}: others may read it; run: chmod 600 {path}", os.EX_NOPERM)
            return path.read_text("ascii").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path}: cannot be read ({error})", os.EX_NOINPUT) from None
    if not sys.stdin.isatty():
        raise CommandError("the controller's password is needed: give --password-file", os.EX_USAGE)
    return getpass.getpass("controller's password: ").strip()
