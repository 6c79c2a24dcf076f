"""Programs beside which something is measured and that must not be installed in `.venv`: each has an environment of
its own in `.venv-bench/`, made on demand."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".venv-bench"
INSTALL_S = 180


class UnavailableError(Exception):
    """The peer could not be measured; the message says why."""


def interpreter(name: str, requirement: str, install: bool) -> Path:
    """The interpreter of the environment that has `requirement`, which is made where it is not yet.
    UnavailableError where it is missing and may not or cannot be installed."""
    folder = ENVIRONMENTS / name
    python, done = folder / "bin" / "python", folder / "installed"
    if done.exists() and done.read_text() == requirement:
        return python
    if not install:
        raise UnavailableError("not installed, and --no-install was given")
    print(f"installing {requirement} in {folder.relative_to(ROOT)}", file=sys.stderr)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
    try:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except (OSError, subprocess.SubprocessError):
        raise UnavailableError(f"{requirement} could not be installed") from None
    done.write_text(requirement)
    return python
