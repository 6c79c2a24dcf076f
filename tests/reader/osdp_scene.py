"""A bus of ours and libosdp's readers on a pty, in a loop of their own."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from osdp_peer import PtyLine

from edge.reader.osdp.bus import Bus, BusReader

BAUD = 115_200


class Scene:
    """A line with readers of libosdp, a bus on it, what it delivered and told."""

    def __init__(self, line: PtyLine, *readers: BusReader) -> None:
        self.line = line
        self.got: list[Any] = []
        self.bus = Bus(line.port, BAUD, readers, self.got.append, tell=self.got.append)

    async def until(self, holds: Callable[[], object], what: str, within_s: float = 10) -> Any:
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s: {self.got}"
            await asyncio.sleep(0.002)
        return holds()

    async def first(self, kind: type, count: int = 1) -> Any:
        """The first value of a kind, or the `count`-th."""
        await self.until(lambda: len(self.of(kind)) >= count, kind.__name__)
        return self.of(kind)[count - 1]

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.got if isinstance(each, kind)]

    def told(self, kind: int, at: int = 0) -> list[dict[str, Any]]:
        """The commands of a kind that a reader was given, as libosdp's dicts."""
        return [command for command in self.line.peers[at].commands if command["command"] == kind]


def play(act: Callable[[Scene], Any], line: PtyLine, *readers: BusReader) -> None:
    """Run `act` while a bus with these readers runs on the line."""

    async def run() -> None:
        scene = Scene(line, *readers)
        task = asyncio.create_task(scene.bus.run())
        try:
            await act(scene)
            assert not task.done(), "the bus ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
