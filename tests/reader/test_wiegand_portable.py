"""The Wiegand decoder and the wired keypads on CPython and on the real MicroPython, with the same checks."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = Path(__file__).with_name("wiegand_portable_checks.py")


def run(interpreter: str) -> str:
    done = subprocess.run([interpreter, str(CHECKS), str(ROOT)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_the_checks_hold_on_cpython() -> None:
    """Words, faults and keys, literally."""
    assert run(sys.executable).startswith("ok")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="MicroPython's wheel is for x86-64 Linux only"
)
def test_micropython_does_the_same() -> None:
    """Every check holds on MicroPython, as many as on CPython."""
    assert run(str(Path(sys.executable).with_name("micropython"))) == run(sys.executable)
