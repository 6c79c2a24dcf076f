"""A development clock: wall and monotonic time move together, and only when they are told to."""

import os

from edge.clock import BUILD_MS
from edge.decision.model import Moment


class DrivenClock:
    """An edge.clock.Clock that stands still between `move_to` calls. Times in ms."""

    def __init__(self, utc_ms: int, mono_ms: int = 0, trusted: bool = True) -> None:
        self.boot = os.urandom(8).hex()
        self.mono_ms = mono_ms
        self.utc_ms = utc_ms
        self.trusted = trusted
        self.is_declared = False
        self._floor_ms = BUILD_MS

    def moment(self) -> Moment:
        return Moment(self.mono_ms, self.utc_ms, self.trusted, self._floor_ms)

    def wait_s(self, deadline_ms: int | None) -> float | None:
        """Nothing falls due by itself."""
        return None

    def raise_floor(self, utc_ms: int) -> None:
        self._floor_ms = max(self._floor_ms, utc_ms)

    def believe(self) -> None:
        """The simulator alone says whether wall time is trusted."""

    def declare(self, utc_ms: int) -> int:
        """The installer sets wall time."""
        if utc_ms < BUILD_MS:
            raise ValueError("a time before this program was made")
        self.set_wall(utc_ms)
        self.trusted, self.is_declared = True, True
        return self.utc_ms - self.mono_ms

    def declare_again(self, ahead_ms: int) -> None:
        """The simulator alone says what time it is."""

    @property
    def floor_ms(self) -> int:
        return self._floor_ms

    def move_by(self, passed_ms: int) -> None:
        """Let time pass on both clocks."""
        self.mono_ms += passed_ms
        self.utc_ms += passed_ms

    def set_wall(self, utc_ms: int) -> None:
        """Step wall time, as an installer would; the monotonic clock stays, the floor may fall."""
        self.utc_ms = utc_ms
        self._floor_ms = min(self._floor_ms, utc_ms)
