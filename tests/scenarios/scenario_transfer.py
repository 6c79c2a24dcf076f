"""A residence of three halls whose manager changes: two managers' data folders, and each hall's agent, board, reader
and installer."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import scenario_transfer_child
from edge_controller import DEADLINE_S, answers, ask, until, vantail
from scenario_processes import ROOT

from edge.commissioning import password
from edge.decision.indications import GREEN, RED
from edge.decision.model import LOCK
from edge.reader import card_format
from edge.service import RESTART
from firmware_sim.line_board import LineBoard
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine
from firmware_sim.transfer_chapter import KEY, NAMES, NEW, RESIDENT
from firmware_sim.transfer_hall import LIGHTS, PASSWORD


class Desk:
    """One manager at his data folder; `vantail-cloud` commands."""

    def __init__(self, data: Path, process: subprocess.Popen) -> None:
        self._data, self._process = data, process

    def must(self, *arguments: object) -> str:
        """The output of a command that has to work."""
        self._process.stdin.write(json.dumps(["--data", str(self._data), *map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        code, out, err = json.loads(self._process.stdout.readline())
        assert code == 0, (arguments, err)
        return out


@contextlib.contextmanager
def desk(data: Path) -> Iterator[Desk]:
    """In a process of its own, which ends with the block: a process has one data folder."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "cloud" / "transfer_child.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    try:
        yield Desk(data, process)
    finally:
        process.stdin.close()
        process.wait(DEADLINE_S)
        process.stdout.close()


class Hall:
    """A controller in its hall. `exits`: the exit codes of its agent, which is started again after RESTART. `tried`,
    `refused`: of the resident's badge, which is shown to the side reader all the time."""

    def __init__(self, place: Path, name: str, is_quick: bool) -> None:
        self.name, self.folder, self._is_quick = name, place / name, is_quick
        self.keys, self.config, self.api = self.folder / "keys", self.folder / "agent.toml", self.folder / "api"
        self.exits: list[int] = []
        self.tried = self.refused = 0
        self.countdown_s = scenario_transfer_child.COUNTDOWN_S if is_quick else 10
        self.folder.mkdir()
        self.board = LineBoard(self.folder / "board")
        self._alone = asyncio.Lock()  # a badge at the side reader
        key, text = os.urandom(16), f'controller = "{name}"\napi = "api"\n[simulated]\nboard = "board"\n'
        for door in (name, f"{name}-cellar"):
            text += f'[[door]]\nid = "{door}"\noutputs = {{ door = "simulated" }}\n'
        self.reader = OsdpReader(f"{name}-in", 0, key) if name == NAMES[0] else None
        if self.reader is not None:
            text += f'[[bus]]\nport = "bus0"\nbaud = 115200\nreaders = [{{ id = "{name}-in", address = 0 }}]\n'
        self.config.write_text(text)
        said = vantail("keygen", "--keys", self.keys)
        assert said.returncode == 0, said.stderr
        self._keep(self.keys / "password.toml", password.make(PASSWORD, 0).toml())
        self._keep(self.folder / "secret", PASSWORD)
        if self.reader is not None:
            self._keep(self.keys / "osdp.toml", f'{name}-in = "{key.hex()}"\n')

    def _keep(self, path: Path, text: str) -> None:
        path.touch(0o600)
        path.write_text(text)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The hall at work."""
        async with contextlib.AsyncExitStack() as stack:
            if self.reader is not None:
                line = ReaderLine(self.folder / "bus0", [self.reader])
                line.open()
                stack.callback(line.close)
            await self.board.start()
            stack.push_async_callback(self.board.stop)
            serving = asyncio.create_task(self._serve())
            stack.push_async_callback(self._end, serving)
            await until(lambda: answers(self) or serving.done(), f"{self.name} answers")
            await self.board.wait_connected(DEADLINE_S)
            yield

    async def _end(self, task: asyncio.Task) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _serve(self) -> None:
        """As systemd does."""
        command = ["-m", "edge.cli", "run", "--config", str(self.config)]
        if self._is_quick:
            command = [scenario_transfer_child.__file__, str(self.config)]
        while not self.exits or self.exits[-1] == RESTART:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            try:
                self.exits.append(await process.wait())
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()

    # --- residents ------------------------------------------------------------------------------------------------

    async def come_and_go(self) -> None:
        """The resident's badge at the side reader, for ever; counted."""
        while True:
            with contextlib.suppress(ConnectionError):  # the agent is away
                self.refused += not await self.opens(RESIDENT)
                self.tried += 1
            await asyncio.sleep(0.05)

    async def opens(self, number: str) -> bool:
        """Whether a badge at the side reader opens. ConnectionError while the agent is away."""
        async with self._alone:
            await self.board.wait_connected(DEADLINE_S)
            before = self._pulses(f"{self.name}-cellar")
            self.board.present(f"{self.name}-side", "badge", number)
            await self.board.barrier(DEADLINE_S)
            return self._pulses(f"{self.name}-cellar") > before

    def _pulses(self, door: str) -> int:
        return sum(strike.ms != LOCK for strike in self.board.strikes if strike.door == door)

    # --- the installer --------------------------------------------------------------------------------------------

    async def command(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """A `vantail` command at this controller."""
        return await asyncio.to_thread(vantail, *arguments, "--config", self.config)

    async def must(self, *arguments: object) -> str:
        """The output of a command that has to work."""
        said = await self.command(*arguments)
        assert said.returncode == 0, (self.name, arguments, said.stderr)
        return said.stdout

    async def learn(self, key: str) -> subprocess.CompletedProcess[str]:
        """The whole step at this controller: password, number, reader, countdown, key; each light is looked at."""
        if self.reader is not None:
            await self._await_reader()
        seen = len(self.board.indicated)
        now = datetime.now(UTC).isoformat(timespec="seconds")  # a controller without network does not know it
        words = ("--manager", NEW, "--reader", f"{self.name}-in", "--countdown", self.countdown_s, "--time", now)
        learning = asyncio.create_task(
            self.command("learn", *words, "--password-file", self.folder / "secret", "--json")
        )
        await self._shows("learning", seen)
        before = self._pulses(self.name)
        assert self.present(RESIDENT)  # a resident who tries the learning reader spoils nothing
        assert await self.opens(RESIDENT)  # the other reader works meanwhile
        await self._shows("learning-present", seen)
        assert self.present(key)
        await self._shows("learning-done" if key == KEY else "learning-failed", seen)
        assert self._pulses(self.name) == before
        return await learning

    async def lets_in(self, number: str) -> None:
        """A badge at the reader that learnt, which is in use again."""
        if self.reader is not None:
            await self._await_reader()
        before = self._pulses(self.name)
        assert self.present(number)
        await until(lambda: self._pulses(self.name) > before, f"{self.name} opens")

    def present(self, number: str) -> bool:
        """Hold a badge to the learning reader."""
        if self.reader is not None:
            return self.reader.present_card(*card_format.encode(int(number)))
        return self.board.present(f"{self.name}-in", "badge", number)

    async def _await_reader(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not all(one["ready"] for one in (await ask(self, "status"))["readers"]):
                await asyncio.sleep(0.02)

    async def _shows(self, outcome: str, since: int) -> None:
        """Wait until the learning reader's light shows just that."""
        if self.reader is None:
            name = f"{self.name}-in"
            await until(
                lambda: any((one.reader, one.outcome) == (name, outcome) for one in list(self.board.indicated)[since:]),
                f"{name} shows {outcome}",
            )
            return
        colors, round_s = LIGHTS[outcome]
        end = time.monotonic() + DEADLINE_S
        seen: set[int] = set()
        while seen != colors:
            assert time.monotonic() < end, f"{seen} is not {outcome}"
            seen, until_s = set(), time.monotonic() + round_s
            while time.monotonic() < until_s and seen != {RED, GREEN}:  # nothing else shows both
                seen.add(self.reader.color(time.monotonic() * 1000))
                await asyncio.sleep(0.02)

    async def manager(self) -> tuple[int, int]:
        """(epoch, revision of the policy in force)."""
        view, status = await ask(self, "commission-view"), await ask(self, "status")
        return view["epoch"], status["policy"]["revision"]
