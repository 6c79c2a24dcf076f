"""The demo: broker, cloud, one agent a controller and the hardware, as separate processes, playing a day."""

import asyncio
import contextlib
import functools
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from edge.residence import values
from edge.residence.day import Step, read_day
from edge.residence.problems import first_error, has_errors
from edge.residence.reading import read
from firmware_sim import door_places, door_wallet
from firmware_sim.building import Hardware, build
from firmware_sim.control import all_events, ask_agent, ask_cloud, cloud_events
from firmware_sim.door_bench import Bench
from firmware_sim.door_page import DoorPage
from firmware_sim.network_cut import NetworkCut
from firmware_sim.player import Played, Player, Station, insist
from firmware_sim.processes import Process, python
from firmware_sim.screen import Screen

READY_S = 60.0
DRAIN_S = 90.0
BEFORE_MS = 60_000  # the controllers start a minute before the first step
MOSQUITTO = ("allow_anonymous true", "persistence false")


class DemoError(Exception):
    """The demo cannot be played; one line that says what was seen and what to do."""


class Demo:
    """One building at work. Use as `async with Demo(…).running() as demo`."""

    def __init__(self, building: Path, day: Path, folder: Path, broker: str, screen: Screen) -> None:
        self.residence, self.steps = _read(building, day)
        self._building = building
        self._folder = folder
        self._broker_kind = broker
        self._screen = screen
        self._cut = NetworkCut()
        self._utc_ms = (self.steps[0].at_ms if self.steps else int(time.time() * 1000)) - BEFORE_MS
        self.cloud_address = ""
        self.doors_address = ""
        self.page: DoorPage | None = None
        self.hardware: dict[str, Hardware] = {}
        self.stations: dict[str, Station] = {}
        self.broker: Process
        self.cloud: Process
        self.agents: dict[str, Process] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Demo"]:
        """Everything up and ready; everything ended afterwards, in the order in which data runs."""
        try:
            await self._start()
            yield self
        finally:
            if self.page is not None:
                await self.page.stop()
            for name in self.hardware:
                await self.hardware[name].close()
            for process in [*self.agents.values(), *self._servers()]:
                await process.end()
            await self._cut.stop()

    def player(self) -> Player:
        return Player(self.residence, self.stations, self.set_network, self.restart)

    async def set_network(self, is_up: bool) -> None:
        """Cut every controller from the cloud, or let them reach it again."""
        if is_up:
            await self._cut.restore()
        else:
            self._cut.cut()

    async def restart(self, controller: str) -> None:
        """Cut a controller's power and give it back."""
        starts = self.agents[controller].starts
        station = self.stations[controller]
        await station.ask("settle", True)
        self.agents[controller].kill()
        station.control.drop()
        async with asyncio.timeout(READY_S):
            while self.agents[controller].starts == starts:
                await asyncio.sleep(0.02)
        await self._await_ready(controller)

    async def is_secure(self) -> bool:
        """Whether every OSDP reader (there is at least one) talks through a secure channel."""
        readers = [reader for hardware in self.hardware.values() for reader in hardware.readers.values()]
        return bool(readers) and all(reader.is_secure for reader in readers)

    async def count(self) -> dict[str, int]:
        """Bring the network back, wait until the cloud has what it can have, and compare the logs."""
        await self.set_network(True)
        recorded: set[tuple[str, str, int]] = set()
        for name, station in self.stations.items():
            events = await self._all_events(station)
            recorded |= {(name, event["log"], event["seq"]) for event in events}
        stored = await self._await_cloud(recorded)
        return {
            "recorded": len(recorded),
            "in_cloud": len(stored),
            "lost": len(recorded - set(stored)),
            "duplicates": len(stored) - len(set(stored)),
        }

    async def _all_events(self, station: Station) -> list[dict[str, Any]]:
        async with asyncio.timeout(READY_S):
            while True:
                with contextlib.suppress(ConnectionError):
                    return await all_events(station.hardware.api)
                await asyncio.sleep(0.05)

    async def _await_cloud(self, recorded: set[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
        end = time.monotonic() + DRAIN_S
        while True:
            stored: list[tuple[str, str, int]] = []
            with contextlib.suppress(OSError):
                stored = [(e["controller"], e["log"], e["seq"]) for e in await cloud_events(self.cloud_address)]
            if recorded <= set(stored) or time.monotonic() > end:
                return stored
            await asyncio.sleep(0.1)

    # --- starting -------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._screen.say(f"{self.residence.name}: {len(self.residence.controllers)} controllers")
        if self._folder.exists():
            shutil.rmtree(self._folder)
        (self._folder / "log").mkdir(parents=True)
        await self._start_broker()
        agents_port = await self._cut.start(self._broker_port)
        wired = {step.door for step in self.steps if step.medium == "contact"}
        made = build(self.residence, self._folder, agents_port, lambda door: door in wired)
        self.hardware = {hardware.controller.id: hardware for hardware in made}
        for hardware in made:
            await hardware.open()
        await self._start_page(frozenset(wired))
        await self._start_cloud()
        for name, hardware in self.hardware.items():
            self.stations[name] = Station(hardware, self._utc_ms)
            command = functools.partial(self._agent_command, hardware)
            self.agents[name] = Process(name, command, self._log(name), Path.cwd())
            await self.agents[name].start()
        for name in self.hardware:
            await self._await_ready(name)
        for station in self.stations.values():
            await station.new_events()

    async def _start_page(self, wired: frozenset[str]) -> None:
        """The page that draws the doors; `wired`: those with a door position switch."""
        benches = []
        for name, at in self.hardware.items():
            places = door_places.of_residence(self.residence, name, contacts=wired)
            benches.append(Bench(name, places, at.board, at.readers, at.lines, at.api))
        self.page = DoorPage(benches, door_wallet.of_residence(self.residence), self.residence.name)
        self.doors_address = await self.page.start()

    def _agent_command(self, hardware: Hardware) -> list[str]:
        clock = self.stations[hardware.controller.id].clock
        times = ["--utc-ms", str(clock["utc_ms"]), "--mono-ms", str(clock["mono_ms"])]
        times += [] if clock["trusted"] else ["--untrusted"]
        files = ["--config", str(hardware.config), "--control", str(hardware.control)]
        return python("firmware_sim.driven_agent", *files, *times)

    async def _start_broker(self) -> None:
        self._broker_port = free_port()
        if self._broker_kind == "mosquitto":
            path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
            if path is None:
                raise DemoError("mosquitto is not installed; install it, or leave --broker out")
            config = self._folder / "mosquitto.conf"
            lines = [f"listener {self._broker_port} 127.0.0.1", *MOSQUITTO]
            config.write_text("\n".join(lines) + "\n")
            command = [path, "-c", str(config)]
        else:
            command = python("firmware_sim.broker_process", str(self._broker_port))
        self.broker = Process("broker", lambda: command, self._log("broker"), Path.cwd())
        await self.broker.start()
        await self._until(self._broker_answers, "broker", self.broker)

    async def _broker_answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            return False
        writer.close()
        return True

    async def _start_cloud(self) -> None:
        data = ["--data", str(self._folder / "cloud")]
        now = ["--now", datetime.fromtimestamp(self._utc_ms / 1000, UTC).isoformat()]
        await self._cloud_command(*data, "import", str(self._building.resolve()), *now)
        for name, hardware in self.hardware.items():
            await _run("vantail", python("edge.cli", "keygen", "--keys", str(hardware.keys)))
            await self._cloud_command(*data, "provision", name, "--keys", str(hardware.keys))
        await self._cloud_command(*data, "publish", *now)
        port = free_port()
        broker = f"mqtt://127.0.0.1:{self._broker_port}"
        command = python("cloud_stub.cli", *data, "serve", "--broker", broker, "--port", str(port))
        command.append("--until-stdin-closes")
        self.cloud_address = f"http://127.0.0.1:{port}/"
        self.cloud = Process("cloud", lambda: command, self._log("cloud"), Path.cwd())
        await self.cloud.start()
        await self._until(self._cloud_answers, "cloud", self.cloud)

    async def _cloud_answers(self) -> bool:
        try:
            return await ask_cloud(self.cloud_address, "/healthz") == b"ok\n"
        except OSError:
            return False

    async def _cloud_command(self, *arguments: str) -> None:
        await _run("vantail-cloud", python("cloud_stub.cli", *arguments))

    async def _await_ready(self, controller: str) -> None:
        """The agent answers, has a policy in force, its readers are secure and its board is connected."""
        hardware = self.hardware[controller]

        async def is_ready() -> bool:
            try:
                status = await ask_agent(hardware.api, "status")
            except ConnectionError:
                return False
            ready = all(reader["ready"] for reader in status["readers"])
            return bool(status["policy"]["in_force"] and ready and hardware.board.is_connected)

        await self._until(is_ready, f"agent {controller}", self.agents[controller])
        await insist(lambda: self.stations[controller].control.ask("settle", True, READY_S))

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str, process: Process) -> None:
        end = time.monotonic() + READY_S
        while not await condition():
            if time.monotonic() > end:
                raise DemoError(f"{what} is not ready after {READY_S:.0f} s; it said: {process.last_line()}")
            await asyncio.sleep(0.05)

    def _servers(self) -> list[Process]:
        return [process for process in (getattr(self, "cloud", None), getattr(self, "broker", None)) if process]

    def _log(self, name: str) -> Path:
        return self._folder / "log" / f"{name}.log"


async def play(demo: Demo, screen: Screen) -> dict[str, Any]:
    """Play the whole day. Returns the report, as `--json` prints it."""
    player = demo.player()
    assert demo.page is not None
    demo.page.hands_off = "the day is being played; wait for its end"
    played: list[Played] = []
    secure = await demo.is_secure()
    for step in demo.steps:
        one = await player.play(step)
        played.append(one)
        screen.step(one)
    counts = await demo.count()
    demo.page.hands_off = ""
    secure = secure and await demo.is_secure()
    ok = all(one.is_ok for one in played) and counts["recorded"] == counts["in_cloud"] and not counts["lost"]
    return {"ok": ok, "steps": [one.as_object() for one in played], **counts, "secure_channel": secure}


def _read(building: Path, day: Path) -> tuple[values.Residence, tuple[Step, ...]]:
    if not building.is_dir():
        raise DemoError(f"{building}: no such folder; give a residence's with --building")
    residence, problems = read(building, date.today())
    if residence is None:
        raise DemoError(first_error(building, problems))
    if not day.is_file():
        raise DemoError(f"{day}: no such file; give a day's with --day")
    steps, problems = read_day(day, residence)
    if has_errors(problems):
        raise DemoError(first_error(day.parent, problems))
    return residence, steps


async def _run(name: str, command: list[str]) -> None:
    """Run a command to its end. DemoError with its own words where it fails."""
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await child.communicate()
    if child.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise DemoError(lines[-1] if lines else f"{name} ended with {child.returncode}")


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def report_line(report: dict[str, Any]) -> str:
    """The report in a line."""
    failed = len([step for step in report["steps"] if not step["ok"]])
    return (
        f"{len(report['steps'])} steps, {failed} not as expected; {report['recorded']} events recorded, "
        f"{report['in_cloud']} in the cloud, {report['lost']} lost, {report['duplicates']} twice"
    )


def dump(report: dict[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False)
