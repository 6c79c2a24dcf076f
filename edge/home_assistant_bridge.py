"""Between a running agent and Home Assistant: looks at the agent each second, says what changed, and, where it may,
passes openings on. Blocking, on one thread beside paho's; the agent decides and records as for every command.
"""

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from edge import home_assistant
from edge.console.api import ApiError
from edge.home_assistant import ONLINE, OPENING, Place
from edge.home_assistant_line import Heard, Line

LOOK_S = 1.0
SOON_S = 0.1  # after an opening, so that Home Assistant sees it
MOST_EVENTS = 500  # of one look: some milliseconds of the agent's loop
STALE_S = 5.0  # a command that waited for so long, the agent being away, opens nothing any more
OPEN_EVERY_S = 1.0  # a door at most: whoever floods the topic does not fill the agent's log
WHO = "home-assistant"
Ask = Callable[..., dict[str, Any]]


class Bridge:
    """ask(op, **arguments): the agent's answer, or ApiError. tell(line): what is wrong, once each time it changes.
    names: passages with numbers and details. may_open: `line` listens to the doors' command topics."""

    def __init__(
        self, ask: Ask, place: Place, line: Line, *, may_open: bool, names: bool, tell: Callable[[str], None]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._ask = ask
        self._place = place
        self._line = line
        self._may_open = may_open
        self._names = names
        self._tell = tell
        self._told: dict[str, str] = {}
        self._connects = 0
        self._discovery: dict[str, Any] = {}
        self._said: dict[str, str] = {}  # retained topics, as the broker has them
        self._log = ""
        self._seen_seq = 0
        self._opened_s: dict[str, float] = {}

    def run(self, stopping: threading.Event) -> None:
        """Until told to stop, up to a second later."""
        self._line.start()
        try:
            while not stopping.is_set():
                status = self._status()
                if self._line.is_up:
                    self._show(status)
                self._tell_once("broker", self._line.trouble and f"the broker {self._line.trouble}")
                self._obey_for(LOOK_S)
        finally:
            self._line.stop()

    def _status(self) -> dict[str, Any] | None:
        try:
            status = self._ask("status")
        except ApiError as error:
            self._tell_once("agent", str(error))
            return None
        self._told.pop("agent", None)
        return status

    def _tell_once(self, whom: str, said: str) -> None:
        """Of the agent or the broker, once until it is another thing or is over."""
        if said and self._told.get(whom) != said:
            self._tell(said)
        self._told[whom] = said

    def _show(self, status: dict[str, Any] | None) -> None:
        """Entities first, then their states, then that we are there; then what happened meanwhile."""
        if self._connects != self._line.connects:
            self._connects = self._line.connects
            self._said = {}
        if status is not None:
            found = home_assistant.discovery(self._place, status, self._may_open)
            self._discovery = home_assistant.without(self._discovery, found)
            self._say(self._place.discovery_topic, json.dumps(self._discovery, ensure_ascii=False))
        for topic, payload in home_assistant.states(self._place, status).items():
            self._say(topic, payload)
        self._say(self._place.availability_topic, ONLINE)
        if status is not None:
            self._pass_events(status)

    def _say(self, topic: str, payload: str) -> None:
        if self._said.get(topic) != payload and self._line.say(topic, payload):
            self._said[topic] = payload

    def _pass_events(self, status: dict[str, Any]) -> None:
        """What was recorded since the last look. A log that was not known before is history up to now."""
        log = status["log"]
        if log["id"] != self._log:
            self._log, self._seen_seq = log["id"], log["last_seq"]
        if log["last_seq"] <= self._seen_seq:
            return
        try:
            page = self._ask("events", after_seq=self._seen_seq, limit=MOST_EVENTS)
        except ApiError as error:
            self._tell_once("agent", str(error))
            return
        doors = [door["id"] for door in status["doors"]]
        for event in page["events"] if page["log"] == self._log else ():
            self._seen_seq = event["seq"]
            passed = home_assistant.passage(self._place, event, status["clock"]["utc_ms"], doors, self._names)
            if passed is not None:
                self._line.say(passed[0], json.dumps(passed[1], ensure_ascii=False), retain=False)

    # --- openings -------------------------------------------------------------------------------------------------

    def _obey_for(self, wait_s: float) -> None:
        end_s = time.monotonic() + wait_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                heard = self._line.heard.get(timeout=left_s)
            except queue.Empty:
                return
            if self._obey(heard):
                end_s = min(end_s, time.monotonic() + SOON_S)

    def _obey(self, heard: Heard) -> bool:
        """Whether the agent was told to open a door."""
        door = heard.topic.split("/")[-2]
        now_s = time.monotonic()
        if not self._may_open or heard.payload.decode(errors="replace") not in OPENING:
            self.counts["ignored"] += 1
            return False
        if now_s - heard.at_s > STALE_S or now_s - self._opened_s.get(door, -OPEN_EVERY_S) < OPEN_EVERY_S:
            self.counts["dropped"] += 1
            return False
        try:
            self._ask("command", action="open", door=door, who=WHO)
        except ApiError as error:
            self._tell_once("agent", str(error))
            return False
        self._opened_s[door] = now_s
        self.counts["opened"] += 1
        return True
