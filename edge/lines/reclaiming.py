"""When a GPIO line that failed is claimed again, and when people are told of it.

Sans-io. A line that comes and goes is told of once, not at each turn; but one that goes and stays away is always told
of, also where it was told shortly before.
"""

PAUSES_S = (0.25, 1.0, 5.0)  # before it is claimed again; the last one repeats
GOOD_S = 60.0  # good for so long before it fails, or away for so long: then it is news


class Reclaiming:
    """The failures of one line, or of several that are claimed together. now_s: of any clock that never goes back."""

    def __init__(self) -> None:
        self._tries = 0
        self._failed_s = float("-inf")  # last seen not to work
        self._away_since_s = 0.0
        self._is_told = False

    def failed(self, now_s: float) -> bool:
        """It failed while it was in use; whether that is news."""
        self._is_told = now_s - self._failed_s >= GOOD_S
        if self._is_told:
            self._tries = 0
        self._failed_s = self._away_since_s = now_s
        return self._is_told

    def refused(self, now_s: float) -> bool:
        """It could not be claimed again; whether that is news."""
        self._failed_s = now_s
        is_news = not self._is_told and now_s - self._away_since_s >= GOOD_S
        self._is_told = self._is_told or is_news
        return is_news

    def back(self) -> bool:
        """It was claimed again; whether that is news, as its failure was."""
        was_told, self._is_told = self._is_told, False
        return was_told

    def pause_s(self) -> float:
        """How long to wait before it is claimed again, longer each time."""
        self._tries += 1
        return PAUSES_S[min(self._tries, len(PAUSES_S)) - 1]
