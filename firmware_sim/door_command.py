"""`vantail-sim door`: a page that draws the doors of a running agent, and the hardware at the other end of its lines.

It reads the agent's own configuration and takes the far end of every line: readers on its buses, the simulated board.
"""

import argparse
import asyncio
import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from edge import config as agent_config
from edge.reader.osdp.key_file import KeyPair, ReaderKeyError, read_keys
from edge.residence import values
from edge.residence.problems import first_error
from edge.residence.reading import read
from firmware_sim import door_wallet
from firmware_sim.door_bench import Bench
from firmware_sim.door_page import DoorPage
from firmware_sim.door_places import SIMULATED, DoorPlace, ReaderPlace, door_of_reader, of_residence
from firmware_sim.door_port import SerialPort
from firmware_sim.line_board import LineBoard
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine

DEFAULT_CONFIG = Path("/etc/vantail/agent.toml")
EXAMPLES = """examples:
  vantail-sim door --config agent.toml                            beside an agent on this machine
  vantail-sim door --config agent.toml --building examples/clos-des-dunes
                                                                  with people's names, remotes and telephones
  vantail-sim door --config agent.toml --port /dev/ttyUSB0        an RS-485 adapter to a real box; agent.toml is a
                                                                  copy of the box's, osdp.toml in its keys folder too
  vantail-sim door --config agent.toml --install-mode             readers that wait to be paired

by a script, with the address that it prints:
  curl ADDRESS/api/state
  curl -H 'content-type: application/json' -d '{"do": "unplug", "reader": "hall-a-in", "is_on": true}' ADDRESS/api/act
"""


class DoorError(Exception):
    """The doors cannot be shown; one line that says what was seen and what to do, and the exit code (sysexits.h)."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Stand(NamedTuple):
    """What `assemble` built: to be opened, shown and closed."""

    bench: Bench
    board: LineBoard | None
    lines: list[ReaderLine]
    wallet: door_wallet.Wallet
    title: str


def add(commands: Any) -> None:
    door = commands.add_parser(
        "door",
        help="a page with the doors of a running agent, and their hardware",
        description="Draws the doors of a running agent on a page, and is their hardware: readers on its serial lines, "
        "the simulated board. Doors, lines and addresses are read from the agent's own configuration.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    door.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help=f"default {DEFAULT_CONFIG}")
    door.add_argument("--building", type=Path, metavar="DIR", help="the residence's files: names, badges, telephones")
    door.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="DEVICE",
        help="the serial port at which the readers of a [[bus]] are; once for each bus, in their order. Without it a "
        "pseudo-terminal appears where agent.toml says that the bus is",
    )
    door.add_argument(
        "--install-mode",
        nargs="*",
        metavar="READER",
        help="readers without a key, which wait to be paired; without names all that osdp.toml has no key of",
    )
    door.add_argument("--page-port", type=int, default=0, metavar="PORT", help="the page's port (default: a free one)")
    door.add_argument("--json", action="store_true", help="the page's address as one JSON object")
    door.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Until Ctrl-C or SIGTERM. DoorError."""
    if not 0 <= options.page_port <= 65535:
        raise DoorError(f"--page-port {options.page_port}: give 1 to 65535", os.EX_USAGE)
    stand = assemble(options)
    page = DoorPage([stand.bench], stand.wallet, stand.title)
    try:
        await _open(stand)
        url = await page.start(port=options.page_port)
        print(json.dumps({"page": url}) if options.json else f"the doors of {stand.title}: {url}", flush=True)
        await asyncio.Event().wait()
    finally:
        await page.stop()
        for line in stand.lines:
            line.close()
        if stand.board is not None:
            await stand.board.stop()
    return 0


async def _open(stand: Stand) -> None:
    if stand.board is not None:
        if _is_served(stand.board.path):
            said = f"{stand.board.path}: another simulator serves this board; stop it first"
            raise DoorError(said, os.EX_UNAVAILABLE)
        try:
            await stand.board.start()
        except OSError as error:
            raise DoorError(f"{stand.board.path}: the board cannot be there ({error})", os.EX_OSERR) from None
    for line in stand.lines:
        try:
            line.open()
        except OSError as error:
            raise DoorError(f"{line.path}: {error.strerror or error}", os.EX_OSERR) from None


def _is_served(path: Path) -> bool:
    """Whether a process listens there. Not asked by connecting: the board would take that for its agent."""
    sockets = Path("/proc/net/unix")
    return sockets.exists() and any(line.endswith(f" {path}") for line in sockets.read_text().splitlines())


def assemble(options: argparse.Namespace) -> Stand:
    """The hardware that agent.toml asks for. DoorError."""
    try:
        config = agent_config.load(options.config)
    except agent_config.ConfigError as error:
        raise DoorError(str(error), os.EX_CONFIG) from None
    if not config.door:
        raise DoorError(f"{options.config}: there is no [[door]] to draw", os.EX_CONFIG)
    if len(options.port) > len(config.bus):
        raise DoorError(f"--port is given {len(options.port)} times for {len(config.bus)} lines", os.EX_USAGE)
    residence = _residence(options.building) if options.building is not None else None
    keys = _keys(config, options.install_mode)
    readers = {each.id: OsdpReader(each.id, each.address, keys[each.id]) for bus in config.bus for each in bus.readers}
    lines = [_line(bus, number, readers, options.port) for number, bus in enumerate(config.bus)]
    board = LineBoard(config.simulated.board) if config.simulated is not None else None
    api = Path(config.api) if not options.port or Path(config.api).exists() else None
    places = places_of(config, residence)
    wallet = door_wallet.of_residence(residence) if residence is not None else door_wallet.Wallet([])
    title = residence.name if residence is not None else config.controller
    return Stand(Bench(config.controller, places, board, readers, lines, api), board, lines, wallet, title)


def places_of(config: agent_config.Config, residence: values.Residence | None) -> list[DoorPlace]:
    """The doors: as the residence describes them, with the lines that agent.toml gives them; without a residence a
    reader of a bus is put at the door after which it is named. DoorError."""
    is_simulated = config.simulated is not None
    listed = {each.id for bus in config.bus for each in bus.readers}
    wired = {each.id for kind in (config.wiegand, config.radio, config.modem) for each in kind}
    contacts = frozenset(door.id for door in config.door if door.contact == SIMULATED)
    if residence is None:
        places = [
            DoorPlace(door.id, door.id, door.outputs, (), door.id in contacts, is_simulated) for door in config.door
        ]
    else:
        targets = {door.id: door.outputs for door in config.door}
        try:
            places = of_residence(residence, config.controller, targets, contacts)
        except KeyError:
            known = ", ".join(each.id for each in residence.controllers)
            raise DoorError(
                f"the residence has no controller {config.controller}; it has {known}", os.EX_DATAERR
            ) from None
    known_readers = {reader.id for place in places for reader in place.readers}
    at: dict[str, list[ReaderPlace]] = {
        place.id: [
            reader
            for reader in place.readers
            if (reader.id in listed if reader.kind == "osdp" else is_simulated and reader.id not in wired)
        ]
        for place in places
    }
    for name in sorted(listed - known_readers):
        at[door_of_reader(name, list(at))].append(ReaderPlace(name, "osdp", has_keypad=True))
    return [place.with_readers(tuple(at[place.id]), is_simulated) for place in places]


def _line(bus: agent_config.Bus, number: int, readers: dict[str, OsdpReader], ports: list[str]) -> ReaderLine:
    on_it = [readers[each.id] for each in bus.readers]
    if number < len(ports):
        return SerialPort(ports[number], on_it, bus.baud, _warn)
    path = Path(bus.port)
    if path.exists() and not path.is_symlink():
        said = f"{path}: is there already, as the agent's own port; give the port at its other end with --port"
        raise DoorError(said, os.EX_UNAVAILABLE)
    return ReaderLine(path, on_it, bus.baud)


def _warn(said: str) -> None:
    print(f"vantail-sim: {said}", file=sys.stderr, flush=True)


def _keys(config: agent_config.Config, install_mode: list[str] | None) -> dict[str, bytes | None]:
    """Reader → its key, None for one that waits to be paired."""
    wanted = [each.id for bus in config.bus for each in bus.readers]
    path = Path(config.keys) / "osdp.toml"
    try:
        found = read_keys(path) if wanted else {}
    except ReaderKeyError as error:
        raise DoorError(str(error), os.EX_NOPERM if "chmod" in str(error) else os.EX_CONFIG) from None
    unknown = sorted(set(install_mode or []) - set(wanted))
    if unknown:
        raise DoorError(f"--install-mode {unknown[0]}: no such reader; known are {', '.join(wanted)}", os.EX_USAGE)
    keys: dict[str, bytes | None] = {}
    for reader in wanted:
        pair = found.get(reader, KeyPair(None, None))
        keys[reader] = None if reader in (install_mode or []) else pair.scbk or pair.candidate
        if keys[reader] is None and install_mode is None:
            said = f"{path}: no key for reader {reader}; add it, or let the reader wait to be paired: --install-mode"
            raise DoorError(said, os.EX_NOINPUT)
    return keys


def _residence(folder: Path) -> values.Residence:
    if not folder.is_dir():
        raise DoorError(f"{folder}: no such folder; give a residence's with --building", os.EX_NOINPUT)
    residence, problems = read(folder, date.today())
    if residence is None:
        raise DoorError(first_error(folder, problems), os.EX_DATAERR)
    return residence
