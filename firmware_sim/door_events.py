"""What agents record, followed over their local API."""

from collections import deque
from pathlib import Path
from typing import Any

from firmware_sim.control import ask_agent

BEFORE = 12  # events that were there before somebody looked
AT_ONCE = 200


class EventTail:
    """The newest events of one agent. `is_answering`: whether it did when it was asked last; None: not asked yet."""

    def __init__(self, api: Path) -> None:
        self.is_answering: bool | None = None
        self.events: deque[dict[str, Any]] = deque(maxlen=AT_ONCE)
        self._api = api
        self._log = ""
        self._seen = 0

    async def poll(self) -> list[dict[str, Any]]:
        """Ask once. Returns what is new, oldest first; [] too while nobody answers."""
        try:
            if not self._log:
                answer = await ask_agent(self._api, "events", limit=BEFORE)
            else:
                answer = await ask_agent(self._api, "events", after_seq=self._seen, limit=AT_ONCE)
        except ConnectionError:
            self.is_answering = False
            return []
        self.is_answering = True
        if self._log and answer["log"] != self._log:  # a new log counts from 1 again
            self._log, self._seen = "", 0
            return []
        self._log = answer["log"]
        events = sorted(answer["events"], key=lambda event: int(event["seq"]))
        self._seen = max([self._seen, *(event["seq"] for event in events)])
        self.events += events
        return events
