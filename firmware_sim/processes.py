"""The demo's child processes: started in their own session, started again when they die, ended in order."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

END_S = 8.0


class Process:
    """One child that is kept alive. `command`: called at each start, so that it may differ. Its output goes to a
    log file; the last line of it says why a child that will not start did not."""

    def __init__(self, name: str, command: Callable[[], Sequence[str]], log: Path, folder: Path) -> None:
        self.name = name
        self.starts = 0
        self._command = command
        self._log = log
        self._folder = folder
        self._child: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.on_start: Callable[[], None] | None = None

    @property
    def pid(self) -> int:
        """The child's process id; 0 while it is not running."""
        return self._child.pid if self._child is not None and self._child.returncode is None else 0

    async def start(self) -> None:
        """Start, and start again whenever it ends by itself."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    def kill(self) -> None:
        """As a power cut would: SIGKILL. It is started again."""
        if self._child is not None and self._child.returncode is None:
            self._child.kill()

    async def end(self) -> None:
        """SIGTERM, and SIGKILL for one that does not listen."""
        if self._keeper is not None:
            self._keeper.cancel()
        child = self._child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), END_S)
        except TimeoutError:
            child.kill()
            await child.wait()

    def last_line(self) -> str:
        """What it said last."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "it said nothing"

    async def _spawn(self) -> None:
        self.starts += 1
        with self._log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        if self.on_start is not None:
            self.on_start()

    async def _keep(self) -> None:
        quick = 0
        while True:
            assert self._child is not None
            began = asyncio.get_running_loop().time()
            await self._child.wait()
            quick = quick + 1 if asyncio.get_running_loop().time() - began < 2.0 else 0
            await asyncio.sleep(min(0.1 * 2**quick, 5.0))
            await self._spawn()


def python(module: str, *arguments: str) -> list[str]:
    """A command that runs one of our modules with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
