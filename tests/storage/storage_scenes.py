"""What the storage tests share: events, policies, a held-up thread, child processes."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from edge.decision import model, rows
from edge.decision.policy import VerifiedDelta
from edge.storage.database import DatabaseThread

ROOT = Path(__file__).parents[2]
WAIT_S = 30  # a deadline against hanging, not a measure


def make_event(number: int = 1, **changes: object) -> model.Event:
    """A passage with badge `number`, all of its fields filled."""
    fields = {
        "at_ms": 1_700_000_000_000 + number, "trusted": True, "door": "front", "reader": "front-in",
        "medium": "badge", "credential": number, "result": model.OPEN, "reason": "", "output": "strike",
        "detail": f"passage {number}",
    }  # fmt: skip
    return model.Event(**(fields | changes))


def policy_rows(revision: int, count: int = 50) -> list[bytes]:
    """A policy every row of which says which revision it is of."""
    site = rows.pack(rows.Site(b"u" * 16, f"site {revision}", False, 1))
    return [site] + [
        rows.pack(rows.Credential(model.BADGE, number, 1, revision, 0, rows.ACTIVE, 0, "", f"holder {revision}"))
        for number in range(count)
    ]


def digest_of(packed_rows: list[bytes]) -> bytes:
    """The digest as the contract defines it, written here a second time."""
    total = 0
    for row in packed_rows:
        total = (total + int.from_bytes(sha256(row).digest(), "big")) % 2**256
    return total.to_bytes(32, "big")


def make_delta(from_revision, to_revision, changed, gone=(), after=None, epoch=1) -> VerifiedDelta:
    """A change; `after`: all rows that it promises afterwards (a snapshot's own rows by default)."""
    digest = digest_of(list(changed) if after is None else list(after))
    return VerifiedDelta(b"s" * 16, b"c" * 16, epoch, from_revision, to_revision, tuple(changed), tuple(gone), digest)


@contextmanager
def held_up(database: DatabaseThread) -> Iterator[None]:
    """The storage thread does nothing inside the block, as if the disk did not answer."""
    reached, release = threading.Event(), threading.Event()

    def stand_still(_: object) -> None:
        reached.set()
        release.wait(WAIT_S)

    database.read(stand_still)
    assert reached.wait(WAIT_S)
    try:
        yield
    finally:
        release.set()


def fail_commits_of(log, detail: str) -> None:
    """From now on an event with this `detail` can be inserted, but its transaction cannot be committed."""

    def work(connection: object) -> None:
        connection.execute("CREATE TABLE trap (no REFERENCES boot (id) DEFERRABLE INITIALLY DEFERRED)")
        connection.execute(
            f"CREATE TRIGGER spring AFTER INSERT ON event WHEN NEW.detail = '{detail}' "
            f"BEGIN INSERT INTO trap VALUES (-1); END"
        )

    log.database.write(work).result(WAIT_S)


@contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen]:
    """storage_child.py with `arguments`; it is gone when the block ends, and ends by itself when we are gone."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("storage_child.py")), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # so that what select sees is all there is
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT_S)
        process.stdin.close()
        process.stdout.close()
