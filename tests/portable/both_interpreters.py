"""The same checks on CPython and on the real MicroPython."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")
needs_micropython = pytest.mark.skipif(not MICROPYTHON.exists(), reason="MicroPython's wheel is for x86-64 Linux only")


def on_cpython(checks: str) -> list[str]:
    """The lines that the file `checks` of this folder prints."""
    return _run(checks, sys.executable)


def on_micropython(checks: str) -> list[str]:
    """The same, there."""
    return _run(checks, str(MICROPYTHON), "-X", "heapsize=16M")


def by_first_word(lines: list[str]) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in lines)


def _run(checks: str, *interpreter: str) -> list[str]:
    path = Path(__file__).with_name(checks)
    done = subprocess.run([*interpreter, str(path), str(ROOT)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
