"""What the storage does while power is cut, and what must be true of the files that are left.

`play_…` does the work and says what was promised at which moment. `look_at_…` opens what a cut left with the product
and returns its complaints: none, if every promise was kept.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from pathlib import Path

from storage_scenes import WAIT_S, digest_of, make_delta, make_event

from edge.decision import model, rows
from edge.decision.policy import VerifiedDelta
from edge.policies import POLICY_ERRORS, Policies
from edge.storage import database, opening
from edge.storage.chaining import LogKeys
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore
from edge.storage.state_store import StateStore

Say = Callable[[str, object], None]
KEYS = LogKeys(b"k" * 32)
DOOR = rows.Door("a", "A", ("door",), 5000, 9000, 0, rows.NEVER, False, False, False, "", "", (), rows.NEVER)
DAMAGED = b"this was a log once, " * 200


@contextlib.contextmanager
def often(commits: int = 7, wal_pages: int = 60):
    """Copy the write-ahead log back far more often than a controller does, idle and within a commit."""
    before = database.CHECKPOINT_COMMITS, opening.WAL_PAGES
    database.CHECKPOINT_COMMITS, opening.WAL_PAGES = commits, wal_pages
    try:
        yield
    finally:
        database.CHECKPOINT_COMMITS, opening.WAL_PAGES = before


def open_log(folder: Path, boot_id: str = "") -> EventLog:
    """The log in `folder` as the agent opens it, its high-water mark beside it."""
    return EventLog.open(folder / "events.db", boot_id=boot_id, keys=KEYS, mark=folder / "mark")


def event_of(number: int) -> model.Event:
    """The event that gets `number`: some short, some over several pages."""
    return make_event(number, detail=f"passage {number} " + "x" * (number % 7 * (number % 13 == 0) * 900))


def play_log(folder: Path, say: Say, seed: int, rounds: int) -> None:
    """Batches of several doors at once, kept state beside them, acknowledgement, pruning, two restarts."""
    choice = random.Random(seed)
    for session in range(3):
        log = open_log(folder, f"boot {session}")
        say("log", log.log_id)
        for _ in range(rounds):
            record_some(log, say, choice)
            if choice.random() < 0.2:
                last = log.last_seq
                say("acked", log.acknowledge(max(0, last - choice.randint(0, 5))).result(WAIT_S))
                log.prune(20).result(WAIT_S)
        log.close()


def record_some(log: EventLog, say: Say, choice: random.Random) -> None:
    """Several batches in flight, said as soon as they are durable."""
    number, batches = log.last_seq, []
    for size in choice.choices((1, 2, 3, 8), k=choice.randint(1, 6)):
        batch = [event_of(number + i) for i in range(1, size + 1)]
        number += size
        recording = log.record(batch, 1, late=choice.random() < 0.1, keep={"count": b"%d" % number})
        recording.add_done_callback(lambda done: done.exception() or say("recorded", done.result()[-1]))
        batches.append(recording)
    for recording in batches:
        recording.result(WAIT_S)


def look_at_log(folder: Path, said: dict[str, object]) -> list[str]:
    """Complaints about the log in `folder`, of which `said` was promised."""
    log = open_log(folder, "after")
    try:
        return list(_complaints(log, folder, said))
    finally:
        log.close()


def _complaints(log: EventLog, folder: Path, said: dict[str, object]):
    if "log" not in said:
        return
    if log.report.set_aside is not None:
        yield f"lost: set aside, {log.report.reason}"
        return
    if (found := log.database.read(_integrity).result(WAIT_S)) != "ok":
        yield f"damaged: {found}"
        return
    if log.log_id != said["log"]:
        yield "lost: another log id"
    recorded, acked = said.get("recorded", 0), said.get("acked", 0)
    if log.last_seq < recorded:
        yield f"lost: {recorded} was recorded, the log ends at {log.last_seq}"
    if log.acked < acked:
        yield f"lost: acknowledged up to {acked}, the log says {log.acked}"
    if log.doubt.endswith(" is gone") or "not a mark" in log.doubt:
        # It is written over without a flush: power may take it, and an alarm says so. It must never know too much.
        (folder / "mark").unlink(missing_ok=True)
    elif log.doubt:
        yield f"doubt: {log.doubt}"
    if not (found := log.verify().result(WAIT_S)).is_whole:
        yield f"chain: {found.reason} at {found.bad_seq}"
    entries = log.read(1, 100_000).result(WAIT_S)
    first = entries[0].seq if entries else log.last_seq + 1
    if first > log.acked + 1 or [entry.seq for entry in entries] != list(range(first, log.last_seq + 1)):
        yield f"wrong: from {first} to {log.last_seq} there are {len(entries)} events, {log.acked} are acknowledged"
    for entry in entries:
        if entry.event != event_of(entry.seq):
            yield f"wrong: event {entry.seq} is {entry.event}"
    kept = int(StateStore(log.database).load().result(WAIT_S).get("count", b"0"))
    if kept != log.last_seq:
        yield f"wrong: the state of event {kept} was kept, the log ends at {log.last_seq}"
    last = log.last_seq
    given = log.record([event_of(last + 1)], 1, keep={"count": b"%d" % (last + 1)}).result(WAIT_S)
    if given != [last + 1]:
        yield f"wrong: the next event got {given} after {last}"


def _integrity(connection) -> str:
    return connection.execute("PRAGMA integrity_check").fetchone()[0]


def policy_of(revision: int) -> list[bytes]:
    """A whole policy whose credentials say which revision it is of."""
    return [
        rows.pack(rows.Site(b"u" * 16, "site", False, 1)),
        rows.pack(DOOR),
        rows.pack(rows.Group(1, f"group {(revision - 1) // 4}", ())),
    ] + [
        rows.pack(rows.Credential(model.BADGE, number, 1, revision, 0, rows.ACTIVE, 0, "", f"holder {revision}"))
        for number in range(40)
    ]  # fmt: skip


def play_policy(folder: Path, say: Say, revisions: int) -> None:
    """Snapshots, light and heavy changes, a restart now and then; the image follows each."""

    async def session(changes: int) -> None:
        policies = Policies(PolicyStore.open(folder / "policy.db"))
        await policies.load()
        first = policies.version[1] + 1
        for revision in range(first, first + changes):
            await policies.apply(change_to(revision))
            say("policy", revision)
            if revision % 3 == 0:
                await policies.rebuild()
        policies.close()

    for _ in range(revisions // 5):
        asyncio.run(session(5))


def change_to(revision: int) -> VerifiedDelta:
    """Every fourth one a snapshot, the others credentials alone."""
    new = policy_of(revision)
    if revision % 4 == 1:
        return make_delta(0, revision, new)
    return make_delta(revision - 1, revision, new[3:], after=new)


def look_at_policy(folder: Path, said: dict[str, object]) -> list[str]:
    """Complaints about the policy in `folder`: a whole one, no older than promised, and its image."""
    store = PolicyStore.open(folder / "policy.db")
    try:
        return list(_policy_complaints(store, said.get("policy", 0)))
    finally:
        store.close()


def _policy_complaints(store: PolicyStore, promised: int):
    if store.report.set_aside is not None and promised:
        yield f"lost: set aside, {store.report.reason}"
        return
    revision = store.version()[1]
    if revision < promised:
        yield f"lost: revision {promised} was stored, {revision} is there"
    expected = sorted(policy_of(revision), key=rows.key_of) if revision else []
    if store.rows().result(WAIT_S) != expected:
        yield f"wrong: not the rows of revision {revision}"
    digest = digest_of(expected) if revision else bytes(32)
    if not store.digest() == store.recomputed_digest().result(WAIT_S) == digest:
        yield f"wrong: not the digest of revision {revision}"
    try:
        index = asyncio.run(Policies(store).load())
    except POLICY_ERRORS as error:
        yield f"wrong: no index, {error}"
        return
    if (index is None) != (revision == 0) or (index is not None and index.version != (1, revision)):
        yield f"wrong: the index is not of revision {revision}"


def play_damaged(folder: Path, say: Say) -> None:
    """A start that sets a damaged file aside and records on."""
    log = open_log(folder)
    say("log", log.log_id)
    for number in (1, 2, 3):
        log.record([event_of(number)], 1, keep={"count": b"%d" % number}).result(WAIT_S)
        say("recorded", number)
    log.close()


def look_at_damaged(folder: Path, said: dict[str, object]) -> list[str]:
    """Complaints: the damaged file is there in full, under whatever name, and the new log as any other."""
    complaints = look_at_log(folder, said)
    if DAMAGED not in [path.read_bytes() for path in folder.iterdir()]:
        complaints.append("lost: the damaged file was erased")
    return complaints
