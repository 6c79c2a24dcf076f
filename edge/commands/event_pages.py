"""Events out of the agent, a page at a time: it answers a few hundred at once, and goes on deciding in between."""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.console.api import call

PAGE = 500  # events of one answer: some milliseconds of the agent's loop
Event = dict[str, Any]


class Pages:
    """The events that match `filters`, out of the agent at the socket `api`. `log`: the id of the log they are of."""

    def __init__(self, api: Path, filters: Mapping[str, Any]) -> None:
        self._api = api
        self._filters = filters
        self.log = ""

    def last_seq(self) -> int:
        """The number of the newest event of all, whatever the filters; 0 for none."""
        newest = self._ask(limit=1)
        return int(newest[0]["seq"]) if newest else 0

    def newest(self, limit: int) -> Iterator[Event]:
        """The newest `limit` that match, in their order."""
        if limit <= PAGE:
            yield from self._ask(limit=limit, **self._filters)
            return
        last = self.last_seq()
        if not self._filters:
            yield from self.upwards(max(0, last - limit), last)
            return
        yield from deque(self.upwards(0, last), maxlen=limit)

    def upwards(self, after_seq: int, last_seq: int) -> Iterator[Event]:
        """All that match above `after_seq`, up to `last_seq`."""
        while after_seq < last_seq:
            page = self._ask(limit=PAGE, after_seq=after_seq, **self._filters)
            for event in page:
                if event["seq"] > last_seq:
                    return
                yield event
            if len(page) < PAGE:
                return
            after_seq = page[-1]["seq"]

    def _ask(self, **arguments: Any) -> list[Event]:
        answer = call(self._api, "events", timeout_s=60.0, **arguments)
        self.log = str(answer["log"])
        return [{**event, "log": self.log} for event in answer["events"]]
