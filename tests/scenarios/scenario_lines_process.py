"""The real agent as a process of its own that can be killed, on GPIO lines whose kernel is this side of a socket.

Each agent is forked from a process that has loaded everything already, so that a thousand starts take minutes. Where
the program would ask the kernel for its lines it is given a double of the chip, which tells each level that it drives
over a Unix socket. The end of that connection is what tells a kernel too that a process is gone: its descriptors are
closed.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from scenario_lines import Box, until

_FORKS = """
import os, signal, socket, sys
import gpiod
import edge.cli, edge.commands.run, edge.service, pymodbus.client, serial_asyncio, sqlite_utils
from firmware_sim.gpio_double import ChipDouble

def serve(folder):
    chip = ChipDouble()
    kernel = socket.socket(socket.AF_UNIX)
    kernel.connect(folder + "/kernel")
    chip.on_put = lambda line, level: kernel.sendall(b"%d %d\\n" % (line, level))
    gpiod.request_lines = chip.request_lines
    sys.argv = ["vantail", "run", "--config", folder + "/agent.toml"]
    return edge.cli.main()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child = 0
while folder := sys.stdin.readline().strip():
    child = os.fork()
    if not child:
        os.close(0)
        os._exit(serve(folder) or 0)
    print(child, flush=True)
if child:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class Kernel:
    """What drives the relays: two kernels at once. `strict` takes a dead process's outputs back to their pull, as with
    strict_gpiod; `keeping` leaves them as driven, as Raspberry Pi's do without it."""

    def __init__(self) -> None:
        self.strict: dict[int, bool] = {}
        self.keeping: dict[int, bool] = {}
        self.history: list[tuple[int, bool]] = []  # of the strict one
        self.deaths = 0
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(path))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        claimed = set()
        while line := await reader.readline():
            offset, level = (int(word) for word in line.split())
            claimed.add(offset)
            self.keeping[offset] = bool(level)
            self._put(offset, bool(level))
        for offset in claimed:
            self._put(offset, False)
        self.deaths += 1
        writer.close()

    def _put(self, offset: int, level: bool) -> None:
        if self.strict.get(offset, False) != level:
            self.history.append((offset, level))
        self.strict[offset] = level


class Forks:
    """Starts agents on a box, one at a time, and kills them. `kernel` has their GPIO lines."""

    def __init__(self, box: Box, process: asyncio.subprocess.Process, kernel: Kernel) -> None:
        self.box, self.kernel = box, kernel
        self._process = process
        self._pid = 0

    async def start(self) -> None:
        """Start an agent; it needs a moment."""
        assert not self._pid
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self.box.folder}\n".encode())
        async with asyncio.timeout(60):
            self._pid = int(await self._process.stdout.readline())

    async def kill(self) -> float:
        """SIGKILL, from outside; returns when its kernel has noticed, with the monotonic moment of the kill."""
        deaths = self.kernel.deaths
        os.kill(self._pid, signal.SIGKILL)
        at_s = time.monotonic()
        self._pid = 0
        await until(lambda: self.kernel.deaths > deaths, "the process is gone")
        return at_s


@contextlib.asynccontextmanager
async def forks(box: Box) -> AsyncIterator[Forks]:
    """What starts agents on this box; all of it is gone after the block."""
    kernel = Kernel()
    await kernel.start(box.folder / "kernel")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _FORKS,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    started = Forks(box, process, kernel)
    try:
        yield started
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it ends by that, and takes its agent with it
        async with asyncio.timeout(60):
            await process.wait()
        await kernel.stop()
