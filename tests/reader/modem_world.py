"""Both ends of a modem's line and, where asked for, the decision core, on one clock that only moves when told.

Bytes really travel over a pty; time moves on only when none is on its way, so nothing here depends on how busy
the machine is.
"""

import asyncio
import hashlib
import time
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from edge.decision import model, policy, rows
from edge.decision.controller import Controller
from edge.decision.index import Index
from edge.reader.inputs import LineDown, LineUp
from edge.reader.modem_line import Modem, Ringing
from firmware_sim.gsm_modem import GsmModem

START_MS = 1_000_000
UTC_MS = 1_795_000_000_000
READER, DOOR = "hall-a-gsm", "hall-a"
CALLER = 33612000001
MAKERS = ("sim800", "sim7600", "ec25", "other")
FIRST, SECOND, THIRD = 33612000004, 33612000005, 33612000006
THREE = ((FIRST, 20), (SECOND, 20), (THIRD, 20))
WITHIN_S = 20.0  # real time after which something is taken to be stuck


def policy_of(numbers: tuple[tuple[int, int], ...], known: tuple[int, ...] = ()) -> Index:
    """One door with a modem and a panel; call code A3 rings `numbers`; `known` may open by calling."""
    values = [
        rows.Site(bytes(16), "here", False, 1),
        rows.Offset(0, 0),
        rows.Door(DOOR, DOOR, ("door",), 5000, 5000, 0, rows.NEVER, False, False, False, "", "", (), rows.NEVER),
        rows.Reader(READER, DOOR, "gsm", rows.IN, "", False, ""),
        rows.Group(0, "all", ((DOOR, "", 1 << model.PHONE, rows.ALL_BUTTONS, rows.ALWAYS),)),
        rows.Panel("panel-a", DOOR, READER, "1"),
        rows.Display("panel-a", "A3", "Jolly", rows.NEVER, numbers),
        *(rows.Credential(model.PHONE, number, 0, 0, 0, rows.ACTIVE, 0, "", "") for number in known),
    ]
    packed = [rows.pack(value) for value in values]
    total = sum(int.from_bytes(hashlib.sha256(row).digest(), "big") for row in packed) % (1 << 256)
    return Index(bytes(policy.compile_image(packed, (1, 1), total.to_bytes(32, "big"), zlib.crc32)))


class World:
    """A modem line and a simulated modem. `seen`: what the line delivered. With a policy, a controller decides, dials
    and hangs up; `events` are its records, `strikes` what it moved."""

    def __init__(self, folder: Path, maker: str = "sim800", given_pin: str | None = None, **sim: Any) -> None:
        self.now_ms = START_MS
        self.sim = GsmModem(folder / "gsm", maker, now_ms=self._now, **sim)
        self.seen: list[object] = []
        self.modem = Modem(READER, str(folder / "gsm"), 115200, given_pin, "33", self._deliver, self._now)
        self.controller: Controller | None = None
        self.events: list[model.Event] = []
        self.strikes: list[tuple[int, model.Strike]] = []
        self.dialled: list[tuple[int, int]] = []
        self._queue: list[object] = []
        self._task: asyncio.Task[None] | None = None

    def _now(self) -> int:
        return self.now_ms

    def _deliver(self, value: object) -> None:
        self.seen.append(value)
        self._queue.append(value)

    def kinds(self) -> list[type]:
        return [type(value) for value in self.seen]

    async def start(self, is_plugged: bool = True) -> None:
        if is_plugged:
            self.sim.open()
        self._task = asyncio.create_task(self.modem.run())
        if is_plugged:
            await self.until(lambda: self.modem.status()["state"] != "closed")
            await self.settle()

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.sim.close()

    def plug(self) -> None:
        self.sim.bytes_in = self.sim.bytes_out = self.modem.bytes_in = self.modem.bytes_out = 0
        self.sim.open()

    def decide(self, index: Index) -> None:
        """Put a controller with this policy to work."""
        self.controller = Controller([DOOR])
        self.handle(model.PolicyReplaced(index))

    def moment(self) -> model.Moment:
        return model.Moment(self.now_ms, UTC_MS + self.now_ms, True, UTC_MS)

    def handle(self, happened: object) -> None:
        """Give the controller an input and perform what it answers, in order."""
        assert self.controller is not None
        for output in self.controller.handle(happened, self.moment()):
            match output:
                case model.Record(event):
                    self.events.append(event)
                case model.Strike():
                    self.strikes.append((self.now_ms, output))
                case model.Dial(door, _, number, delay_s):
                    self.dialled.append((self.now_ms, number))
                    self.modem.dial(door, number, delay_s)
                case model.HangUp(door, _):
                    self.modem.hang_up(door)

    def opened(self) -> list[int]:
        """The moments at which the strike was released."""
        return [at_ms for at_ms, strike in self.strikes if strike.ms != model.LOCK]

    async def settle(self) -> None:
        """Return when no byte is on its way and the controller has nothing left to hear."""
        deadline = time.monotonic() + WITHIN_S
        quiet = 0
        while quiet < 3:
            assert time.monotonic() < deadline, "bytes are still on their way"
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._is_quiet() else 0

    def _is_quiet(self) -> bool:
        queue, self._queue = self._queue, []
        if self.controller is not None:
            for value in queue:
                self.handle(_input_of(value))
        if queue:
            return False
        sim, modem = self.sim, self.modem
        travelled = sim.bytes_in == modem.bytes_out and sim.bytes_out == modem.bytes_in
        return travelled or not sim.is_plugged or modem.status()["state"] == "closed"

    def next_due_ms(self) -> int | None:
        times = [self.modem.next_due_ms(), self.sim.timeline.next_due_ms()]
        if self.controller is not None:
            times.append(self.controller.next_deadline(self.moment()))
        return min((at_ms for at_ms in times if at_ms is not None), default=None)

    async def advance(self, ms: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Let `ms` pass, everything that falls due on the way in its turn; end early where `stop` holds."""
        end_ms = self.now_ms + ms
        await self.settle()
        while not stop():
            due_ms = self.next_due_ms()
            if due_ms is None or due_ms > end_ms:
                self.now_ms = end_ms
                break
            self.now_ms = max(self.now_ms, due_ms)
            self.sim.tick()
            await self.settle()
            self.modem.tick()
            if self.controller is not None:
                self.handle(model.Tick())
            await self.settle()

    async def ready(self) -> None:
        """Return when the modem is set up and registered."""
        await self.advance(60_000, lambda: bool(self.modem.status()["ready"]))
        assert self.modem.status()["ready"], self.modem.status()

    async def until(self, holds: Callable[[], object]) -> None:
        """Real time: the port is opened again by its own clock."""
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < deadline, f"did not happen: {self.modem.status()}"
            await asyncio.sleep(0.005)


def _input_of(value: object) -> object:
    """As edge.presenting makes inputs of a modem's values."""
    match value:
        case Ringing(reader, number):
            return model.Presented(reader, "", model.PHONE, number, 0, True)
        case LineUp(reader, detail):
            return model.ReaderLine(reader, True, detail)
        case LineDown(reader, detail):
            return model.ReaderLine(reader, False, detail)
        case model.CallProgress():
            return value
    return model.Noted("text", "", READER, "")


def progress(world: World) -> list[tuple[str, str]]:
    """What was told of calls, as (what, key)."""
    return [(value.what, value.key) for value in world.seen if isinstance(value, model.CallProgress)]


def play(world: World, scene: Callable[[World], Coroutine[Any, Any, None]], is_plugged: bool = True) -> None:
    """Run a scene with the modem line at work, and end it."""

    async def whole() -> None:
        await world.start(is_plugged)
        try:
            await scene(world)
        finally:
            await world.stop()

    asyncio.run(whole())
