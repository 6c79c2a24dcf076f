"""An event as a row of the log's file, and the search through such rows."""

import sqlite3
from collections.abc import Generator
from typing import Any, NamedTuple

from edge.decision.model import Event

SEARCH_ROWS = 1000  # one step of a search: a few milliseconds on a Raspberry Pi

_COLUMNS = (
    "seq, late, policy_revision, at_ms, trusted, door, reader, medium, credential, result, reason, output, detail"
)
READ = f"SELECT {_COLUMNS} FROM event WHERE seq >= ? ORDER BY seq LIMIT ?"  # noqa: S608 (constants)
SEARCH = f"""SELECT {_COLUMNS} FROM event
    WHERE seq BETWEEN :low AND :high
    AND (:since_ms IS NULL OR at_ms >= :since_ms) AND (:until_ms IS NULL OR at_ms < :until_ms)
    AND (:door IS NULL OR door = :door) AND (:reader IS NULL OR reader = :reader)
    AND (:medium IS NULL OR medium = :medium) AND (:credential IS NULL OR credential = :credential)
    AND (:result IS NULL OR result = :result) AND (:reason IS NULL OR reason = :reason)
    AND (:text IS NULL OR (door || ' ' || reader || ' ' || medium || ' ' || coalesce(credential, '') || ' ' || result
        || ' ' || reason || ' ' || output || ' ' || detail) LIKE :text ESCAPE '!')
    ORDER BY seq * :direction LIMIT :limit"""  # noqa: S608 (constants; what is asked for is bound)
_WRITTEN = f"{_COLUMNS}, boot, chain, commitment"
INSERT = f"INSERT INTO event ({_WRITTEN}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 (constants)


Line = tuple[Any, ...]
"""The values for INSERT."""


class LoggedEvent(NamedTuple):
    """An event as it stands in the log. late: it was written after the door had moved."""

    seq: int
    late: bool
    policy_revision: int
    event: Event


def first_seq(connection: sqlite3.Connection) -> int:
    """The lowest number in the file; 0 where it holds no event."""
    return connection.execute("SELECT min(seq) FROM event").fetchone()[0] or 0


def line(seq: int, late: bool, policy_revision: int, event: Event, boot: int) -> Line:
    """The values for INSERT, but for the last two: the link of the chain, and a commitment or None."""
    credential = None if event.credential is None else str(event.credential)
    return (
        seq, int(late), policy_revision, event.at_ms, int(event.trusted), event.door, event.reader, event.medium,
        credential, event.result, event.reason, event.output, event.detail, boot,
    )  # fmt: skip


def logged(row: tuple[Any, ...]) -> LoggedEvent:
    """The event of a row that READ or SEARCH gave."""
    seq, late, policy_revision, at_ms, trusted, door, reader, medium, credential, *words = row
    number = None if credential is None else int(credential)
    event = Event(at_ms, bool(trusted), door, reader, medium, number, *words)
    return LoggedEvent(seq, bool(late), policy_revision, event)


def pattern(text: str) -> str:
    """The LIKE pattern that finds `text` anywhere."""
    # Pages show numbers with leading zeros; the file holds them without.
    wanted = (text.lstrip("0") or "0") if text.isdigit() else text
    for special in "!%_":
        wanted = wanted.replace(special, "!" + special)
    return f"%{wanted}%"


def search(
    connection: sqlite3.Connection, filters: dict[str, Any], after_seq: int | None, limit: int
) -> Generator[None, None, list[LoggedEvent]]:
    """Windows of numbers, upwards from `after_seq` or downwards from the end, until `limit` were found."""
    last = connection.execute("SELECT last_seq FROM head").fetchone()[0]
    direction = -1 if after_seq is None else 1
    low = last - SEARCH_ROWS + 1 if after_seq is None else max(after_seq + 1, first_seq(connection))
    found: list[LoggedEvent] = []
    while low <= last and low + SEARCH_ROWS > first_seq(connection) > 0 and len(found) < limit:
        window = {"low": low, "high": low + SEARCH_ROWS - 1, "direction": direction, "limit": limit - len(found)}
        found += [logged(row) for row in connection.execute(SEARCH, filters | window).fetchall()]
        low += direction * SEARCH_ROWS
        yield
    return found[::direction]
