"""A serial line in software: a pty whose far end carries one or several OSDP readers.

The pty's name changes with each start, so it is published as a symlink. The simulator keeps a slave
descriptor open: without it the master end reads EIO whenever no controller has the port open.

Faults on demand: `unplug` / `plug` (the pair of wires; the port stays), `close` / `open` (the adapter; the port
vanishes), `noise`. Those of one reader are in `firmware_sim.osdp_reader`.
"""

import asyncio
import os
import random
import selectors
import time
import tty
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from firmware_sim.osdp_reader import OsdpReader

BITS_PER_BYTE = 10  # a start bit, eight data bits, a stop bit
READ_BYTES = 4096
EARLY_S = 0.0002  # a timer comes this late on an idle machine; the rest of a byte time is waited out
SETTLE_S = 0.25  # libosdp gives a half frame up after 200 ms, but only when it is asked to look


def precise_loop() -> asyncio.SelectorEventLoop:
    """Return a loop whose timers are good to a tenth of a millisecond.

    epoll rounds a timeout up to whole milliseconds, longer than a frame lasts at 115,200 baud; select does
    not.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class _Wire:
    """One direction of the line: what is put in comes out when its last bit has passed."""

    def __init__(self, baud: int | None, deliver: Callable[[bytes], None]) -> None:
        self._byte_s = BITS_PER_BYTE / baud if baud else 0.0
        self._deliver = deliver
        self._busy_until_s = 0.0
        self._timers: set[asyncio.TimerHandle] = set()

    def send(self, data: bytes) -> None:
        if not self._byte_s:
            self._deliver(data)
            return
        loop = asyncio.get_running_loop()
        self._busy_until_s = max(loop.time(), self._busy_until_s) + len(data) * self._byte_s
        due_s = self._busy_until_s
        timer: asyncio.TimerHandle = loop.call_at(due_s - EARLY_S, lambda: self._arrive(timer, due_s, data))
        self._timers.add(timer)

    def _arrive(self, timer: asyncio.TimerHandle, due_s: float, data: bytes) -> None:
        self._timers.discard(timer)
        while time.monotonic() < due_s:
            pass
        self._deliver(data)

    def clear(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def _collide(first: bytes, second: bytes) -> bytes:
    """What two answers at once make of each other, as far as both last: the lower level wins."""
    both = min(len(first), len(second))
    return bytes(one & other for one, other in zip(first[:both], second, strict=False)) + first[both:] + second[both:]


class ReaderLine:
    """`readers` on one line, reachable for a controller under `path`.

    `baud`: byte times really elapse, in both directions, the frame arriving when its last bit has; None: at
    once. `lost_bytes`: what a pulled cable swallowed; `changed_bytes`: what noise made another byte of;
    `collisions`: answers of two readers at once.
    """

    def __init__(self, path: str | Path, readers: Sequence[OsdpReader], baud: int | None = None) -> None:
        addresses = [reader.address for reader in readers]
        if len(set(addresses)) != len(addresses):
            raise ValueError(f"line {path}: two readers have the same address; give each its own")
        self.path = Path(path)
        self.readers = list(readers)
        self.bytes_in = 0
        self.bytes_out = 0
        self.dropped_bytes = 0
        self.lost_bytes = 0
        self.changed_bytes = 0
        self.collisions = 0
        self.is_plugged = True
        self._noise_share = 0.0
        self._chance = random.Random(0)  # noqa: S311
        self._thinking: set[asyncio.TimerHandle] = set()  # answers that slow readers still owe
        self._to_readers = _Wire(baud, self._hear)
        self._to_master = _Wire(baud, self._write)
        self._master: int | None = None
        self._slave: int | None = None
        self._settle: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Make the pty and publish it. Needs a running loop."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        os.replace(fresh, self.path)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def close(self) -> None:
        """Pull the adapter: the port vanishes, and whoever has it open reads an error."""
        if self._master is None or self._slave is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        self._to_readers.clear()
        self._to_master.clear()
        for timer in self._thinking:
            timer.cancel()
        self._thinking.clear()
        if self._settle is not None:
            self._settle.cancel()
        self.path.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = None

    # --- faults on demand -----------------------------------------------------------------------------------

    def unplug(self) -> None:
        """Pull the pair of wires at the controller: the port stays, nothing passes either way, and the readers
        keep their power and what they have read."""
        self.is_plugged = False

    def plug(self) -> None:
        """Put the pair back. What was said meanwhile stays lost."""
        self.is_plugged = True

    def noise(self, is_on: bool, share: float = 0.02, seed: int = 0) -> None:
        """Let `share` (0 to 1) of the bytes that pass, either way, become others, as a motor beside the cable
        does. `seed`: the same again."""
        if not 0 <= share <= 1:
            raise ValueError(f"line {self.path}: noise is a share of the bytes, 0 to 1; seen: {share}")
        self._noise_share = share if is_on else 0.0
        self._chance = random.Random(seed)  # noqa: S311

    @property
    def is_noisy(self) -> bool:
        return self._noise_share > 0

    def status(self) -> dict[str, Any]:
        return {
            "is_plugged": self.is_plugged,
            "is_noisy": self.is_noisy,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "dropped_bytes": self.dropped_bytes,
            "lost_bytes": self.lost_bytes,
            "changed_bytes": self.changed_bytes,
            "collisions": self.collisions,
        }

    def _passes(self, data: bytes) -> bytes:
        """What of `data` gets through the cable, and as what."""
        if not self.is_plugged:
            self.lost_bytes += len(data)
            return b""
        if not self._noise_share:
            return data
        passed = bytes(
            byte ^ self._chance.randrange(1, 256) if self._chance.random() < self._noise_share else byte
            for byte in data
        )
        self.changed_bytes += sum(was != now for was, now in zip(data, passed, strict=True))
        return passed

    # --- the bytes ------------------------------------------------------------------------------------------

    def _read(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        self.bytes_in += len(data)
        self._to_readers.send(data)

    def _hear(self, data: bytes) -> None:
        data = self._passes(data)
        if not data:
            return
        at_once = b""
        for reader in self.readers:
            reply = reader.exchange(data)
            if reply and reader.answer_ms > 0:
                self._answer_later(reply, reader.answer_ms)
            elif reply:
                self.collisions += at_once != b""
                at_once = _collide(at_once, reply) if at_once else reply
        if at_once:
            self._to_master.send(at_once)
        if self._settle is not None:
            self._settle.cancel()
        self._settle = asyncio.get_running_loop().call_later(SETTLE_S, self._look_again)

    def _answer_later(self, reply: bytes, answer_ms: float) -> None:
        def say() -> None:
            self._thinking.discard(timer)
            self._to_master.send(reply)

        timer: asyncio.TimerHandle = asyncio.get_running_loop().call_later(answer_ms / 1000, say)
        self._thinking.add(timer)

    def _look_again(self) -> None:
        for reader in self.readers:
            reader.exchange(b"")

    def _write(self, data: bytes) -> None:
        data = self._passes(data)
        if self._master is None or not data:  # pulled by whoever watches the readers
            return
        try:
            written = os.write(self._master, data)
        except BlockingIOError:  # nobody reads: a wire would not keep it either
            written = 0
        self.bytes_out += written
        self.dropped_bytes += len(data) - written
