"""A Modbus RTU relay board in software: pymodbus's own server behind a pty, and the relays.

Between the controller's pty and the server's there is the board's receiver: a frame ends with silence, and a frame for
another unit is not heard (pymodbus's server would answer it, with exception 04). It also breaks things on demand.
The pulse timers are those of edge.lines.modbus, made here from the makers' descriptions, once more.
"""

import asyncio
import logging
import os
import struct
import time
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

KEPT = 10_000  # entries of each history
SILENCE_S = 0.002  # 3.5 character times (MODBUS over Serial Line V1.02, 2.5.1.1), about
READ_BYTES = 4096
COIL_REGISTERS = 0x60  # of 16 coils each: up to coil 0x05FF
HOLDING_REGISTERS = 0x80
FLASH_ON, FLASH_OFF = 4, 2


logging.getLogger("pymodbus").addHandler(logging.NullHandler())  # else it writes to stderr


class RelayMoved(NamedTuple):
    """cause: "coil", "timer" or "power"."""

    at_ns: int
    coil: int
    is_energised: bool
    cause: str


class _Pty:
    """A pty of which we hold the master, and the slave too: else the master reads EIO while nobody has it open."""

    def __init__(self, on_bytes: Callable[[bytes], None]) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.name = os.ttyname(self.slave)
        self._on_bytes = on_bytes
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        try:
            self._on_bytes(os.read(self.master, READ_BYTES))
        except BlockingIOError:
            pass

    def write(self, data: bytes) -> None:
        try:
            os.write(self.master, data)
        except BlockingIOError:  # nobody reads: a wire would not keep it either
            pass

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)


class ModbusRelayBoard:
    """A board with address `unit` and `relays` relays, reachable for a controller under `path` once started.

    timer: "none", "flash" or "flash-coil". Faults: the next `deaf` requests are not heard, the next `mute` answers
    not given, the next `corrupt` ones damaged; `noise` before each answer, `slow_s`, `answers_as` another unit.
    `on_moved` gets every RelayMoved."""

    def __init__(
        self,
        path: str | Path,
        unit: int = 1,
        relays: int = 8,
        timer: str = "none",
        on_moved: Callable[[RelayMoved], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.unit = unit
        self.relays = [False] * relays
        self.timer = timer
        self.on_moved = on_moved
        self.history: deque[RelayMoved] = deque(maxlen=KEPT)
        self.heard: deque[bytes] = deque(maxlen=KEPT)  # frames for this unit
        self.unheard = 0  # frames for other units
        self.deaf = self.mute = self.corrupt = 0
        self.noise = b""
        self.slow_s = 0.0
        self.answers_as: int | None = None
        self.is_stuck = False  # relays confirm and do not move
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._frame = b""
        self._silence: asyncio.TimerHandle | None = None
        self._line: _Pty | None = None
        self._inner: _Pty | None = None
        self._server: ModbusSerialServer | None = None

    async def start(self) -> None:
        """Switch it on and plug it in."""
        self._inner = _Pty(self._answer)
        board = SimDevice(
            id=self.unit,
            simdata=(
                [SimData(0, count=COIL_REGISTERS, datatype=DataType.BITS)],
                [SimData(0, datatype=DataType.BITS)],
                [SimData(0, count=HOLDING_REGISTERS, datatype=DataType.REGISTERS)],
                [SimData(0, datatype=DataType.REGISTERS)],
            ),
            action=self._access,
        )
        self._server = ModbusSerialServer(board, port=self._inner.name, custom_pdu=[_coil_write(self)])
        await self._server.serve_forever(background=True)
        await asyncio.sleep(0)  # its reader is set up in the loop's next turns
        await asyncio.sleep(0)
        self.plug()

    async def stop(self) -> None:
        """Take all away."""
        self.unplug()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._server is not None and self._inner is not None:
            await self._server.shutdown()
            self._inner.close()
        self._server = self._inner = None

    def plug(self) -> None:
        """Plug the adapter in: the port is there. Its name is new, so it is published as a symlink."""
        self._line = _Pty(self._hear)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._line.name)
        os.replace(fresh, self.path)

    def unplug(self) -> None:
        """Pull the adapter: the port vanishes, and whoever has it open reads an error. The relays stay."""
        if self._silence is not None:
            self._silence.cancel()
        if self._line is not None:
            self.path.unlink(missing_ok=True)
            self._line.close()
        self._line = None

    def lose_power(self) -> None:
        """For a moment: every relay falls, every timer is forgotten."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for coil in range(len(self.relays)):
            self._move(coil, False, "power")

    def shout(self, data: bytes) -> None:
        """Put bytes on the line that nobody asked for."""
        if self._line is not None:
            self._line.write(data)

    # --- the line -------------------------------------------------------------------------------------------

    def _hear(self, data: bytes) -> None:
        self._frame += data
        if self._silence is not None:
            self._silence.cancel()
        self._silence = asyncio.get_running_loop().call_later(SILENCE_S, self._frame_over)

    def _frame_over(self) -> None:
        frame, self._frame = self._frame, b""
        if frame[0] != self.unit or self._inner is None:
            self.unheard += 1
            return
        if self.deaf > 0:
            self.deaf -= 1
            return
        self.heard.append(frame)
        self._inner.write(frame)

    def _answer(self, data: bytes) -> None:
        if self.mute > 0:
            self.mute -= 1
            return
        if self.corrupt > 0:
            self.corrupt -= 1
            data = data[:-1] + bytes([data[-1] ^ 0x55])
        if self.answers_as is not None:
            data = _with_check(bytes([self.answers_as]) + data[1:-2])
        asyncio.get_running_loop().call_later(self.slow_s, self.shout, self.noise + data)

    # --- the relays -----------------------------------------------------------------------------------------

    async def _access(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: list[Any] | None
    ) -> ExcCodes | None:
        """pymodbus asks before it reads or writes what it stores."""
        if values is not None and function in (5, 15):
            if address + len(values) > len(self.relays):
                return ExcCodes.ILLEGAL_ADDRESS
            for at, value in enumerate(values):
                self._move(address + at, bool(value), "coil")
        if values is not None and function in (6, 16):
            coil, rest = divmod(address - 3, 5)
            if self.timer != "flash" or rest or not 0 <= coil < len(self.relays) or len(values) != 2:
                return ExcCodes.ILLEGAL_ADDRESS
            if values[0] not in (FLASH_ON, FLASH_OFF):
                return ExcCodes.ILLEGAL_VALUE
            self.flash(coil, values[0] == FLASH_ON, values[1])
        if function in (1, 5, 15):
            bits = sum(is_energised << coil for coil, is_energised in enumerate(self.relays))
            for at in range(-(-len(self.relays) // 16)):
                registers[at] = bits >> (16 * at) & 0xFFFF
        return None

    def flash(self, coil: int, is_energised: bool, tenths: int) -> None:
        """Move a relay, and back by itself. A later coil write does not stop the timer: no manual says that it does."""
        if coil in self._timers:
            self._timers.pop(coil).cancel()
        self._move(coil, is_energised, "coil")
        self._timers[coil] = asyncio.get_running_loop().call_later(tenths / 10, self._flash_over, coil, is_energised)

    def _flash_over(self, coil: int, was_energised: bool) -> None:
        self._timers.pop(coil, None)
        self._move(coil, not was_energised, "timer")

    def _move(self, coil: int, is_energised: bool, cause: str) -> None:
        if self.relays[coil] == is_energised or self.is_stuck:
            return
        self.relays[coil] = is_energised
        moved = RelayMoved(time.perf_counter_ns(), coil, is_energised, cause)
        self.history.append(moved)
        if self.on_moved is not None:
            self.on_moved(moved)


def _coil_write(board: ModbusRelayBoard) -> type[ModbusPDU]:
    """Function 05 as "flash-coil" boards take it: at 0x0200 and 0x0400 the value is a time."""

    class CoilWrite(WriteSingleCoilRequest):
        value = 0

        def decode(self, data: bytes) -> None:
            super().decode(data)
            self.value = struct.unpack(">H", data[2:4])[0]

        def encode(self) -> bytes:
            return struct.pack(">HH", self.address, self.value)

        async def datastore_update(self, context: Any, device_id: int) -> ModbusPDU:
            coil = self.address & 0xFF
            if self.address < 0x200:
                if self.value not in (0, 0xFF00):
                    return ExceptionResponse(5, ExcCodes.ILLEGAL_VALUE)
                return await super().datastore_update(context, device_id)
            if board.timer != "flash-coil" or self.address - coil not in (0x200, 0x400) or coil >= len(board.relays):
                return ExceptionResponse(5, ExcCodes.ILLEGAL_ADDRESS)
            if not 1 <= self.value <= 0x7FFF:
                return ExceptionResponse(5, ExcCodes.ILLEGAL_VALUE)
            board.flash(coil, self.address < 0x400, self.value)
            return self

    return CoilWrite


def _with_check(frame: bytes) -> bytes:
    """A frame and its CRC (MODBUS over Serial Line V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return frame + struct.pack("<H", crc)
