"""What proves a command fresh: a challenge of ours that it carries. Sans-io; times are monotonic milliseconds.

A challenge is 16 random bytes, lives in memory only, is good for one command and for 10 s. So what was queued, repeated
or comes late opens nothing (architecture, "Sync"; row Y4).
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from edge.uplink.messages import Command

GOOD_MS = 10_000
MOST = 8  # at once; the oldest goes first: who repeats requests gets no more memory
SIZE = 16

FRESH = "fresh"
AGAIN = "again"  # the broker delivered it twice: the first one is answered
STALE = "challenge"  # its challenge is not ours, was used for another, or is older than 10 s


class _Given(NamedTuple):
    challenge: bytes
    good_until_ms: int


class Challenges:
    """Those that are out, one for each request. random_bytes: n bytes that nobody can foresee."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._out: dict[bytes, _Given] = {}  # by request, the oldest first
        self._used: deque[tuple[bytes, bytes]] = deque(maxlen=MOST)  # (request, challenge)

    def give(self, request: bytes, now_ms: int) -> bytes:
        """The challenge for the command that `request` announces; the same again as long as it is good."""
        known = self._out.pop(request, None)
        if known is None or now_ms >= known.good_until_ms:
            known = _Given(self._random_bytes(SIZE), now_ms + GOOD_MS)
        while len(self._out) >= MOST:
            del self._out[next(iter(self._out))]
        self._out[request] = known
        return known.challenge

    def redeem(self, command: Command, now_ms: int) -> str:
        """FRESH where a command carries the good challenge that was given for it; it is good no more afterwards. AGAIN
        where it did so before, else STALE."""
        pair = (command.request, command.challenge)
        if pair in self._used:
            return AGAIN
        given = self._out.pop(command.request, None)
        if given is None or given.challenge != command.challenge or now_ms >= given.good_until_ms:
            return STALE
        self._used.append(pair)
        return FRESH
