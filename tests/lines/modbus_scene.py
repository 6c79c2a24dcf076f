"""A relay board in software and the agent's end of it, in a loop of their own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from edge.decision.model import HOLD
from edge.lines.modbus import ModbusOutput
from edge.lines.modbus_relays import ModbusBoard
from firmware_sim.modbus_board import ModbusRelayBoard

FRONT = ("front", "door")
BACK = ("back", "door")


class Scene:
    """`board`: the relays; `lines`: the agent's end; what it said, and the connections it told of."""

    def __init__(self, board: ModbusRelayBoard, unit: int, outputs: dict[tuple[str, str], ModbusOutput]) -> None:
        self.board = board
        self.troubles: list[str] = []
        self.connected: list[bool] = []
        self.broken: list[str] = []  # what the loop was told of: a callback that raised
        self.on_connected: Callable[[bool], None] = lambda is_connected: None
        self.lines = ModbusBoard(str(board.path), 9600, unit, outputs, self.troubles.append, self._hear)
        self.task: asyncio.Task[None] | None = None

    def _hear(self, is_connected: bool) -> None:
        self.connected.append(is_connected)
        self.on_connected(is_connected)

    def run(self) -> None:
        self.lines.claim()
        self.task = asyncio.create_task(self.lines.run())

    async def end(self) -> None:
        """As the agent ends."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        self.task = None

    async def connect(self) -> None:
        self.run()
        await self.until(lambda: self.lines.is_connected, "the connection")

    async def unlock_both(self) -> None:
        """The front door held, the back door in a pulse of a minute."""
        self.lines.strike(*FRONT, HOLD)
        self.lines.strike(*BACK, 60_000)
        await self.moved(0, True)
        await self.moved(3, True)

    async def until(self, holds: Callable[[], bool], what: str, deadline_s: float = 20.0) -> None:
        """Wait for a condition."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + deadline_s
        while not holds():
            assert loop.time() < end_s, f"{what} did not come; {self.lines.status()}"
            assert self.task is None or not self.task.done(), f"the task ended: {self.task}"
            await asyncio.sleep(0.002)

    async def moved(self, coil: int, is_energised: bool) -> None:
        await self.until(lambda: self.board.relays[coil] is is_energised, f"relay {coil} {is_energised}")


@contextlib.asynccontextmanager
async def scene(
    folder: Path,
    *,
    unit: int = 1,
    asked: int | None = None,
    timer: str = "none",
    has_timer: str | None = None,
    fail_safe: bool = False,
    coils: tuple[int, int] = (0, 3),
) -> AsyncIterator[Scene]:
    """asked: the address that the agent believes in; has_timer: the timer that the board has; else as configured."""
    board = ModbusRelayBoard(folder / f"relays{unit}", unit, 8, timer if has_timer is None else has_timer)
    outputs = {key: ModbusOutput(coil, fail_safe, timer) for key, coil in zip((FRONT, BACK), coils, strict=True)}
    it = Scene(board, unit if asked is None else asked, outputs)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: it.broken.append(repr(context)))
    await board.start()
    try:
        yield it
    finally:
        await it.end()
        await board.stop()
    assert it.broken == []
