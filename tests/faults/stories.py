"""What happens to a controller, its broker and its cloud in the tests of this folder."""

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from broker_scene import BAD, LONG_S, Scene

from edge.storage.policy_store import PolicyStore

POLICY = ("policy.db", "policy.db-wal", "policy.db-shm", "policy.image")


async def short_story(scene: Scene) -> None:
    """Each of what a line does, once."""
    scene.line.faults = BAD
    await scene.kill_broker()
    await scene.kill_agent()
    scene.line.silent = True
    await scene.until(lambda: scene.line.counts["swallowed"] > 0, "something was said into the silence")
    scene.line.silent = False
    scene.line.reset()


def kills(count: int):
    """A story of so many kills of each, both at work in between, not one waiting for the other."""

    async def story(scene: Scene) -> None:
        scene.line.faults = BAD

        async def agent() -> None:
            for _ in range(count):
                await asyncio.sleep(scene.chance.uniform(0, 0.3))
                await scene.kill_agent()

        async def broker() -> None:
            for _ in range(count):
                await asyncio.sleep(scene.chance.uniform(0, 0.3))
                await scene.kill_broker()

        await asyncio.gather(agent(), broker())
        assert scene.broker.starts == count + 1

    return story


def turn_a_name(data: Path) -> None:
    """Somebody's name in one row becomes another one."""
    with contextlib.closing(sqlite3.connect(data / "policy.db")) as policy, policy:
        [(key, packed)] = policy.execute("SELECT key, packed FROM row ORDER BY key DESC LIMIT 1").fetchall()
        policy.execute("UPDATE row SET packed = ? WHERE key = ?", (packed[:-1] + bytes((packed[-1] ^ 1,)), key))


def policy_of(folder: Path) -> tuple[tuple[int, int], list[bytes], bool]:
    """(version, rows, whether they are those that were stored) while no agent runs."""
    store = PolicyStore.open(folder / "policy.db")
    try:
        is_whole = store.recomputed_digest().result(LONG_S) == store.digest()
        return store.version(), store.rows().result(LONG_S), is_whole
    finally:
        store.close()


def lock_down(scene: Scene, verb: str) -> None:
    """A change at the manager, by its command."""
    words = ["--data", str(scene.folder / "cloud"), verb, "clos-des-dunes"]
    subprocess.run([sys.executable, "-m", "cloud_stub.cli", *words], check=True, capture_output=True, timeout=LONG_S)


def drifting(seen: dict[str, tuple[tuple[int, int], list[bytes], bool]]):
    """A story in which rows are changed, then brought back from before; what the store held goes to `seen`, by its
    moment."""

    async def story(scene: Scene) -> None:
        def look(name: str):
            return lambda data: seen.update({name: policy_of(data)})

        def spoil(data: Path) -> None:
            look("before")(data)
            turn_a_name(data)
            look("spoiled")(data)

        def keep(data: Path) -> None:
            look("repaired")(data)
            shutil.copytree(data, scene.folder / "kept")

        def bring_back(data: Path) -> None:
            look("changed")(data)
            for name in POLICY:
                (data / name).unlink(missing_ok=True)
                if (scene.folder / "kept" / name).exists():
                    shutil.copy(scene.folder / "kept" / name, data / name)
            look("brought back")(data)

        async def at_least(revision: int) -> int:
            status = await scene.status_when(lambda now: now["policy"]["revision"] >= revision, f"policy {revision}")
            return int(status["policy"]["revision"])

        first = await at_least(1)
        # Where there is no image yet, rows that drifted are let go at the start, and come again under their number.
        await scene.until((scene.made.folder / "data" / "policy.image").exists, "the image is kept")
        await scene.while_off(spoil)
        second = await at_least(first + 1)
        await scene.while_off(keep)
        await asyncio.to_thread(lock_down, scene, "lockdown")
        third = await at_least(second + 1)
        await scene.while_off(bring_back)
        await at_least(third)
        await scene.while_off(look("in the end"))

    return story
