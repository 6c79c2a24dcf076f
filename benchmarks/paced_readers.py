"""The readers' end of `badge_to_strike`, a process of its own: holds cards up and times the answers.

It also reads the panel's processor time, so that every side is measured by the same hand in the same windows.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from edge.reader.osdp.frame import MARK, SOM
from edge.reader.osdp.native import aes_ecb
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine, precise_loop

CARD_BITS = 32
WARM_UP = 4
PAUSE_S = (0.01, 0.07)  # between an answer and the next card; the spread exceeds every reader's slot
SEED = 20260101
ANSWER_S = 10.0  # after so long a card counts as not answered
LOST_SHARE = 0.1  # more of them, and it is no measurement
START_S = 60.0
SETTLE_S = 0.5  # the panel's first questions are over
LOST_S = 3.0  # readers that were pulled are known to be gone, and their pauses have grown
EXCHANGES_WHEN_UP = 8
MASTER_KEY = hashlib.sha256(b"badge_to_strike master").digest()[:16]
CLIENT_ID = bytes.fromhex("beba0100afbeadde")  # what libosdp's device says of itself where it was not told
CPU_CLOCK = 2  # of a process's clock id: what it spent on a processor, in the kernel and outside (posix-timers.h)

LED, OUTPUT = "led", "output"
KINDS = (OUTPUT, LED)  # of an even and of an odd card
DUMB_MARKS = {OUTPUT: 1, LED: 2}  # of a bare command, its third byte

OnCommand = Callable[[str], None]


class Lengths(NamedTuple):
    """Bytes of each frame of the exchange, the mark byte of some panels included."""

    poll: int
    ack: int
    card: int
    led: int
    output: int


class Task(NamedTuple):
    """What to measure: `cards` after WARM_UP. `is_secure`: with secure channel. `lengths`: of a bare exchange, None:
    libosdp's readers. `off`: how many of the readers are unplugged once all are up. `gap_ms`: a pause of our bus
    after each exchange, 0 in the product. `idle_s`: how long the panel's processor use without cards is measured.
    `has_master_key`: the readers' keys are derived from one, as PyPI's osdp does."""

    readers: int
    baud: int
    cards: int
    is_secure: bool = True
    lengths: Lengths | None = None
    off: int = 0
    gap_ms: float = 0
    idle_s: float = 1.0
    has_master_key: bool = False


class Load(NamedTuple):
    """What a panel used in one window: its processor time and exchanges."""

    cpu_s: float
    wall_s: float
    exchanges: int


class Run(NamedTuple):
    """Milliseconds from card to complete command, the lengths that travelled, and what the panel used. `lost`: cards
    that were not answered. Where another program takes the processor for 200 ms, an exchange times out, libosdp's
    device ends the session at the repeated command, and a card from before a session does not count."""

    led_ms: list[float]
    output_ms: list[float]
    lengths: Lengths
    idle: Load
    busy: Load
    lost: int


def key_of(address: int) -> bytes:
    """Return the secure channel base key of the reader at `address`, in this benchmark."""
    return hashlib.sha256(b"badge_to_strike %d" % address).digest()[:16]


def derived_key() -> bytes:
    """Return the base key that belongs to MASTER_KEY and CLIENT_ID (SIA OSDP 2.2, annex D.6)."""
    return bytes(aes_ecb(MASTER_KEY)[0](CLIENT_ID + bytes(byte ^ 0xFF for byte in CLIENT_ID)))


def off_addresses(task: Task) -> list[int]:
    """Return which readers of a task are unplugged: spread over the line."""
    return [number * task.readers // task.off for number in range(task.off)]


class LibosdpReaders:
    """libosdp's readers at the addresses from 0 up, on one line.

    A frame is given to the reader that it is addressed to alone. On a real line each has a processor of its own;
    sixteen devices that take their turn at every frame in one process would be slower than that, not more real.
    """

    address = 0  # the line asks for these two
    answer_ms = 0.0

    def __init__(self, task: Task, on_command: OnCommand) -> None:
        self.on_line = [self]
        self.asked = 0  # the address that was spoken to last
        self._on_command = on_command
        self._lengths: dict[str, int] = {}
        self._exchanges: Counter[tuple[int, int]] = Counter()
        self._answered = [0] * task.readers
        self._is_secure = task.is_secure
        self._readers = [self._make(address, task) for address in range(task.readers)]
        self._frame_size = 0

    def _make(self, address: int, task: Task) -> OsdpReader:
        key = derived_key() if task.has_master_key else key_of(address)
        return OsdpReader(
            f"reader-{address}",
            address,
            key,
            enforce_secure=task.is_secure and not task.has_master_key,
            on_change=lambda _, seen: self._obeyed(seen.kind),
        )

    def _obeyed(self, kind: str) -> None:
        self._lengths[kind] = self._frame_size
        self._on_command(kind)

    @property
    def exchanges(self) -> int:
        return self._exchanges.total()

    def are_up(self) -> bool:
        if self._is_secure:
            return all(reader.is_secure for reader in self._readers)
        return min(self._answered) >= EXCHANGES_WHEN_UP

    def hold_card(self, address: int, number: int) -> None:
        assert self._readers[address].present_card(CARD_BITS, number.to_bytes(CARD_BITS // 8, "big"))

    def unplug(self, address: int) -> None:
        self._readers[address].unplug()

    def start_counting(self) -> None:
        self._exchanges.clear()

    def exchange(self, data: bytes) -> bytes:
        frame = data[1:] if data[:1] == bytes((MARK,)) else data
        if frame[:1] == bytes((SOM,)) and len(frame) > 1:
            self.asked = frame[1] & 0x7F
        self._frame_size = len(data)
        reply = self._readers[self.asked].exchange(data)
        if reply and data:
            self._exchanges[len(data), len(reply)] += 1
            self._answered[self.asked] += 1
        return reply

    def lengths(self) -> Lengths:
        """Read the lengths off what travelled: by far the most frequent command is a poll, its shortest answer an
        acknowledgement, and the most frequent other one a card."""
        commands: Counter[int] = Counter()
        for (to, _), count in self._exchanges.items():
            commands[to] += count
        poll = commands.most_common(1)[0][0]
        answers = Counter({back: count for (to, back), count in self._exchanges.items() if to == poll})
        ack = min(answers)
        del answers[ack]
        return Lengths(poll, ack, answers.most_common(1)[0][0], self._lengths[LED], self._lengths[OUTPUT])


class DumbReaders:
    """Answers by length alone: a poll with an acknowledgement or a waiting card, a command with the former.

    A frame's first byte is its length, its second the address, its third 0 for a poll or the command's mark. A reply
    begins with 0, or with the mark of the command that the card asks for.
    """

    address = 0  # the line asks for these two
    answer_ms = 0.0

    def __init__(self, task: Task, on_command: OnCommand) -> None:
        assert task.lengths is not None
        self.exchanges = 0
        self.asked = 0
        self.on_line = [self]
        self._lengths = task.lengths
        self._on_command = on_command
        self._cards: dict[int, int] = {}
        self._heard = b""

    def are_up(self) -> bool:
        return self.exchanges > 0

    def hold_card(self, address: int, number: int) -> None:
        self._cards[address] = DUMB_MARKS[KINDS[number % 2]]

    def unplug(self, address: int) -> None:
        raise NotImplementedError("a bare line has all its readers")

    def start_counting(self) -> None:
        self.exchanges = 0

    def exchange(self, data: bytes) -> bytes:
        self._heard += data
        if not self._heard or len(self._heard) < self._heard[0]:
            return b""
        frame, self._heard = self._heard, b""
        self.exchanges += 1
        self.asked = frame[1]
        for kind, mark in DUMB_MARKS.items():
            if frame[2] == mark:
                self._on_command(kind)
                return bytes(self._lengths.ack)
        card = self._cards.pop(frame[1], 0)
        return bytes([card]) * self._lengths.card if card else bytes(self._lengths.ack)

    def lengths(self) -> Lengths:
        return self._lengths


class _Window:
    """What the process `panel` uses from here on."""

    def __init__(self, panel: int, readers: DumbReaders | LibosdpReaders) -> None:
        self._clock = (~panel << 3) | CPU_CLOCK  # clock_getcpuclockid(3)
        self._readers = readers
        self._begun = self._now()

    def _now(self) -> tuple[float, float, int]:
        return time.clock_gettime(self._clock), time.monotonic(), self._readers.exchanges

    def load(self) -> Load:
        cpu_s, wall_s, exchanges = (now - begun for now, begun in zip(self._now(), self._begun, strict=True))
        return Load(cpu_s, wall_s, int(exchanges))


class _Places:
    """Where the next card is held up: at so many readers behind the one that was asked last, every distance equally
    often for either kind of card, in random order. How long the round is decides most of what is measured; chosen at
    random, some ten cards would measure chance."""

    def __init__(self, present: list[int], chance: random.Random) -> None:
        self._present = present
        self._chance = chance
        self._distances: dict[str, list[int]] = {kind: [] for kind in KINDS}

    def next(self, kind: str, asked: int) -> int:
        distances = self._distances[kind]
        if not distances:
            distances.extend(range(len(self._present)))
            self._chance.shuffle(distances)
        at = sum(address <= asked for address in self._present)
        return self._present[(at + distances.pop()) % len(self._present)]


async def _hold_cards(path: Path, pipe: Connection, task: Task) -> None:
    answered = asyncio.Event()
    answered_ns = 0

    def on_command(kind: str) -> None:
        nonlocal answered_ns
        if kind in KINDS:
            answered_ns = time.perf_counter_ns()
            answered.set()

    readers = DumbReaders(task, on_command) if task.lengths else LibosdpReaders(task, on_command)
    line = ReaderLine(path, readers.on_line, task.baud)  # type: ignore[arg-type]
    line.open()
    pipe.send("ready")
    panel = await asyncio.to_thread(pipe.recv)
    async with asyncio.timeout(START_S):
        while not readers.are_up():
            await asyncio.sleep(0.01)
    for address in off_addresses(task):
        readers.unplug(address)
    await asyncio.sleep(LOST_S if task.off else SETTLE_S)
    readers.start_counting()
    window = _Window(panel, readers)
    await asyncio.sleep(task.idle_s)
    idle = window.load()
    chance = random.Random(SEED)
    places = _Places(sorted(set(range(task.readers)) - set(off_addresses(task))), chance)
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    lost = 0
    window = _Window(panel, readers)
    for number in range(WARM_UP + task.cards):
        await asyncio.sleep(chance.uniform(*PAUSE_S))
        answered.clear()
        place = places.next(KINDS[number % 2], readers.asked)
        held_ns = time.perf_counter_ns()
        readers.hold_card(place, number)
        if not await _is_set(answered):
            lost += 1
            if lost > LOST_SHARE * task.cards:
                raise SystemExit(f"{lost} of {number + 1} cards were not answered")
        elif number >= WARM_UP:
            taken[KINDS[number % 2]].append((answered_ns - held_ns) / 1e6)
    pipe.send(Run(taken[LED], taken[OUTPUT], readers.lengths(), idle, window.load(), lost))
    await asyncio.to_thread(pipe.recv)  # the line stays up until the other side has let go of it
    line.close()


async def _is_set(answered: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answered.wait()
    except TimeoutError:
        return False


def play_readers(path: Path, pipe: Connection, task: Task) -> None:
    """The readers' process: odd card numbers ask for the light, even ones for the strike. Says "ready", takes the
    panel's process id, gives a Run, and ends at the next word."""
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(_hold_cards(path, pipe, task))
