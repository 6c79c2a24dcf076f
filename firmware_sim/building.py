"""A residence in hardware: for each controller its readers on serial lines, its line board, its configuration and
keys; nothing here knows a residence's names."""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.residence import values
from firmware_sim.line_board import LineBoard
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine

SOCKET_PATH_BYTES = 100  # sun_path holds 108


@dataclass
class Hardware:
    """One controller's simulated hardware and where its agent's files are."""

    controller: values.Controller
    folder: Path
    board: LineBoard
    lines: list[ReaderLine]
    readers: dict[str, OsdpReader] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def api(self) -> Path:
        return self.folder / "api"

    @property
    def control(self) -> Path:
        return self.folder / "ctl"

    async def open(self) -> None:
        """Power everything."""
        await self.board.start()
        for line in self.lines:
            line.open()

    async def close(self) -> None:
        for line in self.lines:
            line.close()
        await self.board.stop()


def build(
    residence: values.Residence, folder: Path, broker_port: int, with_contact: Callable[[str], bool]
) -> list[Hardware]:
    """Write each controller's configuration and keys under `folder` and make its hardware. `with_contact(door)`:
    a door position switch is wired there. `broker_port` 0: they live by files."""
    return [
        _controller(controller, folder / controller.id, broker_port, with_contact)
        for controller in residence.controllers
    ]


def _controller(
    controller: values.Controller, folder: Path, broker_port: int, with_contact: Callable[[str], bool]
) -> Hardware:
    keys = folder / "keys"
    keys.mkdir(parents=True, mode=0o700)
    hardware = Hardware(controller, folder, LineBoard(folder / "board"), [])
    too_long = len(os.fsencode(folder / "board")) > SOCKET_PATH_BYTES
    if too_long:
        raise OSError(f"{folder}: the path is too long for a Unix socket; give a shorter one with --dir")
    buses: dict[int, list[values.Reader]] = {}
    for door in controller.doors:
        for reader in door.readers:
            if reader.kind == "osdp":
                buses.setdefault(reader.baud or 9600, []).append(reader)
    scbks: dict[str, bytes] = {}
    for number, (baud, readers) in enumerate(sorted(buses.items())):
        keyed = {reader.id: secrets.token_bytes(16) for reader in readers}
        made = [OsdpReader(reader.id, reader.address or 0, keyed[reader.id]) for reader in readers]
        scbks.update(keyed)
        hardware.readers.update({reader.reader: reader for reader in made})
        hardware.lines.append(ReaderLine(folder / f"bus{number}", made, baud=baud))
    _write(folder / "agent.toml", _config(controller, broker_port, with_contact, sorted(buses.items())), 0o644)
    _write(keys / "osdp.toml", [f'{name} = "{scbk.hex()}"' for name, scbk in scbks.items()], 0o600)
    return hardware


def _config(
    controller: values.Controller,
    broker_port: int,
    with_contact: Callable[[str], bool],
    buses: Sequence[tuple[int, list[values.Reader]]],
) -> list[str]:
    lines = [
        f'controller = "{controller.id}"',
        'data = "data"',
        'keys = "keys"',
        'api = "api"',
        *(["", "[uplink]", f'broker = "mqtt://127.0.0.1:{broker_port}"'] if broker_port else []),
        "",
        "[simulated]",
        'board = "board"',
    ]
    for number, (baud, readers) in enumerate(buses):
        listed = ", ".join(f'{{ id = "{reader.id}", address = {reader.address or 0} }}' for reader in readers)
        lines += ["", "[[bus]]", f'port = "bus{number}"', f"baud = {baud}", f"readers = [{listed}]"]
    for door in controller.doors:
        outputs = ", ".join(f'{output} = "simulated"' for output in door.outputs)
        lines += ["", "[[door]]", f'id = "{door.id}"', f"outputs = {{ {outputs} }}", f"unlock_ms = {door.unlock_ms}"]
        if with_contact(door.id):
            lines.append('contact = "simulated"')
    return lines


def _write(path: Path, lines: Sequence[str], mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write("\n".join(lines) + "\n")
