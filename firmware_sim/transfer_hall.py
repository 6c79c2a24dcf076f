"""A hall in the chapter `transfer`: a controller's agent with its hardware, and residents and an installer there."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple

from edge.commissioning import password
from edge.decision.indications import BLACK, GREEN, RED
from edge.reader import card_format
from firmware_sim.board_words import LOCK
from firmware_sim.building import Hardware
from firmware_sim.control import ask_agent
from firmware_sim.processes import Process, python

READY_S = 60.0
COUNTDOWN_S = 10  # the shortest there is
PASSWORD = "274951"  # noqa: S105 of controllers that live for a minute
LIGHTS = {  # what a reader's own light shows then, and how long one looks at it
    "learning": ({RED, GREEN}, 1.1),
    "learning-present": ({RED, BLACK}, 0.3),
    "learning-done": ({GREEN, BLACK}, 0.3),
    "learning-failed": ({RED}, 0.3),
}


class Said(NamedTuple):
    """What a command said at its end."""

    code: int
    out: str
    errors: str


async def command(module: str, *arguments: object) -> Said:
    """Run a command of ours to its end."""
    child = await asyncio.create_subprocess_exec(
        *python(module, *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return Said(child.returncode or 0, out.decode(), errors.decode(errors="replace"))


class Hall:
    """One controller. Its learning reader is NAME-in, an OSDP reader where it is on a line; NAME-side is another one,
    at the cellar's door. `tried`, `refused`: of the badges that a resident showed."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware, self.name = hardware, hardware.controller.id
        self.tried = self.refused = 0
        self._reader = hardware.readers.get(f"{self.name}-in")
        run = python("edge.cli", "run", "--config", str(hardware.config))
        self.agent = Process(self.name, lambda: run, hardware.folder / "agent.log", hardware.folder)
        for path, text in (
            (hardware.keys / "password.toml", password.make(PASSWORD, 0).toml()),
            (hardware.folder / "secret", PASSWORD),
        ):
            path.touch(0o600)
            path.write_text(text)

    async def start(self) -> None:
        """Power it, and wait until its agent answers."""
        await self.hardware.open()
        await self.agent.start()
        await self.hardware.board.wait_connected(READY_S)
        await _until(self._is_ready)

    async def end(self) -> None:
        await self.agent.end()
        await self.hardware.close()

    async def _is_ready(self) -> bool:
        try:
            status = await ask_agent(self.hardware.api, "status")
        except ConnectionError:
            return False
        return self.hardware.board.is_connected and all(one["ready"] for one in status["readers"])

    async def manager_epoch(self) -> int:
        """Which of its managers it obeys, counted from 1."""
        view = await ask_agent(self.hardware.api, "commission-view")
        return int(view["epoch"])

    async def vantail(self, *arguments: object) -> Said:
        """A `vantail` command at this controller."""
        return await command("edge.cli", *arguments, "--config", self.hardware.config)

    async def opens(self, number: str) -> bool:
        """Whether a badge at the cellar's reader opens."""
        board, door = self.hardware.board, f"{self.name}-cellar"
        await board.wait_connected(READY_S)
        before = self._pulses(door)
        board.present(f"{self.name}-side", "badge", number)
        await board.barrier(READY_S)
        return self._pulses(door) > before

    async def lets_in(self, number: str) -> bool:
        """The same of a resident, counted."""
        is_open = await self.opens(number)
        self.tried += 1
        self.refused += not is_open
        return is_open

    def _pulses(self, door: str) -> int:
        return sum(strike.ms != LOCK for strike in self.hardware.board.strikes if strike.door == door)

    async def learn(self, manager: int, key: str, resident: str, outcome: str) -> tuple[Said, list[str]]:
        """Password, number, reader, countdown, key; a resident comes meanwhile. Which of the lights that belong to it
        were seen, `outcome` the last one."""
        await _until(self._is_ready)
        since = len(self.hardware.board.indicated)
        now = datetime.now(UTC).isoformat(timespec="seconds")  # what a controller without network is told
        words = ("--manager", manager, "--reader", f"{self.name}-in", "--countdown", COUNTDOWN_S, "--time", now)
        learning = asyncio.create_task(
            self.vantail("learn", *words, "--password-file", self.hardware.folder / "secret", "--json")
        )
        seen = []
        for light in ("learning", "learning-present", outcome):
            if not await self._shows(light, since, learning):
                break
            seen.append(light)
            if light == "learning":
                await self.lets_in(resident)
            elif light == "learning-present":
                self._present(key)
        return await learning, seen

    def _present(self, number: str) -> None:
        if self._reader is not None:
            self._reader.present_card(*card_format.encode(int(number)))
        else:
            self.hardware.board.present(f"{self.name}-in", "badge", number)

    async def _shows(self, outcome: str, since: int, learning: "asyncio.Task[Said]") -> bool:
        """Whether the learning reader's light comes to show just that, while the command runs."""
        end_s = time.monotonic() + READY_S
        while time.monotonic() < end_s:
            is_over = learning.done()
            if await self._is_shown(outcome, since):
                return True
            if is_over:
                return False
        return False

    async def _is_shown(self, outcome: str, since: int) -> bool:
        if self._reader is None:
            await asyncio.sleep(0.05)
            shown = list(self.hardware.board.indicated)[since:]
            return any((one.reader, one.outcome) == (f"{self.name}-in", outcome) for one in shown)
        colors, round_s = LIGHTS[outcome]
        seen: set[int] = set()
        until_s = time.monotonic() + round_s
        while time.monotonic() < until_s:
            seen.add(self._reader.color(time.monotonic() * 1000))
            await asyncio.sleep(0.02)
        return seen == colors


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    """TimeoutError after READY_S."""
    async with asyncio.timeout(READY_S):
        while not await condition():
            await asyncio.sleep(0.05)


async def is_soon(condition: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it comes true in a while; an agent that is away meanwhile comes back."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while True:
                with contextlib.suppress(ConnectionError):
                    if await condition():
                        return True
                await asyncio.sleep(0.1)
    return False
