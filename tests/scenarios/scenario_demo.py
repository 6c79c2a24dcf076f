"""A demo at work on a thread of its own, so that plain tests can look at it, disturb it and present badges."""

import asyncio
import io
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from scenario_processes import DEADLINE_S

from edge.residence.day import Step
from firmware_sim.control import ask_agent
from firmware_sim.demo import Demo
from firmware_sim.player import Played
from firmware_sim.screen import Screen

STEP_S = 60.0


class Playing:
    """`with Playing(building, day, folder) as playing`: processes and hardware are up inside the block."""

    def __init__(self, building: Path, day: Path, folder: Path) -> None:
        self.demo = Demo(building, day, folder / "d", "iotcore", Screen(io.StringIO()))
        self.folder = folder / "d"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo", daemon=True)
        self._scope = self.demo.running()

    def __enter__(self) -> "Playing":
        self._thread.start()
        try:
            self.run(self._scope.__aenter__(), 2 * DEADLINE_S)
        except BaseException:
            self._end_loop()
            raise
        self.player = self.demo.player()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._scope.__aexit__(None, None, None), 2 * DEADLINE_S)
        finally:
            self._end_loop()

    @property
    def broker_port(self) -> int:
        """Where the broker itself listens, behind the line that can be cut."""
        return self.demo._broker_port

    def run(self, work: Coroutine[Any, Any, Any], deadline_s: float = STEP_S) -> Any:
        """Do it on the demo's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(deadline_s)

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call a plain function on the demo's loop."""

        async def once() -> Any:
            return function(*arguments)

        return self.run(once())

    def play(self, step: Step) -> Played:
        """Play a step."""
        played: Played = self.run(self.player.play(step))
        return played

    def status(self, controller: str) -> dict[str, Any]:
        return dict(self.run(ask_agent(self.demo.hardware[controller].api, "status")))

    def events(self, controller: str) -> list[dict[str, Any]]:
        """The newest thousand events of a controller's log."""
        answer = self.run(ask_agent(self.demo.hardware[controller].api, "events", limit=1000))
        return list(answer["events"])

    def last_seq(self, controller: str) -> int:
        events = self.events(controller)
        return int(events[-1]["seq"]) if events else 0

    def await_event(self, controller: str, after: int, deadline_s: float = DEADLINE_S, **wanted: object) -> Any:
        """The first event above seq `after` whose fields are those wanted."""

        async def look() -> Any:
            end = time.monotonic() + deadline_s
            while True:
                answer = await ask_agent(self.demo.hardware[controller].api, "events", after_seq=after, limit=1000)
                for event in answer["events"]:
                    if all(event[name] == value for name, value in wanted.items()):
                        return event
                said = [(event["result"], event["reason"], event["detail"]) for event in answer["events"]]
                assert time.monotonic() < end, f"{controller}: no event {wanted} within {deadline_s} s, but {said}"
                await asyncio.sleep(0.02)

        return self.run(look(), deadline_s + STEP_S)

    def until(self, condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until a condition, asked on the demo's loop, is true."""

        async def look() -> None:
            end = time.monotonic() + deadline_s
            while not condition():
                assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
                await asyncio.sleep(0.01)

        self.run(look(), deadline_s + STEP_S)

    def until_async(self, condition: Callable[[], Awaitable[bool]], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Likewise for a condition that must wait itself."""

        async def look() -> None:
            end = time.monotonic() + deadline_s
            while not await condition():
                assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
                await asyncio.sleep(0.02)

        self.run(look(), deadline_s + STEP_S)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()
