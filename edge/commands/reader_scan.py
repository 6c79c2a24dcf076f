"""`vantail reader scan`: look for OSDP readers on a serial port."""

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.options import takes_config
from edge.failures import CommandError

if TYPE_CHECKING:
    from edge.reader.osdp.scan import Found

SCAN = """The port is needed alone: stop the agent first (sudo systemctl stop vantail). Every address is asked for its
name in the clear; no key is sent. Without options that is 127 addresses at six speeds: about 45 s.
"""


def add(actions: Any) -> None:
    """Into the parser of `vantail reader`."""
    scan = actions.add_parser(
        "scan",
        help="ask every address at every speed who is there (--json)",
        epilog=SCAN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(scan)
    scan.add_argument("port", metavar="PORT", help="the serial port: /dev/ttyAMA0, /dev/ttyUSB0")
    scan.add_argument("--baud", metavar="LIST", help="only these speeds: 9600,115200")
    scan.add_argument("--address", metavar="LIST", help="only these addresses: 0-15 or 0,3,7-9")
    scan.add_argument("--json", action="store_true", help="one JSON object")
    scan.set_defaults(run=_scan)


def _scan(options: argparse.Namespace) -> int:
    from edge.commands.scan_progress import ScanProgress
    from edge.reader.osdp.scan import ADDRESSES, BAUDS, scan
    from edge.reader.serial_line import LineError

    bauds = BAUDS if options.baud is None else _numbers(options.baud, "--baud", BAUDS)
    addresses = ADDRESSES if options.address is None else _numbers(options.address, "--address", ADDRESSES)
    garbled: list[tuple[int, int]] = []
    try:
        with ScanProgress() as progress:
            found = asyncio.run(
                scan(
                    options.port, bauds, addresses, lambda far: progress.tell(options.port, far), asks_for_key=True,
                    garbled=lambda baud, address: garbled.append((baud, address)),
                )
            )  # fmt: skip
    except LineError as error:
        raise CommandError(_why_not(error, options), os.EX_UNAVAILABLE) from None
    if options.json:
        print(json.dumps(_as_object(options.port, found, garbled)))
    else:
        print("\n".join(_shown(options.port, found, garbled)))
    return 0


def _why_not(error: Exception, options: argparse.Namespace) -> str:
    """A port that is in use may be the agent's: then that is what to say."""
    from edge.config import ConfigError, load
    from edge.console.api import ApiError, call

    if "in use" not in str(error):
        return str(error)
    try:
        readers = call(Path(load(options.config).api), "status", timeout_s=3.0)["readers"]
    except (ApiError, ConfigError):
        return f"{error}; if it is the agent: sudo systemctl stop vantail"
    if not any(os.path.realpath(reader["port"]) == os.path.realpath(options.port) for reader in readers):
        return str(error)
    said = f"port {options.port} is in use: the agent runs and serves it"
    return f"{said}; stop it first (sudo systemctl stop vantail) and start it again afterwards"


def _numbers(text: str, option: str, allowed: Sequence[int]) -> list[int]:
    """ "0-3,7" as numbers, each once, in order."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        try:
            numbers |= set(range(int(first), int(last or first) + 1))
        except ValueError:
            raise CommandError(f"{option} '{text}': write numbers like 0-15 or 0,3,7", os.EX_USAGE) from None
    wrong = sorted(numbers - set(allowed))
    if wrong or not numbers:
        known = "0 to 126" if option == "--address" else ", ".join(map(str, allowed))
        raise CommandError(f"{option} '{text}': possible are {known}", os.EX_USAGE)
    return sorted(numbers)


# --- what was found ---------------------------------------------------------------------------------------------------

_HEAD = ("baud", "address", "vendor", "model", "firmware", "serial", "secure channel", "")


def _shown(port: str, found: "Sequence[Found]", garbled: Sequence[tuple[int, int]]) -> list[str]:
    if not found and not garbled:
        advice = (
            "check the cable, that A and B are not swapped, the readers' 12 V supply, and that this is the right port"
        )
        return [f"{port}: nobody answers", f"  → {advice}"]
    lines = _table(found) if found else [f"{port}: nobody answers so that it can be read"]
    for baud, address in garbled:
        lines.append(f"something that cannot be read answers at {baud} baud, address {address}: two readers, or noise")
    speeds = sorted({one.baud for one in found})
    if len(speeds) > 1:
        lines.append("a line has one speed: give all its readers the same with their maker's tool")
    for speed in speeds:
        lines += [
            "",
            "for agent.toml (give each reader its id of the manager's site file):",
            *_toml(port, speed, found),
        ]
    return lines


def _table(found: "Sequence[Found]") -> list[str]:
    rows = [_HEAD, *(_cells(one) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cells(one: "Found") -> tuple[str, ...]:
    channel = {True: "yes", False: "no", None: "not said"}[one.has_secure_channel]
    remarks = ["waits in install mode"] if one.waits_for_key else []
    remarks += ["two readers answer at this address"] if one.answers_twice else []
    identity = (one.vendor, one.model, one.firmware, one.serial)
    return (str(one.baud), str(one.address), *identity, channel, "; ".join(remarks))


def _toml(port: str, baud: int, found: "Sequence[Found]") -> list[str]:
    from edge.inspection.line_table import stranger_name

    readers = [
        f'{{ id = "{stranger_name(one.address)}", address = {one.address} }}' for one in found if one.baud == baud
    ]
    return ["[[bus]]", f"port = {json.dumps(port)}", f"baud = {baud}", f"readers = [{', '.join(readers)}]"]


def _as_object(port: str, found: "Sequence[Found]", garbled: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return {
        "port": port,
        "found": [one._asdict() for one in found],
        "garbled": [{"baud": baud, "address": address} for baud, address in garbled],
        "agent_toml": ["\n".join(_toml(port, baud, found)) for baud in sorted({one.baud for one in found})],
    }
