"""What can go wrong with the files, as few kinds of error.

Each message is one line: what was seen, and what to do.
"""

import sqlite3
from pathlib import Path

_ADVICE = {
    "SQLITE_FULL": "the disk is full; free space on it",
    "SQLITE_BUSY": "another process has it open; stop that one (is a second agent running?)",
    "SQLITE_LOCKED": "another process has it open; stop that one (is a second agent running?)",
    "SQLITE_CANTOPEN": "it cannot be opened; check that its folder exists and belongs to the agent's user",
    "SQLITE_READONLY": "it cannot be written; check its owner, its mode and whether the disk is read-only",
    "SQLITE_PERM": "it cannot be opened; check its owner and mode",
    "SQLITE_IOERR": "the disk failed; check the kernel's messages and replace the card or disk",
    "SQLITE_CORRUPT": "the file is damaged; it is set aside and a new one begun",
    "SQLITE_NOTADB": "the file is not a database; it is set aside and a new one begun",
}


class StorageError(Exception):
    """A file could not be read or written. `code`: SQLite's name of the error ("SQLITE_FULL"), or ""."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DamagedError(Exception):
    """The file's content cannot be relied on: it is set aside."""


class AcknowledgeRefused(StorageError):  # noqa: N818 (the word for it)
    """An acknowledgement covers events that were never recorded here."""


class PolicyRefused(StorageError):  # noqa: N818 (the word for it)
    """A policy change does not fit what is stored, which stays as it was.

    `needs_snapshot`: only a snapshot can help; otherwise nothing is missing."""

    def __init__(self, message: str, needs_snapshot: bool) -> None:
        super().__init__(message)
        self.needs_snapshot = needs_snapshot


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken (https://www.sqlite.org/rescode.html), not the disk or the request."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # A header that names another format is SQLITE_ERROR, like a mistake in our SQL: only the words tell.
    return primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "unsupported file format" in str(error)


def from_sqlite(error: sqlite3.Error, path: Path) -> StorageError:
    """The StorageError that says what SQLite reported about the file at `path`, and what to do."""
    code = getattr(error, "sqlite_errorname", "")
    primary = "_".join(code.split("_")[:2])  # SQLITE_IOERR_FSYNC is a kind of SQLITE_IOERR
    advice = _ADVICE.get(primary, "this is a fault of the program; please report it")
    return StorageError(f"{path}: {error}{f' ({code})' if code else ''}: {advice}", code)
