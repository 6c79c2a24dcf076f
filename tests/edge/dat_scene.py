"""A controller without any network, and the cloud that knows it by files alone."""

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from edge_controller import BARE, DEADLINE_S, DOORS, EXAMPLE, Made, ask, running

from edge.cli import main
from firmware_sim.line_board import LineBoard

SITE, CONTROLLER = "clos-des-dunes", "hall-b"
READER = "hall-b-in"


class Done(NamedTuple):
    """A command that ended."""

    returncode: int
    stdout: str
    stderr: str


class Cloud:
    """`vantail-cloud` on a data folder of its own; no broker, no server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        here = Path(__file__).parent
        paths = os.pathsep.join([str(here), str(here.parents[1]), *sys.path])
        self._child = subprocess.Popen(
            [sys.executable, str(here / "dat_cloud_child.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": paths}, start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        self._child.kill()
        self._child.wait(DEADLINE_S)

    def run(self, *arguments: object) -> Done:
        """A command to its end."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps(["--data", str(self.folder), *map(str, arguments)]), file=self._child.stdin, flush=True)
        return Done(*json.loads(self._child.stdout.readline()))

    def do(self, *arguments: object) -> str:
        """A command that succeeds; what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def events(self, controller: str = CONTROLLER) -> list[dict]:
        """What is stored of a controller, by number."""
        found = [json.loads(line) for line in self.do("events", "--json").splitlines()]
        return sorted((event for event in found if event["controller"] == controller), key=lambda event: event["seq"])

    def logs(self) -> dict[str, dict]:
        """Log id → how it stands."""
        status = json.loads(self.do("status", "--json"))
        return {log["log"]: log for each in status["controllers"] for log in each["logs"]}

    def counts(self) -> dict[str, int]:
        return dict(json.loads(self.do("status", "--json"))["counts"])


def bare_controller(folder: Path, controller: str = CONTROLLER) -> Made:
    """As an installer leaves it: agent.toml without [uplink], a key of its own, no policy."""
    folder.mkdir(exist_ok=True)
    made = Made(folder, controller, {})
    made.config.write_text(BARE.format(controller=controller) + DOORS[controller])
    done = vantail("keygen", "--keys", made.keys)
    assert done.returncode == 0, done.stderr
    return made


def cloud_with(folder: Path, *controllers: Made) -> Cloud:
    """A cloud that has imported the example, knows these controllers' keys, and has published their policies."""
    cloud = Cloud(folder)
    cloud.do("import", EXAMPLE)
    for made in controllers:
        cloud.do("provision", made.controller, "--keys", made.keys)
    cloud.do("publish")
    return cloud


@contextlib.asynccontextmanager
async def at_work(made: Made) -> AsyncIterator[LineBoard]:
    """The agent as a process of its own, and its board."""
    board = LineBoard(made.board)
    await board.start()
    try:
        async with running(made):
            await board.wait_connected(DEADLINE_S)
            yield board
    finally:
        await board.stop()


async def show(board: LineBoard, badge: str) -> None:
    """Present a badge and wait until everything that follows was done."""
    board.present(READER, "badge", badge)
    await board.barrier(DEADLINE_S)


def vantail(*arguments: object) -> Done:
    """A `vantail` command to its end, in this process: there are many, and each would take half a second to begin."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(map(str, arguments)))
    return Done(code, out.getvalue(), err.getvalue())


async def dat(made: Made, *arguments: object) -> Done:
    """A `vantail dat` command to its end, without holding up the loop."""
    return await asyncio.to_thread(vantail, "dat", *arguments, "--config", made.config)


async def log_of(made: Made) -> dict:
    return dict((await ask(made, "status"))["log"])


async def revision_of(made: Made) -> int:
    return int((await ask(made, "status"))["policy"]["revision"])
