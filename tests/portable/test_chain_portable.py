"""The event log's chain on the real MicroPython: the same heads and keys as on CPython."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = Path(__file__).with_name("chain_portable_checks.py")
MICROPYTHON = Path(sys.executable).with_name("micropython")


def run(*interpreter: str) -> dict[str, str]:
    """The lines that the checks print, by their first word."""
    done = subprocess.run([*interpreter, str(CHECKS), str(ROOT)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_the_checks_hold_on_cpython() -> None:
    """They are right here, and there are some."""
    assert int(run(sys.executable)["ok"]) > 15


@pytest.mark.skipif(not MICROPYTHON.exists(), reason="MicroPython's wheel is for x86-64 Linux only")
def test_micropython_follows_the_same_chain() -> None:
    """Recorded, cut and followed there: the same head, the same next key."""
    assert run(str(MICROPYTHON), "-X", "heapsize=16M") == run(sys.executable)
