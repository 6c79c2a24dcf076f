"""`vantail doctor`: looks at everything that a controller needs and says what to do about what is missing."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from edge import keyring
from edge.clock import ntp_synchronised
from edge.config import Config, ConfigError, ModbusBoard, load
from edge.console.api import ApiError, call
from edge.inspection.line_sight import asked_lines, looked_at
from edge.inspection.line_table import LineSeen, paste
from edge.lines.modbus import ModbusError, ModbusLine
from edge.lines.released import released_outputs, resting_trouble
from edge.reader.osdp.scan import Progress
from edge.uplink.mqtt import BrokerError, parse_broker
from edge.uplink.signing import KeyFileError
from edge.wiring import Gpio

LITTLE_SPACE = 64 * 1024 * 1024  # 100,000 unsent events and a large policy fit


class Check(NamedTuple):
    """One thing that was looked at."""

    subject: str
    ok: bool
    found: str
    advice: str = ""


class Examination(NamedTuple):
    """`checks`: everything; those of the subjects "serial" and "reader" say of `lines` what is drawn there too.
    `boards`: the relay boards, as ModbusBoard.status() has them; [] without an agent."""

    checks: list[Check]
    lines: list[LineSeen]
    boards: list[dict[str, Any]]


async def examine(path: Path, progress: Callable[[str, Progress], None] | None = None) -> Examination:
    """Every check, in the order in which an installer would go about them. `progress(port, how far)` of a search for
    readers on a line."""
    try:
        config = load(path)
    except ConfigError as error:
        advice = "correct the file; docs/configuration.md explains each key"
        return Examination([Check("config", False, str(error), advice)], [], [])
    checks = [Check("config", True, f"{path}: controller {config.controller}"), _keys(config), _data(config)]
    status = await asyncio.to_thread(_running, config)
    checks.append(_agent(config, status))
    if status is not None:
        lines = await asyncio.to_thread(asked_lines, config, status)
    else:
        lines = list(await asyncio.gather(*(looked_at(bus, config, progress) for bus in config.bus)))
    checks += [check for line in lines for check in _line(line, status is not None)]
    boards = (status or {}).get("modbus") or []
    checks += [_relay_board(board) for board in boards]
    checks += [] if status else [await _silent_board(board) for board in config.modbus]
    checks += [_timer(board) for board in config.modbus if board.timer == "none"]
    checks += _gpio(config)
    checks += [_clock(config), _disk(config), _privileges()]
    if config.uplink is not None:
        checks.append(await _broker(config.uplink.broker))
    return Examination(checks, lines, boards)


def _keys(config: Config) -> Check:
    try:
        keys = keyring.load(config)
    except KeyFileError as error:
        return Check("keys", False, str(error))
    if keys.is_new:
        return Check("keys", True, "no manager yet: nothing opens but by exit buttons", "bind one: vantail learn")
    return Check("keys", True, f"manager {keys.manager.manager}, site {keys.manager.site}, epoch {keys.manager.epoch}")


def _data(config: Config) -> Check:
    folder = Path(config.data)
    nearest = folder if folder.exists() else folder.parent
    if os.access(nearest, os.W_OK):
        return Check("data", True, f"{folder} can be written")
    return Check("data", False, f"{folder} cannot be written", "give the folder to the agent's user")


def _running(config: Config) -> dict[str, Any] | None:
    try:
        return call(Path(config.api), "status", timeout_s=3.0)
    except ApiError:
        return None


def _agent(config: Config, status: dict[str, Any] | None) -> Check:
    if status is None:
        return Check("agent", True, f"none runs at {config.api}; the serial ports are looked at directly")
    return Check("agent", True, f"running, {status['software']}, up {status['uptime_s']} s")


def _line(line: LineSeen, is_served: bool) -> list[Check]:
    """The port, and each of its readers."""
    if line.trouble:
        return [Check("serial", False, line.trouble)]
    checks = [] if is_served else [Check("serial", True, f"{line.port} opens at {line.baud} baud")]
    for reader in line.readers:
        name = f"{reader.status['reader']} at address {reader.status['address']} of {line.port}"
        checks.append(Check("reader", reader.verdict.ok, f"{name}: {reader.verdict.found}", reader.verdict.advice))
    for one in line.strangers:
        checks.append(Check("reader", True, f"one at address {one.address} of {line.port}: unknown", paste(one)))
    return checks


def _relay_board(board: dict[str, Any]) -> Check:
    """A Modbus board that the agent serves."""
    name = f"{board['board']} (unit {board['unit']} on {board['port']} at {board['baud']} baud)"
    if not board["is_connected"]:
        said = board["last_error"] or "not connected yet"
        return Check("modbus", False, f"{name}: {said}", "" if board["last_error"] else "look again in a minute")
    relays = ", ".join(f"{one['coil']} {one['door']}/{one['output']}" for one in board["outputs"])
    counted = f"{board['unanswered']} unanswered, {board['refused']} refused, {board['corrected']} corrected"
    if board["fell_early"] or board["refused"]:
        return Check("modbus", False, f"{name}: relays {relays}; {counted}; {board['last_error']}")
    return Check("modbus", True, f"{name}: relays {relays}; {counted}")


async def _silent_board(board: ModbusBoard) -> Check:
    """A Modbus board that nobody serves: its relays are read, none is moved."""
    line = ModbusLine(board.port, board.baud, board.unit, lambda said: None, lambda: None)
    name = f"{board.id} (unit {board.unit} on {board.port} at {board.baud} baud)"
    try:
        line.claim()
        await line.open()
        while (energised := await line.read(1)) is None and not line.refused:
            pass  # until it counts as gone
    except ModbusError as error:
        return Check("modbus", False, f"{board.id}: {error}")
    finally:
        line.close()
    if energised is None:
        return Check(
            "modbus", False, f"{name}: answers, but does not tell its relays", "check that it is a relay board"
        )
    return Check("modbus", True, f"{name}: answers; relay 0 is {'energised' if energised[0] else 'at rest'}")


def _timer(board: ModbusBoard) -> Check:
    found = f"{board.id} has no pulse timer of its own: a strike would stay unlocked if the agent died during a pulse"
    advice = "take a board that has one and set timer to 'flash' or 'flash-coil' as its manual describes"
    return Check("modbus", False, found, advice)


def _gpio(config: Config) -> list[Check]:
    """What the relays do while nobody drives them: before the agent's start and after its end."""
    relays = Gpio(config, lambda happened: None).relays
    if not relays:
        return []
    released = released_outputs()
    checks = [Check("gpio", released.is_kept is False, released.found, released.advice)]
    for (door, output), relay in relays.items():
        trouble = resting_trouble(relay.line, relay.fail_safe)
        if trouble:
            checks.append(Check("gpio", False, f"{output} of door {door}: {trouble}"))
    return checks


def _clock(config: Config) -> Check:
    if config.clock.rtc:
        return Check("clock", True, "a battery-backed clock is declared")
    if ntp_synchronised():
        return Check("clock", True, "NTP keeps the time")
    advice = "start NTP (systemd-timesyncd), or set rtc = true under [clock] where a battery-backed clock is fitted"
    found = "nothing vouches for the time: scheduled and dated passes follow the site's rule"
    return Check("clock", False, found, advice)


def _disk(config: Config) -> Check:
    folder = Path(config.data)
    free = shutil.disk_usage(folder if folder.exists() else folder.parent if folder.parent.exists() else "/").free
    found = f"{free // (1024 * 1024)} MiB free"
    return Check("disk", free >= LITTLE_SPACE, found, "" if free >= LITTLE_SPACE else "free some space: events need it")


def _privileges() -> Check:
    if os.geteuid() == 0:
        return Check("user", True, "root: the service itself runs as its own user (packaging/vantail.service)")
    return Check("user", True, f"user {os.geteuid()}")


async def _broker(url: str) -> Check:
    try:
        broker = parse_broker(url)
    except BrokerError as error:
        return Check("broker", False, str(error))
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(broker.host, broker.port)
    except (OSError, TimeoutError) as error:
        advice = "check the address and the network; the doors work without it"
        return Check("broker", False, f"{url} does not answer ({str(error) or 'silence for 5 s'})", advice)
    writer.close()
    return Check("broker", True, f"{url} answers")
