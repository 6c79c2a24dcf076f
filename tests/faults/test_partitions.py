"""Real partitions: the agent lives in a network namespace, and the one cable to its broker is taken away under open
connections, for moments and for longer than any keep-alive. Needs root, and a kernel that has namespaces."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from broker_scene import BROKERS, Scene, prepare
from test_brokers import doubts, lost_or_doubled

SEED = 20261122
EVENTS = 3_000
MOMENTS, LONG_S = 8, 100  # paho gives a line up at the latest 60 s after it heard something
NEAR, FAR = "10.213.77.1", "10.213.77.2"  # nobody routes to them: they exist on this cable only


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"


class Cable:
    """`with Cable() as cable`: a namespace `cable.name`, and one cable from NEAR here to FAR there."""

    def __init__(self) -> None:
        self.name = f"vantail{os.getpid()}"
        self._near, self._far = f"vn{os.getpid()}"[:15], f"vf{os.getpid()}"[:15]

    def __enter__(self) -> "Cable":
        ip("netns", "add", self.name)
        ip("link", "add", self._near, "type", "veth", "peer", "name", self._far)
        ip("link", "set", self._far, "netns", self.name)
        ip("addr", "add", f"{NEAR}/30", "dev", self._near)
        ip("-n", self.name, "addr", "add", f"{FAR}/30", "dev", self._far)
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "set", self._far, "up")
        self.plug(True)
        return self

    def __exit__(self, *_: object) -> None:
        ip("netns", "del", self.name)  # the cable goes with it

    def plug(self, is_in: bool) -> None:
        ip("link", "set", self._near, "up" if is_in else "down")


class Apart(Scene):
    """The agent in the cable's namespace; its line is the cable."""

    def __init__(self, cable: Cable, folder: Path) -> None:
        super().__init__("mosquitto", folder, SEED, EVENTS, 50)
        self.cable = cable

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Apart"]:
        def listening(folder: Path, port: int) -> list[str]:
            command = BROKERS["mosquitto"](folder, port)
            with (folder / "mosquitto.conf").open("a") as file:
                file.write(f"listener {port} {NEAR}\n")
            self.broker_port = port
            return command

        async with self.with_broker(listening) as scene:
            yield scene

    async def _start_agent(self, _: int) -> None:
        await self._run_agent(f"{NEAR}:{self.broker_port}", ["ip", "netns", "exec", self.cable.name])


async def story(scene: Apart) -> None:
    """Cut for moments, at work and while the agent is killed; then for so long that both ends give the line up."""
    for number in range(MOMENTS):
        await asyncio.sleep(scene.chance.uniform(0.5, 3))
        scene.cable.plug(False)
        if number % 3 == 1:
            await scene.while_off(lambda _: None)
        await asyncio.sleep(scene.chance.uniform(0.5, 10))
        scene.cable.plug(True)
    scene.cable.plug(False)
    await asyncio.sleep(LONG_S)
    scene.cable.plug(True)


@contextmanager
def short_folder():
    folder = Path(tempfile.mkdtemp(prefix="vf", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces: sudo make test-full")
def test_partitions_lose_nothing():
    """Every event is in the cloud once, and its chain is proven."""

    async def run(folder: Path):
        with Cable() as cable:
            async with Apart(cable, folder).running() as scene:
                await story(scene)
                return await scene.finish()

    with short_folder() as folder:
        prepare(folder)
        ends = asyncio.run(run(folder))
    print(f"seed {SEED}: {len(ends.cloud)} events in the cloud, each once, after {MOMENTS} cuts and one of {LONG_S} s")
    assert lost_or_doubled(ends, EVENTS) == []
    assert doubts(ends) == []
