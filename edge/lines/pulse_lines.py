"""The two GPIO lines of a Wiegand reader or radio receiver: stamped pulses in, what the reader makes of them out."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edge.decision.model import ReaderLine
from edge.lines.gpio import Claim, GpioError, GpioLine, RequestLines, claim_pulses
from edge.lines.reclaiming import Reclaiming

READS = 16  # of 64 edges: as many as the kernel keeps


class PulseDecoder(Protocol):
    """Pulses to words: edge.reader.wiegand.Decoder."""

    @property
    def due_ns(self) -> int | None: ...
    def edge(self, line: int, at_ns: int) -> Any: ...
    def lost(self, now_ns: int) -> None: ...
    def quiet(self, now_ns: int) -> Any: ...


class PulseReader(Protocol):
    """Words to values: edge.reader.wired_reader.WiredReader, edge.reader.radio.RadioReceiver."""

    @property
    def reader(self) -> str: ...
    @property
    def decoder(self) -> Any: ...
    def read(self, word: Any) -> Sequence[object]: ...


class PulseLines:
    """Lines D0 and D1 and what reads them; `deliver` gets its values on the loop, and ReaderLine when the lines fail
    and when they are had again. A pulse makes a line active: `active_low` True as readers drive it, False behind an
    optocoupler that inverts.

    now_ns: the clock of the kernel's stamps."""

    def __init__(
        self,
        lines: tuple[GpioLine, GpioLine],
        reader: PulseReader,
        deliver: Callable[[object], None],
        request_lines: RequestLines | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._lines = lines
        self._reader = reader
        self._decoder: PulseDecoder = reader.decoder
        self._deliver = deliver
        self._request_lines = request_lines
        self._now_ns = now_ns
        self._claim: Claim | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._reclaiming = Reclaiming()
        self.trouble = ""

    def claim(self) -> None:
        """Take both lines, in a running loop. GpioError where they cannot be had."""
        self._claim = claim_pulses(self._lines, self._request_lines)
        asyncio.get_running_loop().add_reader(self._claim.fd, self._readable)

    def release(self) -> None:
        self._stop_timer()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        claim, self._claim = self._claim, None
        if claim is not None:
            asyncio.get_running_loop().remove_reader(claim.fd)
            claim.release()

    def _readable(self) -> None:
        self._take()
        self._wait()

    def _over(self) -> None:
        self._timer = None
        for _ in range(READS):  # this process was busy: what the kernel stamped earlier counts earlier
            if not self._take():
                break
        self._pass_on(self._decoder.quiet(self._now_ns()))
        self._wait()

    def _take(self) -> bool:
        """Read once; whether there was anything."""
        if self._claim is None:
            return False
        try:
            edges = self._claim.edges()
        except GpioError as error:
            self._fail(str(error))
            return False
        for edge in edges:
            if edge.has_gap:
                self._decoder.lost(edge.at_ns)
            self._pass_on(self._decoder.edge(edge.line, edge.at_ns))
        return bool(edges)

    def _fail(self, why: str) -> None:
        self.release()
        self._claim_later(why, self._reclaiming.failed(asyncio.get_running_loop().time()))

    def _claim_later(self, why: str, is_news: bool) -> None:
        self.trouble = why
        self._retry = asyncio.get_running_loop().call_later(self._reclaiming.pause_s(), self._claim_again)
        if is_news:
            self._deliver(ReaderLine(self._reader.reader, False, why))

    def _claim_again(self) -> None:
        try:
            self.claim()
        except GpioError as error:
            self._claim_later(str(error), self._reclaiming.refused(asyncio.get_running_loop().time()))
            return
        self._retry = None
        self.trouble = ""
        if self._reclaiming.back():
            self._deliver(ReaderLine(self._reader.reader, True, ""))

    def _pass_on(self, word: Any) -> None:
        if word is not None:
            for value in self._reader.read(word):
                self._deliver(value)

    def _wait(self) -> None:
        self._stop_timer()
        due_ns = self._decoder.due_ns
        if due_ns is not None and self._claim is not None:
            wait_s = max(0.0, (due_ns - self._now_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._over)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
