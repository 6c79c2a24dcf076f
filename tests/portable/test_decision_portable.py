"""D8: the decision core on the real MicroPython: the same image, decisions, schedules and day as on CPython."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = Path(__file__).with_name("decision_portable_checks.py")
MICROPYTHON = Path(sys.executable).with_name("micropython")


def run(*interpreter: str) -> dict[str, str]:
    """The lines that the checks print, by their first word."""
    done = subprocess.run([*interpreter, str(CHECKS), str(ROOT)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_the_checks_hold_on_cpython() -> None:
    """The checks themselves are right here, and there are many."""
    assert int(run(sys.executable)["ok"]) > 5000


@pytest.mark.skipif(not MICROPYTHON.exists(), reason="MicroPython's wheel is for x86-64 Linux only")
@pytest.mark.parametrize("what", ["image", "decisions", "schedules", "day", "kept", "ok"])
def test_micropython_gives_the_same(what: str) -> None:
    """Compiled, decided and played there from the same seeds: the same bytes and the same digests."""
    both = lines()
    assert both[1][what] == both[0][what]


_lines: list = []


def lines() -> list:
    """Both interpreters' lines, run once."""
    if not _lines:
        _lines.extend([run(sys.executable), run(str(MICROPYTHON), "-X", "heapsize=16M")])
    return _lines
