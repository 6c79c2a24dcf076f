"""The control panels that `badge_to_strike` measures, each the whole of a process: it answers every card at once and
runs until it is ended. A bare poller is in `bare_poller`, PyPI's osdp in `peers/osdp_peer.py`.

`pipe`: who measures says "stop" there to those that have something to tell, and gets it.
"""

import asyncio
import os
import queue
import random
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import osdp
import serial
from paced_readers import PAUSE_S, SEED, Task, key_of

from edge.decision.indications import GREEN, Signal
from edge.decision.model import Event
from edge.reader.inputs import CardRead
from edge.reader.osdp import frame, messages
from edge.reader.osdp.bus import Bus, BusReader
from edge.reader.osdp.exchange import DEFAULT
from edge.reader.osdp.handshake import CLEAR
from edge.reader.osdp.link import Link
from edge.reader.osdp.native import aes_ecb, crc16
from edge.recorder import Recorder
from edge.storage.event_log import EventLog

LIT = Signal(GREEN, GREEN, 1000, 0, 2000, 0, 0, 0)
STRIKE_MS = 5000


# --- ours ----------------------------------------------------------------------------------------------------


def serve_ours(path: str, task: Task, pipe: Connection) -> None:
    """The product's bus, with secure channel: grant each card as soon as the bus delivers it."""
    asyncio.run(_serve(path, task))


def serve_ours_clear(path: str, task: Task, pipe: Connection) -> None:
    """The same bus with links that the product does not have: without secure channel."""
    asyncio.run(_serve(path, task, is_secure=False))


def serve_ours_recording(path: str, task: Task, pipe: Connection) -> None:
    """The product's bus, log and recorder: the strike waits until its event is durable, the light does not.

    Tells (milliseconds of each such commit, milliseconds of as many commits alone, the bus polling beside them)."""
    asyncio.run(_serve_recording(path, task, pipe))


class ClearLink(Link):
    """A link that takes its commands without a session: in this benchmark alone, to see what the secure channel
    costs. Nothing that it reports counts as secure, so the agent would grant nothing."""

    def __init__(self, address: int) -> None:
        super().__init__(address, None, aes_ecb, os.urandom, DEFAULT._replace(clear_ms=0), crc16)

    @property
    def has_output(self) -> bool:
        return self.state == CLEAR and len(self._queue) > 0

    def push(self, message: Any) -> bool:
        self._queue.append(messages.pack_command(message))
        return True

    def _make_command(self, now_ms: int) -> bytes:
        if self.state != CLEAR or not self._queue:
            return bytes(super()._make_command(now_ms))
        code, data = self._queue.pop(0)
        return bytes(frame.encode(self.address, self._exchange.sequence, code, data, b"", False, True, self._crc))

    def _wait_in_clear(self, now_ms: int, why: str) -> tuple[Any, ...]:
        happened = tuple(super()._wait_in_clear(now_ms, why))
        self._clear_until_ms = sys.maxsize  # never try for a session
        return happened


def _bus(path: str, task: Task, deliver: Callable[[Any], None], is_secure: bool = True) -> Bus:
    readers = [BusReader(f"reader-{n}", n, key_of(n) if is_secure else None) for n in range(task.readers)]
    bus = Bus(path, task.baud, readers, deliver, poll_gap_ms=task.gap_ms)
    if not is_secure:
        bus._links = [ClearLink(n) for n in range(task.readers)]
    return bus


async def _serve(path: str, task: Task, is_secure: bool = True) -> None:
    def deliver(value: Any) -> None:
        if isinstance(value, CardRead):
            if value.data[-1] & 1:
                bus.indicate(value.reader, LIT)
            else:
                bus.set_output(value.reader, 0, STRIKE_MS)

    bus = _bus(path, task, deliver, is_secure)
    await bus.run()


async def _serve_recording(path: str, task: Task, pipe: Connection) -> None:
    recorder = _recorder(Path(path).parent)
    under_way: set[asyncio.Task[None]] = set()
    of_cards: list[float] = []

    async def record_then_strike(card: CardRead) -> None:
        of_cards.append(await _commit_ms(recorder))
        bus.set_output(card.reader, 0, STRIKE_MS)

    def deliver(value: Any) -> None:
        if not isinstance(value, CardRead):
            return
        if value.data[-1] & 1:
            bus.indicate(value.reader, LIT)
            return
        started = asyncio.get_running_loop().create_task(record_then_strike(value))
        under_way.add(started)
        started.add_done_callback(under_way.discard)

    bus = _bus(path, task, deliver)
    polling = asyncio.get_running_loop().create_task(bus.run())
    await asyncio.to_thread(pipe.recv)
    alone = await _commit_alone(recorder, len(of_cards))
    polling.cancel()
    pipe.send((of_cards, alone))


def _recorder(folder: Path) -> Recorder:
    def trouble(detail: str) -> None:
        print(f"the log: {detail}", file=sys.stderr)

    return Recorder(EventLog.open(folder / "events.db"), trouble, lambda late: None, lambda seqs, events: None)


async def _commit_ms(recorder: Recorder) -> float:
    event = Event(time.time_ns() // 1_000_000, True, "front", "reader-0", "badge", 1, "open", "granted", "front", "")
    begun_s = time.perf_counter()
    await recorder.record((event,), {}, 1, True)
    return (time.perf_counter() - begun_s) * 1000


async def _commit_alone(recorder: Recorder, count: int) -> list[float]:
    chance = random.Random(SEED)
    taken = []
    for _ in range(count):
        await asyncio.sleep(chance.uniform(*PAUSE_S))
        taken.append(await _commit_ms(recorder))
    return taken


# --- libosdp's -----------------------------------------------------------------------------------------------


class _Port(osdp.Channel):
    def __init__(self, path: str, baud: int) -> None:
        self.serial = serial.Serial(path, baud, timeout=0)

    def read(self, max_bytes: int) -> bytes:
        return self.serial.read(max_bytes)

    def write(self, buf: bytes) -> int:
        return self.serial.write(buf) or 0

    def flush(self) -> None:
        self.serial.reset_input_buffer()


def serve_libosdp(path: str, task: Task, pipe: Connection) -> None:
    """libosdp's own Python control panel with its thread, as its documentation uses it: grant each card as soon as
    its event is handed out."""
    port = _Port(path, task.baud)
    flags = [osdp.LibFlag.EnforceSecure] if task.is_secure else []
    infos = [osdp.PDInfo(n, port, scbk=key_of(n) if task.is_secure else None, flags=flags) for n in range(task.readers)]
    read: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()

    def take(reader: int, event: dict[str, Any]) -> int:  # a command from within would deadlock its thread
        read.put((reader, event))
        return 0

    panel = osdp.ControlPanel(infos, log_level=osdp.LogLevel.Emergency, event_handler=take)
    panel.start()
    led = {"command": osdp.Command.LED, "reader": 0, "led_number": 0, "temporary": True, "control_code": 2}
    led |= {"on_count": 10, "off_count": 0, "on_color": GREEN, "off_color": GREEN, "timer_count": 20}
    output = {"command": osdp.Command.Output, "output_no": 0, "control_code": 5, "timer_count": 50}
    while True:
        address, event = read.get()
        if event["event"] == osdp.Event.CardRead:
            panel.submit_command(address, led if event["data"][-1] & 1 else output)
