"""The readers' end of `badge_to_strike`, a process of its own: holds cards up and times the answers."""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine, precise_loop

CARD_BITS = 32
WARM_UP = 4
PAUSE_S = (0.01, 0.07)  # between an answer and the next card; the spread exceeds every poller's period
SEED = 20260101
ANSWER_S = 10.0
START_S = 60.0

DUMB_LED = 1
DUMB_OUTPUT = 2

OnCommand = Callable[[str], None]


class Lengths(NamedTuple):
    """Bytes of each frame of the exchange."""

    poll: int
    ack: int
    card: int
    command: int


class Task(NamedTuple):
    """What to measure. `dumb`: the lengths of a bare exchange, None: libosdp's readers with secure channel."""

    readers: int
    baud: int
    cards: int
    dumb: Lengths | None = None


class Run(NamedTuple):
    """Milliseconds from card to complete command, and what travelled in each exchange: (to the reader, back)."""

    led_ms: list[float]
    strike_ms: list[float]
    exchanges: Counter[tuple[int, int]]


def key_of(address: int) -> bytes:
    """Return the secure channel base key of the reader at `address`, in this benchmark."""
    return hashlib.sha256(b"badge_to_strike %d" % address).digest()[:16]


class _CountingReader(OsdpReader):
    """libosdp's reader, which counts the lengths of what it exchanges."""

    def __init__(self, address: int, exchanges: Counter[tuple[int, int]], on_command: OnCommand) -> None:
        super().__init__(f"reader-{address}", address, key_of(address), on_change=lambda _, seen: on_command(seen.kind))
        self._exchanges = exchanges

    def exchange(self, data: bytes) -> bytes:
        reply = super().exchange(data)
        if reply:
            self._exchanges[len(data), len(reply)] += 1
        return reply


class LibosdpReaders:
    """`count` of libosdp's readers at the addresses from 0 up."""

    def __init__(self, count: int, on_command: OnCommand) -> None:
        self.exchanges: Counter[tuple[int, int]] = Counter()
        self.on_line = [_CountingReader(address, self.exchanges, on_command) for address in range(count)]

    def are_up(self) -> bool:
        return all(reader.is_secure for reader in self.on_line)

    def hold_card(self, address: int, number: int) -> None:
        assert self.on_line[address].present_card(CARD_BITS, number.to_bytes(CARD_BITS // 8, "big"))


class DumbReaders:
    """Answers by length alone: a poll with an acknowledgement or a waiting card, a command with the former.

    A frame's first byte is its length, its second the address; a command's third says which it is.
    """

    address = 0

    def __init__(self, lengths: Lengths, on_command: OnCommand) -> None:
        self.exchanges: Counter[tuple[int, int]] = Counter()
        self.on_line = [self]
        self._lengths = lengths
        self._on_command = on_command
        self._cards: dict[int, int] = {}
        self._heard = b""

    def are_up(self) -> bool:
        return True

    def hold_card(self, address: int, number: int) -> None:
        self._cards[address] = DUMB_LED if number % 2 else DUMB_OUTPUT

    def exchange(self, data: bytes) -> bytes:
        self._heard += data
        if not self._heard or len(self._heard) < self._heard[0]:
            return b""
        frame, self._heard = self._heard, b""
        if len(frame) == self._lengths.command:
            self._on_command("led" if frame[2] == DUMB_LED else "output")
            return bytes(self._lengths.ack)
        card = self._cards.pop(frame[1], 0)
        return bytes([card]) * self._lengths.card if card else bytes(self._lengths.ack)


async def _hold_cards(path: Path, pipe: Connection, task: Task) -> None:
    answered = asyncio.Event()
    answered_ns = 0

    def on_command(kind: str) -> None:
        nonlocal answered_ns
        if kind in ("led", "output"):
            answered_ns = time.perf_counter_ns()
            answered.set()

    readers: DumbReaders | LibosdpReaders
    readers = DumbReaders(task.dumb, on_command) if task.dumb else LibosdpReaders(task.readers, on_command)
    line = ReaderLine(path, readers.on_line, task.baud)  # type: ignore[arg-type]
    line.open()
    pipe.send("ready")
    async with asyncio.timeout(START_S):
        while not readers.are_up() or not line.bytes_out:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)  # the master's first questions are over
    chance = random.Random(SEED)
    taken: dict[int, list[float]] = {0: [], 1: []}
    readers.exchanges.clear()
    for number in range(WARM_UP + task.cards):
        await asyncio.sleep(chance.uniform(*PAUSE_S))
        answered.clear()
        held_ns = time.perf_counter_ns()
        readers.hold_card(chance.randrange(task.readers), number)
        await asyncio.wait_for(answered.wait(), ANSWER_S)
        if number >= WARM_UP:
            taken[number % 2].append((answered_ns - held_ns) / 1e6)
    pipe.send(Run(taken[1], taken[0], readers.exchanges))
    await asyncio.to_thread(pipe.recv)  # the line stays up until the other side has let go of it
    line.close()


def play_readers(path: Path, pipe: Connection, task: Task) -> None:
    """The readers' process: odd card numbers ask for the light, even ones for the strike."""
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(_hold_cards(path, pipe, task))
