"""A Modbus RTU relay board on its serial port, one request at a time: the only file that names pymodbus (3.11 or
later), and it imports it when a board is claimed, so only a controller that has one needs it. 8 data bits, no parity,
1 stop bit.

Relays are coils: function 05 writes one, 01 reads them (MODBUS Application Protocol V1.1b3, 6.5 and 6.1). Some boards
have a pulse timer of their own, by which a relay falls when the agent dies in a pulse. It is not in the standard;
TIMERS has the kinds that makers describe, relays counted from 0, times in tenths of a second:

- "flash": function 16 writes mode and time to registers 3 + 5 × relay; mode 4 energises for that time, mode 2 releases
  for it. LC Technology's LC-Modbus boards (sold as bestep too), and boards from others with commands like theirs.
- "flash-coil": function 05 writes the time, at most 0x7FFF, as the value of coil 0x0200 + relay, which energises for
  it; 0x0400 + relay releases for it. Waveshare's Modbus RTU Relay.
- "none": all others. A pulse is an energised coil and our own LOCK: should the agent die in it, the door stays open.
"""

import asyncio
import errno
import functools
import logging
import os
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.decision.model import HOLD, LOCK

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusSerialClient
    from pymodbus.pdu import ModbusPDU

ANSWER_S = 0.3  # 16 bytes at 9600 baud take 17 ms, and boards answer within some 50 more
MISSED = 3  # requests in a row without an answer: the board is gone
LONGEST_TENTHS = 0x7FFF
DONE, REFUSED, SILENT = range(3)  # what became of a request

_PORT_ADVICE = {
    errno.ENOENT: "does not exist: check `port` in the configuration, and that the adapter is plugged in",
    errno.EACCES: "may not be opened: add this user to the port's group (dialout) and start again",
    errno.EPERM: "may not be opened: add this user to the port's group (dialout) and start again",
    errno.EBUSY: "is in use: another program, a second agent, or another board's entry has it open",
}
_REFUSALS = {  # exception codes, MODBUS Application Protocol V1.1b3, 7
    1: "it does not know that function: set `timer` to what its manual describes, or to 'none'",
    2: "it has no such relay, or not that timer: relays count from 0; check the target and `timer`",
    3: "it does not take that value: check `timer` against its manual",
    4: "it says that it is broken: switch it off and on, then replace it",
}


class ModbusError(Exception):
    """A board that cannot be had or does not answer. One line: what was seen and what to do."""


class Timer(NamedTuple):
    """A board's own pulse timer. function: that starts it; address: of relay 0's; stride: to the next relay's.
    energise, release: of function 16 the modes, of 05 what is added to the address, for a pulse of either kind."""

    function: int
    address: int
    stride: int
    energise: int
    release: int


TIMERS: dict[str, Timer | None] = {
    "none": None,
    "flash": Timer(function=16, address=3, stride=5, energise=4, release=2),
    "flash-coil": Timer(function=5, address=0, stride=1, energise=0x0200, release=0x0400),
}


@dataclass(frozen=True, slots=True)
class ModbusOutput:
    """A relay. coil: from 0. fail_safe False: energised it unlocks; True: energised it locks. timer: of TIMERS."""

    coil: int
    fail_safe: bool = False
    timer: str = "none"


def coil_at(target: str) -> tuple[str, int]:
    """(board, coil) of "modbus:BOARD:COIL". ValueError for anything else."""
    kind, _, rest = target.partition(":")
    board, _, coil = rest.rpartition(":")
    if kind != "modbus" or not board or not (coil.isascii() and coil.isdecimal()) or int(coil) > 0xFF:
        raise ValueError(target)
    return board, int(coil)


class ModbusLine:
    """The board with address `unit` behind `port`. `say` gets what is wrong, a line for people; `on_changed` is called
    when the port came or went."""

    def __init__(
        self, port: str, baud: int, unit: int, say: Callable[[str], None], on_changed: Callable[[], None]
    ) -> None:
        self.port, self.baud, self.unit = port, baud, unit
        self.name = f"Modbus board {unit} on {port}"
        self._say = say
        self._on_changed = on_changed
        self._client: AsyncModbusSerialClient | None = None
        self._asking: asyncio.Future[Any] | None = None
        self._missed = 0
        self.unanswered = 0
        self.refused = 0
        self.wrong_answers = 0

    def claim(self) -> None:
        """ModbusError where pymodbus is not installed."""
        try:
            import pymodbus.client  # noqa: F401
        except ImportError:
            raise ModbusError(f"{self.name}: needs the package pymodbus; install vantail[pi]") from None
        logger = logging.getLogger("pymodbus")
        if not logger.handlers:  # else it tells stderr, in many lines, what `say` says in one
            logger.addHandler(logging.NullHandler())

    @property
    def is_open(self) -> bool:
        return self._client is not None and self._client.connected

    async def open(self) -> None:
        """Open the port, exclusively. ModbusError, with advice, if that fails."""
        from pymodbus.client import AsyncModbusSerialClient

        try:  # pymodbus does not say why it could not
            os.close(os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
        except OSError as error:
            said = _PORT_ADVICE.get(error.errno or 0, f"cannot be opened: {error.strerror}")
            raise ModbusError(f"{self.name}: its port {said}") from None
        self._missed = 0
        self._client = AsyncModbusSerialClient(
            self.port,
            baudrate=self.baud,
            timeout=ANSWER_S,
            retries=0,
            reconnect_delay=0,
            trace_connect=lambda is_open: self._on_changed(),
        )
        try:
            is_open = await self._client.connect()
        except (ValueError, termios.error) as error:  # the latter where it vanishes meanwhile
            raise ModbusError(f"{self.name}: its port cannot be set up: {error}") from None
        if not is_open:
            raise ModbusError(f"{self.name}: its port {_PORT_ADVICE[errno.EBUSY]}")
        await asyncio.sleep(0)  # pymodbus sets its reader up in the loop's next turn

    def close(self) -> None:
        """Give the port back."""
        client, self._client = self._client, None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        if client is not None:
            client.close()

    async def move(self, output: ModbusOutput, ms: int) -> int:
        """Have a relay unlock for `ms`, or model.LOCK or model.HOLD it: DONE, REFUSED or SILENT, within ANSWER_S.
        ModbusError when port or board are gone."""
        said, _ = await self._ask(_request(self.unit, output, ms), output.coil)
        return said

    async def read(self, count: int) -> list[bool] | None:
        """Whether relays 0 to `count` - 1 are energised; None, and counted, where that was not said. ModbusError."""
        from pymodbus.pdu.bit_message import ReadCoilsRequest

        said, answer = await self._ask(ReadCoilsRequest(address=0, count=count, dev_id=self.unit), 0)
        return answer.bits[:count] if said == DONE and len(answer.bits) >= count else None

    async def _ask(self, request: "ModbusPDU", coil: int) -> tuple[int, Any]:
        from pymodbus.exceptions import ModbusException

        if self._client is None or not self._client.connected:
            raise self.gone()
        if self._asking is not None:  # cancelled before its answer came: talking over that would garble both
            await asyncio.wait([self._asking])
        self._asking = asyncio.ensure_future(self._client.execute(False, request))
        try:
            answer = await asyncio.shield(self._asking)
        except ModbusException:
            return self._count_silence()
        if answer.function_code & 0x7F != request.function_code or not _is_answer(answer, request):
            self.wrong_answers += 1  # to an earlier request, late
            return self._count_silence()
        self._missed = 0
        if not answer.isError():
            return DONE, answer
        self.refused += 1
        code = answer.exception_code
        advice = _REFUSALS.get(code, "its manual says what that means")
        self._say(f"{self.name}: refuses a request for relay {coil} (exception {code}): {advice}")
        return REFUSED, None

    def _count_silence(self) -> tuple[int, Any]:
        self.unanswered += 1
        self._missed += 1
        if not self.is_open:
            raise self.gone()
        if self._missed >= MISSED:
            raise ModbusError(
                f"{self.name}: does not answer at {self.baud} baud: "
                "check its power, address and speed, and that A and B are not swapped"
            )
        return SILENT, None

    def gone(self) -> ModbusError:
        return ModbusError(f"{self.name}: its port is gone: check that the adapter is plugged in")


def _request(unit: int, output: ModbusOutput, ms: int) -> "ModbusPDU":
    """What makes a relay unlock for `ms`, LOCK or HOLD."""
    from pymodbus.pdu.bit_message import WriteSingleCoilRequest
    from pymodbus.pdu.register_message import WriteMultipleRegistersRequest

    timer = TIMERS[output.timer]
    if ms in (LOCK, HOLD) or timer is None:
        is_energised = (ms != LOCK) != output.fail_safe
        return WriteSingleCoilRequest(address=output.coil, bits=[is_energised], dev_id=unit)
    tenths = min(-(-ms // 100), LONGEST_TENTHS)
    kind = timer.release if output.fail_safe else timer.energise
    address = timer.address + timer.stride * output.coil
    if timer.function == 16:
        return WriteMultipleRegistersRequest(address=address, registers=[kind, tenths], dev_id=unit)
    return _flash_coil_request()(address + kind, tenths, unit)


@functools.cache
def _flash_coil_request() -> "Callable[[int, int, int], ModbusPDU]":
    """Function 05 with a value that the standard does not have."""
    from pymodbus.pdu.bit_message import WriteSingleCoilRequest

    class FlashCoilRequest(WriteSingleCoilRequest):
        def __init__(self, address: int, tenths: int, unit: int) -> None:
            super().__init__(address=address, bits=[True], dev_id=unit)
            self.tenths = tenths

        def encode(self) -> bytes:
            return struct.pack(">HH", self.address, self.tenths)

    return FlashCoilRequest


def _is_answer(answer: "ModbusPDU", request: "ModbusPDU") -> bool:
    """Whether it echoes what was asked: RTU frames carry no number."""
    if answer.isError() or request.function_code == 1:
        return True
    return answer.address == request.address and answer.bits[:1] == request.bits[:1]
