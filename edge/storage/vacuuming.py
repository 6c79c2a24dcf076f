"""Giving pages that events have left back to the disk, a few at a time.

A file keeps its free pages and fills them again, so only what it will not need soon goes: a log that was drained after
months without the cloud is large, and would be for ever. Needs a file begun with auto_vacuum = INCREMENTAL
(https://www.sqlite.org/pragma.html#pragma_auto_vacuum); older ones stay as large as they are until a restore.
"""

import sqlite3
from collections.abc import Generator
from functools import partial
from typing import Any

from edge.storage.database import Read, Step, Write

SLICE_PAGES = 16  # moved by one write: a few milliseconds on a Raspberry Pi
SPARE = 0.25  # of the pages in use may be free
SPARE_PAGES = 256  # and so many in any case: 1 MiB


def vacuuming() -> Generator[Step, Any, int]:
    """The steps that bring the free pages down to what may be spared. Returns how many pages the file gave back."""
    surplus: int = yield Read(_surplus)
    before = surplus
    while surplus > 0:
        left: int = yield Write(partial(_give_back, pages=min(surplus, SLICE_PAGES)))
        if left >= surplus:
            break  # it cannot shrink: it was begun without
        surplus = left
    if surplus < before:
        yield Read(lambda connection: connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())
    return before - surplus


def _surplus(connection: sqlite3.Connection) -> int:
    """Free pages beyond those that may stay."""
    free, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
    return max(0, int(free - max(SPARE_PAGES, SPARE * (pages - free))))


def _give_back(connection: sqlite3.Connection, pages: int) -> int:
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()  # a step of it moves one page
    return _surplus(connection)
