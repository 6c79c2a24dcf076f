"""The `vantail` command. Errors are one line on stderr; exit codes are those of sysexits.h."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from edge import __version__
from edge.config import ConfigError, load
from edge.console.api import ApiError, call
from edge.failures import CommandError

DEFAULT_CONFIG = "/etc/vantail/agent.toml"
EXAMPLES = """examples:
  vantail keygen --keys /etc/vantail/keys
  vantail doctor --config /etc/vantail/agent.toml
  vantail run --config /etc/vantail/agent.toml
  vantail status --json
  vantail events --result denied --limit 20
  vantail events --follow
  vantail explain --door hall-a --medium badge --value 1111100008
  vantail replay --building examples/clos-des-dunes --day examples/clos-des-dunes/day.csv
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except CommandError as error:
        print(f"vantail: {error}", file=sys.stderr)
        return error.code
    except ConfigError as error:
        print(f"vantail: {error}", file=sys.stderr)
        return os.EX_CONFIG
    except ApiError as error:
        print(f"vantail: {error}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("VANTAIL_TRACEBACK"):
            raise
        what = f"unexpected {type(error).__name__}: {error}; set VANTAIL_TRACEBACK=1 to see where"
        print("vantail: " + what.replace("\n", " "), file=sys.stderr)
        return os.EX_SOFTWARE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and the exit code that scripts expect."""
        raise CommandError(f"{message}; see {self.prog} --help", os.EX_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vantail",
        description="The agent beside a building's door.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vantail {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="be the controller, until stopped")
    _takes_config(run)
    run.set_defaults(run=_run)
    status = commands.add_parser("status", help="how the running agent is")
    _takes_config(status)
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.set_defaults(run=_status)
    events = commands.add_parser("events", help="what was recorded")
    _takes_config(events)
    _takes_filters(events)
    events.set_defaults(run=_events)
    doctor = commands.add_parser("doctor", help="check configuration, keys, serial ports, clock, disk and broker")
    _takes_config(doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor.set_defaults(run=_doctor)
    explain = commands.add_parser("explain", help="why a credential opens a door or does not, and when it would")
    _takes_config(explain)
    explain.add_argument("--building", type=Path, metavar="DIR", help="ask a residence's files, not the agent")
    explain.add_argument("--door", required=True, metavar="DOOR")
    explain.add_argument("--medium", required=True, choices=("badge", "remote", "code", "phone", "mobile"))
    explain.add_argument("--value", required=True, metavar="VALUE", help="the number, or a code's digits")
    explain.add_argument("--button", type=int, default=1, choices=(1, 2, 3, 4), help="of a remote (default 1)")
    explain.add_argument("--reader", default="", metavar="READER", help="default: the door's first for that medium")
    explain.add_argument("--at", metavar="TIME", help="default: now")
    explain.add_argument("--json", action="store_true", help="one JSON object")
    explain.set_defaults(run=_explain)
    replay = commands.add_parser("replay", help="play a day file through the decision core alone")
    replay.add_argument("--building", type=Path, required=True, metavar="DIR", help="a residence's folder")
    replay.add_argument("--day", type=Path, required=True, metavar="FILE", help="a day file")
    replay.add_argument("--json", action="store_true", help="one JSON object a line")
    replay.set_defaults(run=_replay)
    keygen = commands.add_parser("keygen", help="make this controller's own key, once")
    keygen.add_argument("--keys", required=True, type=Path, metavar="DIR", help="the keys folder")
    keygen.set_defaults(run=_keygen)
    return parser


def _takes_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=Path(DEFAULT_CONFIG), metavar="FILE", help="agent.toml")


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


def _run(options: argparse.Namespace) -> int:
    from edge.service import serve  # the agent's parts are not needed by the other commands

    return serve(options.config)


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
        f"clock      {_time(status['clock']['utc_ms'])} ({trusted})",
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
    when = f"{event['seq']:>7} {_time(event['at_ms'])}{trust}"
    return f"{when} {where:<16} {said:<28} {who}{output} {event['detail']}{late}".rstrip()


def parse_time(text: str) -> int:
    """UTC ms of an ISO time; without an offset it is this machine's local time."""
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise CommandError(f"'{text}' is no time; write 2026-11-23 or 2026-11-23T07:58", os.EX_USAGE) from None


def _credential_of(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise CommandError(f"'{text}' is no number; write the digits on the badge", os.EX_USAGE)
    return int(text.removeprefix("00")) if text.startswith("00") and len(text) > 10 else int(text)


def _time(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _doctor(options: argparse.Namespace) -> int:
    from edge.doctor import examine

    checks = asyncio.run(examine(options.config))
    if options.json:
        print(json.dumps({"ok": all(check.ok for check in checks), "checks": [check._asdict() for check in checks]}))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL'} {check.subject:<10} {check.found}")
            if check.advice:
                print(f"     {'':<10} → {check.advice}")
    return 0 if all(check.ok for check in checks) else os.EX_CONFIG


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


def _keygen(options: argparse.Namespace) -> int:
    from edge.uplink.signing import (
        KeyFileError,
        fingerprint,
        generate_key,
        public_bytes,
        write_private_key,
        write_public_key,
    )

    try:
        options.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = generate_key()
        write_private_key(options.keys / "device.key", key)
        write_public_key(options.keys / "device.pub", public_bytes(key))
    except (KeyFileError, OSError) as error:
        raise CommandError(str(error), os.EX_CANTCREAT) from None
    print(f"device fingerprint {fingerprint(public_bytes(key)).hex()}")
    print(f"next: vantail-cloud provision CONTROLLER --keys {options.keys}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
