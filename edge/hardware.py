"""Everything that is wired to one controller: OSDP lines, GPIO, modems, relay boards, the simulated board."""

import asyncio
from collections.abc import Callable
from typing import Any

from edge.config import Config
from edge.keyring import Keyring
from edge.lines.gpio import RequestLines
from edge.lines.modbus import ModbusOutput, coil_at
from edge.lines.modbus_relays import ModbusBoard
from edge.lines.simulated import SimulatedBoard
from edge.reader.inputs import ReaderNews
from edge.reader.modem_line import Modem
from edge.reader.osdp.bus import Bus, BusReader
from edge.wiring import Gpio, is_modbus

Deliver = Callable[[object], None]


class Hardware:
    """Build it in a running loop, `claim`, run every `tasks()`, and `release` at the end.

    deliver: gets what readers report and lines feel. tell: gets ReaderNews, of pairing and the readers' own inputs.
    trouble(board, line for people): a relay board does not do what it should. back(is_connected): a board that had
    dropped everything is there again, or went. request_lines: a double of gpiod's, where there is no GPIO."""

    def __init__(
        self,
        config: Config,
        keys: Keyring,
        deliver: Deliver,
        tell: Callable[[ReaderNews], None],
        trouble: Callable[[str, str], None],
        back: Callable[[bool], None],
        request_lines: RequestLines | None = None,
    ) -> None:
        self.buses = [
            Bus(
                bus.port,
                bus.baud,
                [BusReader(reader.id, reader.address, *keys.keys_of(reader.id)) for reader in bus.readers],
                deliver,
                tell=tell,
            )
            for bus in config.bus
        ]
        self.bus_of = {reader.id: self.buses[at] for at, bus in enumerate(config.bus) for reader in bus.readers}
        self.gpio = Gpio(config, deliver, request_lines)
        self.modems = {
            modem.id: Modem(
                modem.id, modem.port, modem.baud, keys.modem_pins.get(modem.id), modem.country_code, deliver
            )
            for modem in config.modem
        }
        self.relay_boards = {
            board.id: ModbusBoard(
                board.port,
                board.baud,
                board.unit,
                _outputs_of(config, board.id, board.timer),
                _about(board.id, trouble),
                back,
            )
            for board in config.modbus
        }
        self.simulated = SimulatedBoard(config.simulated.board, deliver, back) if config.simulated else None

    def claim(self) -> None:
        """Take what can be taken at once: first what moves, locked. lines.gpio.GpioError, lines.modbus.ModbusError."""
        self.gpio.claim_outputs()
        for board in self.relay_boards.values():
            board.claim()
        self.gpio.claim_inputs()

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Serve every line until the group ends."""
        for bus in self.buses:
            tasks.create_task(bus.run())
        for modem in self.modems.values():
            tasks.create_task(modem.run())
        for board in self.relay_boards.values():
            tasks.create_task(board.run())
        if self.simulated is not None:
            tasks.create_task(self.simulated.run())

    @property
    def locks_slowly(self) -> bool:
        """Whether a lock is a message that needs its turn on a line."""
        return bool(self.buses or self.relay_boards)

    def release(self) -> None:
        """Lock what can be locked at once and give every line back."""
        self.gpio.release()

    def status(self) -> dict[str, Any]:
        """For people: plain values."""
        return {
            "readers": [line for bus in self.buses for line in bus.status()],
            "modems": [modem.status() for modem in self.modems.values()],
            "gpio": self.gpio.status(),
            "modbus": [{"board": name, **board.status()} for name, board in self.relay_boards.items()],
            "board": self.simulated.status() if self.simulated is not None else None,
        }


def _outputs_of(config: Config, board: str, timer: str) -> dict[tuple[str, str], ModbusOutput]:
    return {
        (door.id, output): ModbusOutput(coil_at(target)[1], door.fail == "safe", timer)
        for door in config.door
        for output, target in door.outputs.items()
        if is_modbus(target) and coil_at(target)[0] == board
    }


def _about(board: str, trouble: Callable[[str, str], None]) -> Callable[[str], None]:
    return lambda said: trouble(board, said)
