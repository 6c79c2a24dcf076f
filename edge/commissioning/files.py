"""Performs the steps of a journal, each of them durable before the next one begins. The only I/O of this package."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from edge.commissioning.journal import BESIDE, Move, Step, Write


class StepError(Exception):
    """A step could not be performed: one line. The steps before it hold, none after it was begun."""


def perform(folder: Path, steps: Iterable[Step]) -> None:
    """Perform the steps in order. StepError."""
    for step in steps:
        try:
            _perform(folder, step)
        except OSError as error:
            raise StepError(f"{folder / step.name}: {error.strerror}; free space or check its owner") from None


def _perform(folder: Path, step: Step) -> None:
    path = folder / step.name
    if isinstance(step, Write):
        beside = folder / (step.name + BESIDE)
        _write(beside, step.content)
        os.replace(beside, path)
    elif isinstance(step, Move):
        os.replace(path, folder / step.to)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    _sync_folder(folder)


def _write(path: Path, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()  # of a step that was cut off
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)  # the umask may have taken more away
        file.write(content)
        file.flush()
        os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    """Make new names and those that went durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
