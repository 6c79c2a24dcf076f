"""`vantail doctor`: looks at everything that a controller needs and says what to do about what is missing."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from edge import keyring
from edge.clock import ntp_synchronised
from edge.config import Config, ConfigError, load
from edge.console.api import ApiError, call
from edge.lines.released import released_outputs, resting_trouble
from edge.reader.serial_line import LineError, open_line
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


async def examine(path: Path) -> list[Check]:
    """Every check, in the order in which an installer would go about them."""
    try:
        config = load(path)
    except ConfigError as error:
        return [Check("config", False, str(error), "correct the file; docs/configuration.md explains each key")]
    checks = [Check("config", True, f"{path}: controller {config.controller}"), _keys(config), _data(config)]
    status = await asyncio.to_thread(_running, config)
    checks.append(_agent(config, status))
    checks += _readers(status) if status else [await _port(bus.port, bus.baud) for bus in config.bus]
    checks += _gpio(config)
    checks += [_clock(config), _disk(config), _privileges()]
    if config.uplink is not None:
        checks.append(await _broker(config.uplink.broker))
    return checks


def _keys(config: Config) -> Check:
    try:
        keys = keyring.load(config)
    except KeyFileError as error:
        return Check("keys", False, str(error))
    return Check("keys", True, f"manager {keys.manager.manager}, site {keys.manager.site}, epoch {keys.manager.epoch}")


def _data(config: Config) -> Check:
    folder = Path(config.data)
    nearest = folder if folder.exists() else folder.parent
    if os.access(nearest, os.W_OK):
        return Check("data", True, f"{folder} can be written")
    return Check("data", False, f"{folder} cannot be written", "give the folder to the agent's user")


def _running(config: Config) -> dict[str, object] | None:
    try:
        return call(Path(config.api), "status", timeout_s=3.0)
    except ApiError:
        return None


def _agent(config: Config, status: dict[str, object] | None) -> Check:
    if status is None:
        return Check("agent", True, f"none runs at {config.api}; the serial ports are looked at directly")
    return Check("agent", True, f"running, {status['software']}, up {status['uptime_s']} s")


def _readers(status: dict[str, object]) -> list[Check]:
    checks = []
    readers = status["readers"]
    assert isinstance(readers, list)
    for reader in readers:
        name = f"{reader['reader']} at address {reader['address']} of {reader['port']}"
        if reader["secure"]:
            found = f"{name}: secure, {reader['vendor']} firmware {reader['firmware']}"
            checks.append(Check("reader", True, found))
        elif reader["port_trouble"]:
            checks.append(Check("reader", False, f"{name}: {reader['port_trouble']}"))
        else:
            advice = "check its cable, address, baud and key"
            checks.append(Check("reader", False, f"{name}: {reader['state']}", advice))
    return checks


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


async def _port(port: str, baud: int) -> Check:
    try:
        line = await open_line(port, baud, lambda data: None, lambda detail: None)
    except LineError as error:
        return Check("serial", False, str(error))
    line.close()
    return Check("serial", True, f"{port} opens at {baud} baud")


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
