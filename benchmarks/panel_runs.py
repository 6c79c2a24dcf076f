"""One run of `badge_to_strike`: the readers in one process, one panel in another."""

import multiprocessing
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from bare_poller import serve_barely
from osdp_panels import serve_libosdp, serve_ours, serve_ours_clear, serve_ours_recording
from paced_readers import MASTER_KEY, Lengths, Load, Run, Task, play_readers
from peer_environments import interpreter

PYPI_OSDP = "osdp==1.6"
PEER = Path(__file__).with_name("peers") / "osdp_peer.py"
ON_DISK = Path("/var/tmp")  # /tmp may be memory, where a commit costs nothing
LOOK_S = 0.2

Serve = Callable[[str, Task, Connection], None]


class RunError(Exception):
    """A run that gave no figures. The message says which and why."""


class Side(NamedTuple):
    """Who answers the cards. `serve` None: PyPI's osdp, a program in an environment of its own."""

    name: str
    serve: Serve | None


OURS = Side("vantail", serve_ours)
OURS_CLEAR = Side("vantail's bus without secure channel, not in the product", serve_ours_clear)
OURS_RECORDING = Side("vantail, recorded first", serve_ours_recording)
BARE = Side("bare poller, same lengths", serve_barely)
LIBOSDP = Side("libosdp ControlPanel", serve_libosdp)
PYPI = Side("PyPI osdp ControlPanel", None)


class Figures(NamedTuple):
    """What one run gave. Milliseconds; shares of one processor in percent; `told`: what the panel itself counted."""

    side: Side
    task: Task
    led_ms: list[float]
    output_ms: list[float]
    lengths: Lengths
    idle: Load
    busy: Load
    lost: int = 0
    told: Any = None

    @property
    def all_ms(self) -> list[float]:
        return self.led_ms + self.output_ms


def p50(values: list[float]) -> float:
    return statistics.median(values)


def p95(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 95 // 100) - 1]


def share(load: Load) -> float:
    """Percent of one processor."""
    return load.cpu_s / load.wall_s * 100


def us_per_exchange(load: Load) -> float:
    """Microseconds of processor time for each exchange."""
    return load.cpu_s / max(load.exchanges, 1) * 1e6


def measure(side: Side, task: Task, install: bool = True) -> Figures:
    """Run `side` beside the readers of `task`. RunError, or UnavailableError where PyPI's osdp cannot be had."""
    if side.serve is None:
        task = task._replace(has_master_key=task.is_secure)
        interpreter("osdp", PYPI_OSDP, install)
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    with tempfile.TemporaryDirectory(dir=ON_DISK if ON_DISK.is_dir() else None) as folder:
        path = Path(folder) / "line"
        readers = context.Process(target=play_readers, args=(path, far, task), daemon=True)
        readers.start()
        far.close()
        panel: _Panel | None = None
        try:
            if near.recv() != "ready":
                raise RunError(f"{side.name}: the readers did not come up")
            panel = _Panel(side, str(path), task)
            near.send(panel.pid)
            run = _wait(near, panel, f"{side.name}, {task.readers} readers at {task.baud} baud")
            told = panel.ask() if side is OURS_RECORDING else None
        except EOFError:
            raise RunError(f"{side.name}, {task.readers} readers at {task.baud} baud: not answered in time") from None
        finally:
            if panel is not None:
                panel.end()
            readers.terminate()
            readers.join()
    return Figures(side, task, *run, told)


def _wait(pipe: Connection, panel: "_Panel", what: str) -> Run:
    while not pipe.poll(LOOK_S):
        if not panel.is_alive():
            raise RunError(f"{what}: the panel ended by itself")
    run: Run = pipe.recv()
    return run


class _Panel:
    """The panel's process."""

    def __init__(self, side: Side, path: str, task: Task) -> None:
        self._process: BaseProcess | subprocess.Popen[bytes]
        if side.serve is None:
            key = MASTER_KEY.hex() if task.is_secure else ""
            python = interpreter("osdp", PYPI_OSDP, install=False)
            program = [str(python), str(PEER), path, str(task.baud), str(task.readers), key]
            self._process = subprocess.Popen(program, start_new_session=True)
        else:
            context = multiprocessing.get_context("spawn")
            self._near, far = context.Pipe()
            self._process = context.Process(target=side.serve, args=(path, task, far), daemon=True)
            self._process.start()

    def is_alive(self) -> bool:
        if isinstance(self._process, BaseProcess):
            return self._process.is_alive()
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def ask(self) -> Any:
        """Stop it and take what it has to tell."""
        self._near.send("stop")
        return self._near.recv()

    def end(self) -> None:
        self._process.terminate()
        if isinstance(self._process, BaseProcess):
            self._process.join()
        else:
            self._process.wait()
