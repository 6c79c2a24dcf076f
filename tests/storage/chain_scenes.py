"""What the tests of the chain share: a log with keys and a mark, hands that change its file, and a manager's view."""

import sqlite3
from contextlib import contextmanager
from pathlib import Path

from storage_scenes import WAIT_S, make_event

from edge.decision import chain, model
from edge.storage.chain_rows import HASHES
from edge.storage.chaining import LogKeys
from edge.storage.event_log import EventLog

DAY_MS = 86_400_000
MANAGER = b"the manager's secret"  # sealing is not tried here: who knows this word may open it


def seal(key: bytes, log_id: bytes, first: int) -> bytes:
    """Not a real seal: the storage only passes it on."""
    pad = HASHES.sha256(MANAGER + log_id + first.to_bytes(8, "big"))
    return bytes(a ^ b for a, b in zip(key, pad, strict=True))


def unseal(sealed: bytes, log_id: bytes, first: int) -> bytes:
    """The inverse, as chain.Follower asks for it."""
    return seal(sealed, log_id, first) if len(sealed) == chain.KEY else b""


KEYS = LogKeys(b"k" * 32, seal, b"manager 1")


def opened(folder: Path, keys: LogKeys = KEYS, **more: object) -> EventLog:
    """The log in `folder`, its mark in a folder of its own, as the keys have."""
    (folder / "keys").mkdir(exist_ok=True)
    return EventLog.open(
        folder / "events.db", boot_id="boot-1", keys=keys, mark=folder / "keys" / "events.mark", **more
    )


def passage(number: int) -> model.Event:
    """Events of several kinds: badges, calls, commands, doors that close; four days of them."""
    at_ms = 1_700_000_000_000 + number * DAY_MS // 100
    if number % 5 == 0:
        return make_event(
            number, at_ms=at_ms, credential=None, medium="", result="info", reason="door-closed", detail=""
        )
    if number % 7 == 0:
        return make_event(number, at_ms=at_ms, credential=None, medium="call", detail="1204 Garfield number 1")
    return make_event(number, at_ms=at_ms, credential=4_640_000_000 + number % 50, trusted=number % 3 > 0)


def filled(log: EventLog, count: int, acked: int = 0) -> None:
    """Record `count` events, a few late afterwards, and acknowledge."""
    for first in range(1, count + 1, 50):
        last = min(first + 49, count)
        recording = log.record([passage(n) for n in range(first, last + 1)], 7, late=first % 200 == 51)
        recording.result(WAIT_S)
        if first % 300 == 101:
            recording.mark_late().result(WAIT_S)
    if acked:
        log.acknowledge(acked).result(WAIT_S)


@contextmanager
def hands_on(folder: Path):
    """The file, open to somebody who has it and not the keys."""
    connection = sqlite3.connect(folder / "events.db", isolation_level=None)
    try:
        yield connection
    finally:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()


def sent(log: EventLog, follower: chain.Follower, batch: int = 500) -> list[str]:
    """Send everything behind what `follower` has; what it complained of, by batch."""
    complaints = []
    while follower.seq < log.last_seq:
        stretch = log.stretch(follower.seq + 1, batch).result(WAIT_S)
        if not stretch.events:
            complaints.append(f"nothing at {follower.seq + 1}")
            break
        if not follower.takes(stretch):
            complaints.append(f"a hole at {follower.seq + 1}")
            follower.seq = stretch.events[0][0] - 1
        try:
            follower.follow(stretch)
        except chain.Misfit as misfit:
            complaints.append(f"{stretch.events[0][0]}: {misfit}")
            follower.believe(stretch)
        else:
            complaints += [] if follower.is_proven else [f"{stretch.events[0][0]}: not proven"]
    return complaints


def a_manager(log: EventLog) -> chain.Follower:
    """One that has nothing of the log yet."""
    return chain.Follower(HASHES, log.log_id, 0, b"", b"", unseal)
