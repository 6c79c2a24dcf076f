"""Where moments come from: the monotonic clock, wall time, and whether wall time can be trusted.

Wall time is trusted after a source said so: NTP (the kernel's own word), a declared RTC, or the installer. Trust
outlives an agent restart within one boot. It never runs below the floor: the latest of the build and the newest event
stamped under a trusted clock; only the installer may lower that.

What the installer declares is kept as a distance from the monotonic clock, which goes on across a restart of the agent
and begins anew with each boot; this process may not set the machine's clock. NTP and RTC go before it.
"""

import ctypes
import time
from pathlib import Path
from typing import Protocol

from edge.decision.model import Moment

_YEAR_MS = 31_557_600_000
BUILD_MS = 1_793_491_200_000  # 2026-11-01: no vantail ran before
LATEST_MS = BUILD_MS + 30 * _YEAR_MS  # that an installer may declare
SLEW_MS = 120_000  # a source may take wall time back by so much and still be believed; it then stands at the floor
_STA_UNSYNC = 0x0040  # linux/timex.h
_TIMEX_BYTES = 256  # more than struct timex on any Linux
_STATUS_AT = 40  # offsetof(struct timex, status) on 64-bit Linux


class Clock(Protocol):
    """What the agent asks for time. boot: the same as long as the monotonic clock goes on."""

    boot: str

    def moment(self) -> Moment:
        """Now."""

    def wait_s(self, deadline_ms: int | None) -> float | None:
        """For how long to wait for an input before a Tick is due; None: for ever."""

    def raise_floor(self, utc_ms: int) -> None:
        """It cannot be earlier than this."""

    def believe(self) -> None:
        """A source vouched for wall time earlier in this boot."""

    def declare(self, utc_ms: int) -> int:
        """The installer says that it is `utc_ms` now; the floor falls to that where it is higher. Returns the distance
        from the monotonic clock in ms, for `declare_again`. ValueError, and nothing changed, for a time that
        `check_declared` refuses."""

    def declare_again(self, ahead_ms: int) -> None:
        """The installer declared it earlier in this boot."""

    @property
    def floor_ms(self) -> int:
        """The earliest that it can be, utc."""

    @property
    def is_declared(self) -> bool:
        """Whether trust rests on the installer's word alone."""


class SystemClock:
    """The machine's clocks."""

    LONGEST_WAIT_S = 30.0  # wall time may be stepped: look again at what falls due by it

    def __init__(self, has_rtc: bool, floor_ms: int = 0, trusted: bool = False) -> None:
        self.boot = boot_id()
        self._has_rtc = has_rtc
        self._floor_ms = max(BUILD_MS, floor_ms)
        self._trusted = trusted
        self._ahead_ms: int | None = None  # of the monotonic clock, as the installer declared it
        self._asked_at = 0.0

    def moment(self) -> Moment:
        utc_ms = time.time_ns() // 1_000_000
        mono_ns = time.monotonic_ns()
        if not self._trusted:
            self._ask(mono_ns / 1e9)
        if not self._trusted and self._ahead_ms is not None:
            utc_ms = mono_ns // 1_000_000 + self._ahead_ms
        sane = utc_ms >= self._floor_ms - SLEW_MS
        is_trusted = sane and (self._trusted or self._ahead_ms is not None)
        return Moment(mono_ns // 1_000_000, max(utc_ms, self._floor_ms), is_trusted, self._floor_ms)

    def wait_s(self, deadline_ms: int | None) -> float | None:
        if deadline_ms is None:
            return self.LONGEST_WAIT_S
        return min(self.LONGEST_WAIT_S, max(0.0, deadline_ms / 1000 - time.monotonic()))

    def raise_floor(self, utc_ms: int) -> None:
        self._floor_ms = max(self._floor_ms, utc_ms)

    def believe(self) -> None:
        self._trusted = True

    def declare(self, utc_ms: int) -> int:
        check_declared(utc_ms)
        self._floor_ms = min(self._floor_ms, utc_ms)
        self._ahead_ms = utc_ms - time.monotonic_ns() // 1_000_000
        return self._ahead_ms

    def declare_again(self, ahead_ms: int) -> None:
        self._ahead_ms = ahead_ms

    @property
    def floor_ms(self) -> int:
        return self._floor_ms

    @property
    def is_declared(self) -> bool:
        return not self._trusted and self._ahead_ms is not None

    def _ask(self, mono_s: float) -> None:
        if mono_s - self._asked_at < 1.0 and self._asked_at:
            return
        self._asked_at = mono_s
        self._trusted = self._has_rtc or ntp_synchronised()


def check_declared(utc_ms: int) -> None:
    """ValueError for a time that cannot be now: before this program was made, or 30 years after that."""
    if utc_ms < BUILD_MS:
        raise ValueError("a time before this program was made")
    if utc_ms > LATEST_MS:
        raise ValueError("a time more than 30 years after this program was made")


def ntp_synchronised() -> bool:
    """Whether the kernel says that NTP disciplines its clock (adjtimex(2)); False where it cannot be asked."""
    try:
        timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return False
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little")
    return state >= 0 and not status & _STA_UNSYNC


def boot_id() -> str:
    """This boot's identity, as the kernel gives it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
