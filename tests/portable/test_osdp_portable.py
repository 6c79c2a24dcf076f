"""The OSDP codec and link on the real MicroPython, with the same checks and the same bytes as on CPython."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = Path(__file__).with_name("osdp_portable_checks.py")
MICROPYTHON = Path(sys.executable).with_name("micropython")


def run(interpreter: str) -> list[str]:
    done = subprocess.run([interpreter, str(CHECKS), str(ROOT)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_checks_hold_on_cpython() -> None:
    """The checks themselves are right here."""
    assert run(sys.executable)[-1].startswith("ok")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="MicroPython's wheel is for x86-64 Linux only"
)
def test_micropython_does_the_same() -> None:
    """Every check holds on MicroPython, as many as on CPython, and a sealed frame has the same bytes."""
    assert run(str(MICROPYTHON)) == run(sys.executable)
