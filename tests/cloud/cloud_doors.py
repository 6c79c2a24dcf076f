"""A real agent at a real broker, `vantail-cloud serve` at the other end, a simulated board as its door, and somebody
who listens to what goes down."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
from cloud_device import Device, bind
from edge_controller import BARE, DEADLINE_S, DOORS, Made, ask, running

from edge.decision.model import LOCK
from edge.uplink import signing
from firmware_sim.line_board import LineBoard

DOOR = "hall-b"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cloud_command(data: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A `vantail-cloud` command in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "cloud_stub.cli", "--data", str(data), *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextlib.contextmanager
def serving(data: Path, port: int) -> Iterator[str]:
    """`serve` at the broker on that port; its address. It ends when its standard input closes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cloud_stub.cli", "--data", str(data), "serve", "--port", "0", "--until-stdin-closes",
         "--broker", f"mqtt://127.0.0.1:{port}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Tap:
    """Everything that goes down to one device, as it came, and what it says."""

    def __init__(self, device: Device, port: int) -> None:
        self.device = device
        self.heard: list[tuple[str, bytes]] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.on_connect = lambda client, *_: client.subscribe(device.topic + "down/#", qos=1)
        self.client.on_message = lambda _client, _data, message: self.heard.append((message.topic, message.payload))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def of(self, kind: str) -> list[bytes]:
        return [payload for topic, payload in list(self.heard) if topic.endswith("down/" + kind)]

    def policies(self) -> list[tuple[int, int]]:
        """(from, to) of each policy that was sent."""
        parts = [signing.verify_policy_part(raw, self.device.down) for raw in self.of("policy")]
        return sorted({(part.from_revision, part.to_revision) for part in parts})

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Box:
    """Hall B's controller: its folder, its board, and its agent while it runs."""

    def __init__(self, folder: Path, board: LineBoard, tap: Tap) -> None:
        self.made, self.board, self.tap = Made(folder, DOOR, {}), board, tap

    @contextlib.asynccontextmanager
    async def at_work(self, revision: int) -> AsyncIterator[None]:
        """The agent, once it has that revision and its board."""
        async with running(self.made):
            await self.board.wait_connected(DEADLINE_S)
            await self.reaches(revision)
            yield

    async def reaches(self, revision: int) -> None:
        """Wait until that revision is what the doors go by: each event is recorded under the one in force."""
        end = asyncio.get_running_loop().time() + DEADLINE_S
        while await self._in_force() < revision:
            assert asyncio.get_running_loop().time() < end, f"revision {revision} does not come"
            await asyncio.sleep(0.02)

    async def _in_force(self) -> int:
        status = await ask(self.made, "status")
        found = (await ask(self.made, "events", reason="policy"))["events"]
        newest = int(found[-1]["detail"].rpartition(" ")[2]) if found else 0
        return min(newest, status["policy"]["revision"]) if status["policy"]["in_force"] else 0

    async def present(self, number: str) -> tuple[str, str]:
        """Show a badge; (result, reason) of what is recorded of it."""
        before = (await ask(self.made, "status"))["log"]["last_seq"]
        self.board.present("hall-b-in", "badge", number)
        await self.board.barrier(DEADLINE_S)
        found = [
            event for event in (await ask(self.made, "events", limit=100))["events"]
            if event["seq"] > before and event["medium"] == "badge"
        ]  # fmt: skip
        return found[-1]["result"], found[-1]["reason"]

    def pulses(self) -> int:
        return sum(strike.ms != LOCK for strike in self.board.strikes)


@contextlib.asynccontextmanager
async def boxed(controller: object, port: int) -> AsyncIterator[Box]:
    """Hall B bound to us, its agent not running yet. The folder's path is short: a socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="vc"))
    made = Made(folder, DOOR, {})
    uplink = f'[uplink]\nbroker = "mqtt://127.0.0.1:{port}"\n\n[clock]\nrtc = true\n\n'  # a hold needs its time
    made.config.write_text(BARE.format(controller=DOOR) + uplink + DOORS[DOOR])
    device = bind(controller, made.keys)
    os.chmod(made.keys, 0o700)
    board, tap = LineBoard(made.board), Tap(device, port)
    await board.start()
    try:
        yield Box(folder, board, tap)
    finally:
        tap.close()
        await board.stop()
        shutil.rmtree(folder, ignore_errors=True)


__all__ = ["DEADLINE_S", "DOOR", "Box", "Tap", "ask", "boxed", "cloud_command", "free_port", "serving"]
