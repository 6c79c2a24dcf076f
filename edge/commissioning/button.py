"""The button inside the cabinet: held for ten seconds it resets the controller to factory. Pure; monotonic ms.

A button that is down when the controller starts, or is stuck, resets nothing: it has to be seen released first.
"""

RESET_MS = 10_000


class Button:
    """`tick` says when the reset is due, once a press."""

    def __init__(self) -> None:
        self._was_up = False
        self._due_ms: int | None = None

    def next_due(self) -> int | None:
        """When `tick` next has something to do."""
        return self._due_ms

    def change(self, is_down: bool, now_ms: int) -> bool:
        """It was pressed or released (debounced). Returns whether that let the time of a reset pass."""
        is_due = self.tick(now_ms)
        if not is_down:
            self._was_up, self._due_ms = True, None
        elif self._was_up:
            self._was_up, self._due_ms = False, now_ms + RESET_MS
        return is_due

    def tick(self, now_ms: int) -> bool:
        """Whether the controller shall be reset now."""
        if self._due_ms is None or now_ms < self._due_ms:
            return False
        self._due_ms = None
        return True
