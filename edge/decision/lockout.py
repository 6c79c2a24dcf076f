"""Wrong codes lock the keypads of a controller: requirements.md D5.

Portable. Five wrong codes lock for 30 s, each further one doubles that up to 15 min; the count falls by one every
10 minutes; a right code resets nothing. At most 150 guesses are looked at in 24 h. Durations run on the monotonic
clock; what is kept across a restart are durations, so a restart never shortens a lock.
"""

import struct

LIMIT = 5
FIRST_LOCK_MS = 30000
LONGEST_LOCK_MS = 900000
DECAY_MS = 600000
DAY_MS = 86400000
DAILY_GUESSES = 150
_KEPT = ">HIIBq"


class Lockout:
    """The count of wrong codes, shared by all doors of the controller."""

    def __init__(self):
        self._count = 0
        self._decays_at_ms = 0
        self._until_ms = None
        self._guesses = []  # monotonic times of the latest wrong codes within a day
        self._alarmed = False

    def is_locked(self, mono_ms):
        """Whether codes are refused unseen now."""
        return self._until_ms is not None and mono_ms < self._until_ms

    def until_ms(self):
        """When the running lock ends (monotonic), or None."""
        return self._until_ms

    def next_due(self):
        """When `due` next has something to do (monotonic ms), or None."""
        if self._until_ms is not None:
            return self._until_ms
        return self._decays_at_ms if self._count else None

    def wrong(self, mono_ms):
        """Count an `unknown` code. Returns whether this one is worth an alarm: the first lock since the count
        was last zero."""
        self._decay(mono_ms)
        if not self._count:
            self._decays_at_ms = mono_ms + DECAY_MS
        self._count += 1
        self._guesses = [at for at in self._guesses if mono_ms - at < DAY_MS] + [mono_ms]
        if self._count >= LIMIT:
            doublings = min(self._count - LIMIT, 10)
            self._until_ms = mono_ms + min(FIRST_LOCK_MS << doublings, LONGEST_LOCK_MS)
        if len(self._guesses) >= DAILY_GUESSES:
            self._until_ms = max(self._until_ms or 0, self._guesses[-DAILY_GUESSES] + DAY_MS)
        first = self._until_ms is not None and self.is_locked(mono_ms) and not self._alarmed
        self._alarmed = self._alarmed or first
        return first

    def due(self, mono_ms):
        """Run what is due. Returns (whether a lock has just ended, whether what is kept should be kept anew)."""
        before = self._count
        self._decay(mono_ms)
        is_over = self._until_ms is not None and mono_ms >= self._until_ms
        if is_over:
            self._until_ms = None
        return is_over, is_over or (before > 0 and self._count == 0)

    def _decay(self, mono_ms):
        while self._count and mono_ms >= self._decays_at_ms:
            self._count -= 1
            self._decays_at_ms += DECAY_MS
        if not self._count:
            self._alarmed = False

    def keep(self, moment):
        """What to keep across a restart: bytes."""
        mono_ms = moment.mono_ms
        left_ms = max(0, (self._until_ms or 0) - mono_ms)
        decay_ms = max(0, self._decays_at_ms - mono_ms)
        head = struct.pack(_KEPT, self._count, left_ms, decay_ms, self._alarmed, moment.utc_ms)
        ages = [min(mono_ms - at, DAY_MS) for at in self._guesses[-DAILY_GUESSES:]]
        return head + b"".join([struct.pack(">I", age) for age in ages])

    def restore(self, kept, moment):
        """Take up what was kept; bytes that are not of this form count as nothing kept. What the machine was off for
        counts by the wall clock where that is trusted and moved forward, else not at all."""
        size = struct.calcsize(_KEPT)
        if len(kept) < size or (len(kept) - size) % 4:
            return
        self._count, left_ms, decay_ms, alarmed, kept_ms = struct.unpack_from(_KEPT, kept, 0)
        self._alarmed = bool(alarmed)
        then_ms = moment.mono_ms - (max(0, moment.utc_ms - kept_ms) if moment.trusted else 0)
        self._decays_at_ms = then_ms + decay_ms
        self._until_ms = then_ms + left_ms if left_ms else None
        ages = struct.unpack(">%dI" % ((len(kept) - size) // 4), kept[size:])
        self._guesses = [then_ms - age for age in ages]
