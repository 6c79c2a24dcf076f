"""How the line to the cloud has been: its last 24 hours by the half hour, and since when nobody answers.

Pure: times are milliseconds of the monotonic clock, fed by the agent at whatever happens to its uplink. Kept in memory
only: a strip of the hours before the start would say nothing about this start.
"""

from collections.abc import Mapping

SLOT_MS = 30 * 60 * 1000
SLOTS = 48
PATIENCE_MS = 60_000  # an answer owed for so long does not come: meanwhile sync has asked for it two or three times

UP_TO_DATE = "up-to-date"
WAITING = "waiting"
SILENT = "silent"


class Connectivity:
    """One controller's line to its cloud, from `now_ms`, the start, on. Memory is bounded however often it flaps."""

    def __init__(self, now_ms: int) -> None:
        self._started_ms = self._counted_ms = now_ms
        self._is_up = False
        self._up_since_ms = now_ms
        self._up_ms: dict[int, int] = {}  # slot → how much of it the line was up
        self._quiet_ms: int | None = now_ms  # since when an answer is owed, or the line is down
        self._acked: object = None

    def see(self, uplink: Mapping[str, object], now_ms: int) -> None:
        """Take in where the uplink stands: `connected`, `heard`, `pending` and `acked` of Sync.status()."""
        self.line(bool(uplink["connected"]), now_ms)
        self.answer(not uplink["heard"] or bool(uplink["pending"]), uplink["acked"], now_ms)

    def line(self, is_up: bool, now_ms: int) -> None:
        """The line to the broker is up, or not."""
        self._count(now_ms)
        if is_up == self._is_up:
            return
        self._is_up = is_up
        if is_up:
            self._up_since_ms = now_ms
        elif self._quiet_ms is None:
            self._quiet_ms = now_ms

    def answer(self, is_owed: bool, acked: object, now_ms: int) -> None:
        """Whether the manager owes an answer now, and what it has acknowledged so far."""
        came = self._acked is not None and acked != self._acked
        self._acked = acked
        if not self._is_up:
            return
        if not is_owed:
            self._quiet_ms = None
        elif came or self._quiet_ms is None:
            self._quiet_ms = now_ms

    def silent_since(self, now_ms: int) -> int | None:
        """Since when nobody answers: from the loss of the line, or from when an answer was owed that did not come
        within PATIENCE_MS. None while all is well."""
        if self._quiet_ms is None:
            return None
        if self._is_up and now_ms - max(self._quiet_ms, self._up_since_ms) < PATIENCE_MS:
            return None
        return self._quiet_ms

    def strip(self, now_ms: int) -> list[float | None]:
        """The share of each half hour for which the line was up, the one that runs now last; None before the start."""
        self._count(now_ms)
        last = now_ms // SLOT_MS
        return [self._share(slot, now_ms) for slot in range(last - SLOTS + 1, last + 1)]

    def _share(self, slot: int, now_ms: int) -> float | None:
        begin, end = max(slot * SLOT_MS, self._started_ms), min((slot + 1) * SLOT_MS, now_ms)
        if begin > end or (begin == end and begin != now_ms):
            return None
        return round(self._up_ms.get(slot, 0) / (end - begin), 4) if end > begin else float(self._is_up)

    def _count(self, now_ms: int) -> None:
        """Put the time since the last count into its half hours, and forget those that are over."""
        oldest = now_ms // SLOT_MS - SLOTS + 1
        at = max(self._counted_ms, oldest * SLOT_MS)
        while self._is_up and at < now_ms:
            slot = at // SLOT_MS
            end = min((slot + 1) * SLOT_MS, now_ms)
            self._up_ms[slot] = self._up_ms.get(slot, 0) + end - at
            at = end
        self._counted_ms = max(self._counted_ms, now_ms)
        if len(self._up_ms) > SLOTS:
            self._up_ms = {slot: up_ms for slot, up_ms in self._up_ms.items() if slot >= oldest}


def badge_of(unsent: int, silent_since_ms: int | None) -> str:
    """The word for how a controller and its cloud stand: SILENT, WAITING or UP_TO_DATE."""
    if silent_since_ms is not None:
        return SILENT
    return WAITING if unsent else UP_TO_DATE
