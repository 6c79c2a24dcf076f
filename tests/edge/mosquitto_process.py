"""A real mosquitto 2.0 from the files of `vantail-cloud broker-config`, on a free loopback port, ended by its pid."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

DEADLINE_S = 60  # against hanging, not a measure

# Ends mosquitto when this test's end of the pipe closes, however the test ended.
_KEEPER = """
import os, signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
os.read(0, 1)
child.kill()
child.wait()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program():
    """Where mosquitto is; Debian installs it where only root looks."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found, "these tests need mosquitto: apt install mosquitto"
    return found


class Mosquitto:
    """`with Mosquitto(folder, port) as broker:`, `folder` as broker-config wrote it. without: words of lines that are
    left out of its configuration, for negative controls."""

    def __init__(self, folder: Path, port: int, without: tuple[str, ...] = ()) -> None:
        self.folder, self.port = folder, port
        lines = (folder / "mosquitto.conf").read_text().splitlines()
        kept = [line for line in lines if not line.startswith(without)] if without else lines
        if os.geteuid() == 0:
            kept.append("user root")  # else mosquitto takes another user, who may not enter this folder
        (folder / "test.conf").write_text("\n".join(kept) + "\n")
        self._keeper, self.pid = None, 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self) -> None:
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-c", _KEEPER, program(), "-c", str(self.folder / "test.conf")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        self.pid = int(self._keeper.stdout.readline())
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError(f"mosquitto does not listen on {self.port}:\n{self.log()}")

    def stop(self) -> None:
        if self._keeper:
            self._keeper.stdin.close()
            self._keeper.wait(DEADLINE_S)
            self._keeper.stdout.close()
            self._keeper = None

    def reload(self) -> None:
        """SIGHUP, and until it said that it has read its files again."""
        before = self.log().count("Reloading config")
        os.kill(self.pid, signal.SIGHUP)
        end = time.monotonic() + DEADLINE_S
        while self.log().count("Reloading config") == before:
            assert time.monotonic() < end, "mosquitto does not reload"
            time.sleep(0.01)

    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text()
