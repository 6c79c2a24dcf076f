"""What the tests of many sites share: `vantail-cloud` commands and workers as processes, on any database."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

DEADLINE_S = 60  # against hanging, not a measure


class Cloud:
    """A data folder, and the database at `url`; "": SQLite in it."""

    def __init__(self, data: Path, url: str = "") -> None:
        self.data = data
        self.environment = {**os.environ, "VANTAIL_DATABASE": url}

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "cloud_stub.cli", "--data", str(self.data), *map(str, words)]

    def run(self, *words: object) -> str:
        """What a command printed."""
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=self.environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def ingesting(self, broker: str, log: Path) -> Iterator[subprocess.Popen]:
        """A worker that has said that messages can come; killed at the end if it lives."""
        with log.open("a") as errors:
            process = subprocess.Popen(
                self.command("ingest", "--broker", broker, "--until-stdin-closes"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
                env=self.environment,
            )  # fmt: skip
        try:
            assert process.stdout.readline().startswith("ingest from "), log.read_text()
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
            process.stdin.close()


def until(condition, what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until a condition is true; fail where it never is."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.05)
