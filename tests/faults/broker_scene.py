"""A broker between a controller and its cloud, each a process that may be killed, and a fault line on each side of the
broker: one that is bad, before the agent, and one that only looks, before the cloud."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from edge_controller import DEADLINE_S, DOORS, Made, answers, ask, until
from fault_line import CALM, DOWN, UP, FaultLine, Faults

from cloud_stub.enrolment import broker_files
from edge.console.api import ApiError
from firmware_sim.control import all_events, ask_cloud, cloud_events
from firmware_sim.demo import free_port
from firmware_sim.processes import Process, python

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "clos-des-dunes"
CONTROLLER = "hall-b"
LONG_S = 1.5 * DEADLINE_S
BAD = Faults(loss=0.05, repeat=0.05, late=0.05)
_OPEN = "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
_NATS = """\
server_name: one
listen: "127.0.0.1:-1"
jetstream {{ store_dir: "{folder}" }}
mqtt {{ listen: "127.0.0.1:{port}" }}
"""
_AGENT = """\
controller = "{controller}"
api = "api"
[simulated]
board = "board"
[uplink]
broker = "mqtt://{broker}"
"""


def program(name: str) -> list[str]:
    """A server, which Debian installs where only root looks, so that it dies with us however we end (prctl(2))."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found, f"these tests need {name}: apt install {name}"
    return ["setpriv", "--pdeathsig", "KILL", found]


def _mosquitto(folder: Path, port: int, more: str = "") -> list[str]:
    text = _OPEN.format(port=port, folder=folder) + more + ("user root\n" if os.geteuid() == 0 else "")
    (folder / "mosquitto.conf").write_text(text)
    return [*program("mosquitto"), "-c", str(folder / "mosquitto.conf")]


def _recommended() -> str:
    """What `vantail-cloud broker-config` writes of limits and of saving; a line that is encrypted has no packets that
    could be counted, so TLS and names are left out here, and tested in tests/edge/test_enrol_command.py."""
    wanted = ("max_", "autosave")
    return "".join(f"{line}\n" for line in broker_files.CONFIGURATION.splitlines() if line.startswith(wanted))


def _nats(folder: Path, port: int) -> list[str]:
    (folder / "nats.conf").write_text(_NATS.format(folder=folder / "jetstream", port=port))
    return [*program("nats-server"), "-c", str(folder / "nats.conf")]


BROKERS: dict[str, Callable[[Path, int], list[str]]] = {
    "iotcore": lambda _, port: python("firmware_sim.broker_process", str(port)),
    "mosquitto": _mosquitto,
    "mosquitto-recommended": lambda folder, port: _mosquitto(folder, port, _recommended()),
    "nats": _nats,
}


def is_over(pid: int) -> bool:
    """Ended, and perhaps not waited for yet (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Child(Process):
    """Started again at once, however often it is killed."""

    async def _keep(self) -> None:
        while True:
            assert self._child is not None
            await self._child.wait()
            await self._spawn()


class Ends(NamedTuple):
    """What both ends have at the end. lost: by the broker, acknowledged with PUBACK and not handed on, each way."""

    log: list[dict[str, Any]]
    cloud: list[dict[str, Any]]
    summary: dict[str, Any]
    lost: dict[str, int]
    said: dict[str, int]
    counts: Counter[str]
    status: dict[str, Any]


class Scene:
    """Use as `async with scene.running()`."""

    def __init__(self, kind: str, folder: Path, seed: int, events: int, per_s: float) -> None:
        self.kind, self.folder, self.events, self.per_s = kind, folder, events, per_s
        self.chance = random.Random(seed)
        self.line, self.watch = FaultLine(seed), FaultLine()
        self.made = Made(folder / "agent", CONTROLLER, {})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Scene"]:
        """Everything up; everything ended afterwards."""
        async with self.with_broker(BROKERS[self.kind]):
            yield self

    @contextlib.asynccontextmanager
    async def with_broker(self, make: Callable[[Path, int], list[str]]) -> AsyncIterator["Scene"]:
        """make: writes a broker's files into the folder, and gives the command that serves the port."""
        port = free_port()
        command = make(self.folder, port)
        self.broker = Child("broker", lambda: command, self.folder / "broker.log", Path.cwd())
        try:
            await self.broker.start()
            await self._await_broker(port)
            await self._start_cloud(await self.watch.start(port))
            await self._start_agent(await self.line.start(port))
            yield self
        finally:
            for process in [getattr(self, name, None) for name in ("agent", "cloud", "broker")]:
                if process is not None:
                    await process.end()
            await self.line.stop()
            await self.watch.stop()

    async def _await_broker(self, port: int) -> None:
        async def is_open() -> bool:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                return True
            return False

        async with asyncio.timeout(LONG_S):
            while not await is_open():
                await asyncio.sleep(0.05)

    async def _start_cloud(self, port: int) -> None:
        web = free_port()
        self.address = f"http://127.0.0.1:{web}/"
        command = python("cloud_stub.cli", "--data", str(self.folder / "cloud"), "serve", "--port", str(web))
        command += ["--broker", f"mqtt://127.0.0.1:{port}", "--until-stdin-closes"]
        self.cloud = Process("cloud", lambda: command, self.folder / "cloud.log", Path.cwd())
        await self.cloud.start()
        await until(lambda: self.watch.bytes[DOWN] > 0, "the cloud is subscribed")

    async def _start_agent(self, port: int) -> None:
        await self._run_agent(f"127.0.0.1:{port}", [])

    async def _run_agent(self, broker: str, before: list[str]) -> None:
        head = _AGENT.format(controller=CONTROLLER, broker=broker)
        self.made.config.write_text(head + DOORS[CONTROLLER].replace('contact = "simulated"\n', ""))
        words = [str(self.made.config), str(self.events), str(self.per_s)]
        command = [*before, sys.executable, str(HERE / "storm_agent.py"), *words]
        self.agent = Process("agent", lambda: command, self.folder / "agent.log", Path.cwd())
        await self.agent.start()
        await until(lambda: answers(self.made), "the agent answers")

    # --- what happens to it -----------------------------------------------------------------------------------

    @property
    def agent_pid(self) -> int:
        """Of the agent itself, as it said last."""
        pids = [int(line) for line in (self.folder / "agent.log").read_text().splitlines() if line.isdecimal()]
        return pids[-1]

    async def kill_agent(self) -> None:
        """kill -9, and until it has said something again."""
        before = self.agent_pid
        os.kill(before, signal.SIGKILL)
        await until(lambda: self.agent_pid != before, "the agent starts again")
        heard = self.line.messages[UP]
        await self.until(lambda: self.line.messages[UP] > heard, "the agent is heard again")

    async def kill_broker(self) -> None:
        """kill -9, and until it has heard the agent and answered the cloud again."""
        starts = self.broker.starts
        self.broker.kill()
        await until(lambda: self.broker.starts > starts, "the broker starts again")
        heard, told = self.line.messages[UP], self.watch.bytes[DOWN]
        await self.until(
            lambda: self.line.messages[UP] > heard and self.watch.bytes[DOWN] > told, "both ends are back at the broker"
        )

    async def while_off(self, change: Callable[[Path], None]) -> None:
        """kill -9, a change in the agent's data folder while nothing runs, and a start."""
        os.kill(self.agent.pid, signal.SIGSTOP)  # who starts it again
        before = self.agent_pid
        os.kill(before, signal.SIGKILL)
        await until(lambda: is_over(before), "the agent ends")
        change(self.made.folder / "data")
        os.kill(self.agent.pid, signal.SIGCONT)
        await until(lambda: self.agent_pid != before, "the agent starts again")

    async def status_when(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """The agent's status once it is so."""
        end, status = asyncio.get_running_loop().time() + LONG_S, dict[str, Any]()
        while True:
            with contextlib.suppress(ApiError):
                status = await ask(self.made, "status")
                if condition(status):
                    return status
            assert asyncio.get_running_loop().time() < end, self._story(f"{what}: {status.get('uplink')}")
            await asyncio.sleep(0.05)

    def _story(self, what: str) -> str:
        """Why it did not come so far, in the words of all three."""
        logs = [f"{name}: {(self.folder / f'{name}.log').read_text()[-600:]}" for name in ("agent", "cloud", "broker")]
        return "\n".join((f"{self.kind}: not within {LONG_S} s: {what}", *logs))

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Until it is true; it may take as long as paho waits before it tries again, and longer."""
        end = asyncio.get_running_loop().time() + LONG_S
        while not condition():
            assert asyncio.get_running_loop().time() < end, self._story(what)
            await asyncio.sleep(0.02)

    async def finish(self) -> Ends:
        """Peace, until the cloud has acknowledged everything; then what both have."""
        self.line.faults, self.line.silent = CALM, False
        self.line.reset()  # what was lost is sent again at once: how long that takes else is a test of simulated time
        status = await self.status_when(
            lambda now: now["log"]["last_seq"] >= self.events and now["uplink"] and not now["uplink"]["pending"],
            "everything is acknowledged",
        )
        log, cloud = await all_events(self.made.api), await cloud_events(self.address)
        summary = json.loads(await ask_cloud(self.address, "/api/summary"))
        lost = {
            UP: len(self.line.acknowledged[UP] - self.watch.given[DOWN]),
            DOWN: len(self.watch.acknowledged[UP] - self.line.given[DOWN]),
        }
        said = {UP: len(self.line.acknowledged[UP]), DOWN: len(self.watch.acknowledged[UP])}
        return Ends(log, cloud, summary, lost, said, self.line.counts, status)


_PREPARE = """
import sys
from cloud_stub.cli import main as cloud
from edge.cli import main as vantail
folder, example, controller = sys.argv[1:]
data = ("--data", folder + "/cloud")
assert not vantail(["keygen", "--keys", folder + "/agent/keys"])
assert not cloud([*data, "import", example])
assert not cloud([*data, "provision", controller, "--keys", folder + "/agent/keys"])
assert not cloud([*data, "publish"])
"""


def prepare(folder: Path) -> None:
    """A cloud with the example residence and a controller's folder, bound to each other; to be copied."""
    (folder / "agent").mkdir()
    words = [sys.executable, "-c", _PREPARE, str(folder), str(EXAMPLE), CONTROLLER]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONG_S, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr


async def play(kind: str, folder: Path, story: Callable[["Scene"], Awaitable[None]], **size: Any) -> Ends:
    """A story with a broker of that kind, from its beginning to the end of every process."""
    scene = Scene(kind, folder, **size)
    async with scene.running():
        await story(scene)
        return await scene.finish()
