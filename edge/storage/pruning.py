"""Events that go from the lower end of the log, once they are acknowledged."""

import sqlite3

from edge.storage import personal, stretches
from edge.storage.event_rows import first_seq
from edge.storage.log_head import read_head


def prune(connection: sqlite3.Connection, keep: int, at_most: int) -> int:
    """Within a transaction: delete the oldest acknowledged events as long as `keep` remain, `at_most` of them; how many
    went. What is not acknowledged stays whatever `keep` is."""
    head = read_head(connection)
    first = first_seq(connection)
    up_to = min(head.acked, head.last_seq - keep, first + at_most - 1)
    # The head behind what goes is an event's: numbers that are lost have none.
    last_to_go = connection.execute("SELECT max(seq) FROM event WHERE seq <= ?", (up_to,)).fetchone()[0]
    return _delete(connection, first, last_to_go) if last_to_go is not None else 0


def _delete(connection: sqlite3.Connection, first: int, up_to: int) -> int:
    """Events go, and their notes and secrets; that they were there stays, and the head behind them."""
    head = stretches.head_at(connection, up_to)
    gone = connection.execute("DELETE FROM event WHERE seq <= ?", (up_to,)).rowcount
    connection.execute("DELETE FROM note WHERE after < ?", (up_to,))
    connection.execute(
        "DELETE FROM start WHERE note NOT IN (SELECT id FROM note) AND "
        "note <> (SELECT max(note) FROM start WHERE first <= ?)",
        (up_to + 1,),
    )
    personal.drop_secrets(connection, up_to)
    connection.execute(
        "INSERT INTO gap (id, first, last, count, head_before, head_after) VALUES (1, ?, ?, ?, x'', ?) "
        "ON CONFLICT (id) DO UPDATE SET last = max(last, excluded.last), count = count + excluded.count, "
        "head_after = CASE WHEN excluded.last >= last THEN excluded.head_after ELSE head_after END",
        (first, up_to, gone, head),
    )
    return gone
