"""What proves a command fresh: a challenge of ours that it carries. Sans-io; times are monotonic milliseconds.

A challenge is 16 random bytes, lives in memory only, is good for one command and for 10 s. So what was queued, repeated
or comes late opens nothing (architecture, "Sync"; row Y4).
"""

from collections.abc import Callable

from edge.uplink.messages import Command

GOOD_MS = 10_000
MOST = 8  # at once; the oldest goes first: who repeats requests gets no more memory
SIZE = 16


class Challenges:
    """Those that are out. random_bytes: n bytes that nobody can foresee."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._out: dict[bytes, tuple[bytes, int]] = {}  # challenge → (request, good until)

    def give(self, request: bytes, now_ms: int) -> bytes:
        """A new challenge for the command that `request` announces."""
        while len(self._out) >= MOST:
            del self._out[next(iter(self._out))]
        challenge = self._random_bytes(SIZE)
        self._out[challenge] = (request, now_ms + GOOD_MS)
        return challenge

    def redeem(self, command: Command, now_ms: int) -> bool:
        """Whether a command carries a challenge that is good, and was given for it. It is good no more afterwards."""
        request, good_until_ms = self._out.pop(command.challenge, (b"", 0))
        return request == command.request and now_ms < good_until_ms
