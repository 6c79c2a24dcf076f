"""Stores what a controller's log says, once, and knows how far each log is complete."""

from collections.abc import Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from cloud_stub.passages import chaining, tally
from cloud_stub.passages.chaining import Finding
from cloud_stub.passages.holders import Holders
from cloud_stub.passages.listing import search_words
from cloud_stub.passages.models import Event, Log
from cloud_stub.residences.models import Controller
from edge.decision.chain import COMMITMENT, LATE, Note
from edge.uplink import signing

# What a log line says and keeps saying. `late` is apart: the edge may set it after a line was sent, never clear it. So
# are credential and detail: the edge, or we, may have taken them away since; then the commitment speaks for them.
_CONTENT = ("at_ms", "trusted", "revision", "door", "reader", "medium", "result", "reason", "output")
_PERSON = ("credential", "detail")


_MOVED = ("acknowledged", "chain_head", "chain_key", "is_broken", "said_last")  # of a log, by a batch


class Row(NamedTuple):
    """An event as it is stored, the columns of passages.models.Event but its id; received_at as the database takes
    it."""

    controller_id: int
    log: str
    seq: int
    at_ms: int
    trusted: bool
    late: bool
    revision: int
    door: str
    reader: str
    medium: str
    credential: str | None
    result: str
    reason: str
    output: str
    detail: str
    holder: str
    words: str
    received_at: Any
    boot: str
    commitment: str
    is_purged: bool
    is_doubtful: bool


_INSERT = (
    f"INSERT INTO {Event._meta.db_table} ({', '.join(Row._fields)}) "  # noqa: S608 (names of ours, values bound)
    f"VALUES ({', '.join(['%s'] * len(Row._fields))}) ON CONFLICT DO NOTHING"
)


# What the words of a search are made of: holder, medium, credential, detail, door, reader, output.
_Said = tuple[str, str, str | None, str, str, str, str]


class Recorded(NamedTuple):
    """Of one batch or hello: how many events were new, how far the log is now here without a gap, the head of its
    chain there, how many events differ from what is stored, what was not known before about the chain, and whether it
    is newer than the hellos before (of a hello)."""

    stored: int
    acknowledged: int
    head: bytes
    forks: int
    findings: list[Finding]
    is_news: bool = True


def record(
    controller: Controller, batch: signing.EventsBatch, holders: Holders, seal_key: bytes, now: datetime
) -> Recorded:
    """Store a verified batch in one transaction that is committed when this returns.

    An event that is here already is left as it is; one whose content differs is counted as a fork and logged by the
    caller. Events beyond a gap are stored, but the acknowledged prefix ends before the gap; where the log has a chain
    it moves with whole batches only, which are then proven, or doubtful.
    """
    purged = [len(proof) == COMMITMENT for proof in batch.stretch.proofs]
    batch = batch._replace(stretch=chaining.committed(batch.stretch))
    rows, last = _rows(controller, batch, purged, holders, now), batch.stretch.events[-1][0]
    with _one_transaction():
        log, _ = Log.objects.select_for_update().get_or_create(controller=controller, log=batch.log_id.hex())
        findings = chaining.follow(log, batch, seal_key)
        fresh = _insert([(*row[:-1], True) for row in rows] if log.is_broken else rows)
        known = [] if fresh == len(rows) else [Row._make(row) for row in rows]
        _mark_late(log, [row.seq for row in known if row.late], batch.stretch.notes)
        if forks := _forks(log, known):
            tally.add(tally.FORK, f"{controller.slug} log {log.log} seq {forks[0].seq}", now, len(forks))
            findings.append(Finding(chaining.FORK, forks[0].seq, forks[-1].seq))
        log.said_last = max(log.said_last, last)
        new = chaining.raise_alarms(log, findings, now)
        acknowledged = _advance(log)
        log.save(update_fields=_MOVED)
    return Recorded(fresh, acknowledged, bytes.fromhex(log.chain_head), len(forks), new)


def take_hello(controller: Controller, hello: signing.Hello, seal_key: bytes, now: datetime) -> Recorded:
    """How far a log that says hello is here, raised to what the device says was acknowledged before.

    The device has pruned up to there and will not send it again; that we lack it is counted, once.
    """
    with _one_transaction():
        log, _ = Log.objects.select_for_update().get_or_create(controller=controller, log=hello.log_id.hex())
        said = chaining.take_hello(log, hello, seal_key, now)
        if said.is_raised:
            tally.add(tally.FORMER_CLOUD, f"{controller.slug} log {log.log} up to {log.acknowledged}", now)
        new = chaining.raise_alarms(log, said.findings, now)
        acknowledged = _advance(log)
        log.save()
    return Recorded(0, acknowledged, bytes.fromhex(log.chain_head), 0, new, said.is_news)


def _mark_late(log: Log, late: list[int], notes: Sequence[Note]) -> None:
    """Events of before this batch that the controller marked late since it sent them."""
    marked = [Q(seq__gte=note.first, seq__lte=note.last) for note in notes if note.kind == LATE]
    if late:
        marked.append(Q(seq__in=late))
    for which in marked:
        Event.objects.filter(which, controller_id=log.controller_id, log=log.log, late=False).update(late=True)


def _advance(log: Log) -> int:
    """Move the prefix over what is stored without a gap, never to the highest seen. With a chain it is moved by
    following that, else behind a gap nothing would ever be proven."""
    if log.chain_head:
        return int(log.acknowledged)
    stored = Event.objects.filter(controller_id=log.controller_id, log=log.log, seq__gt=log.acknowledged)
    prefix = log.acknowledged
    for seq in stored.order_by("seq").values_list("seq", flat=True).iterator():
        if seq != prefix + 1:
            break
        prefix = seq
    log.acknowledged = prefix
    return prefix


def _forks(log: Log, rows: Sequence[Row]) -> list[Row]:
    """Which of `rows` are stored with another content; those that were just stored are not."""
    if not rows:
        return []
    span = Event.objects.filter(controller_id=log.controller_id, log=log.log, seq__range=(rows[0].seq, rows[-1].seq))
    names = ("seq", *_CONTENT, *_PERSON, "commitment", "is_purged")
    known = {row["seq"]: row for row in span.values(*names)}
    return [row for row in rows if _differs(row, known[row.seq])]


def _differs(row: Row, known: dict[str, Any]) -> bool:
    if any(getattr(row, name) != known[name] for name in _CONTENT):
        return True
    if row.commitment and known["commitment"]:
        return bool(row.commitment != known["commitment"])
    is_gone = row.is_purged or known["is_purged"]
    return not is_gone and any(getattr(row, name) != known[name] for name in _PERSON)


def _rows(
    controller: Controller, batch: signing.EventsBatch, purged: Sequence[bool], holders: Holders, now: datetime
) -> list[tuple[Any, ...]]:
    """As Row has them. Made column by column: a batch has hundreds of rows and few distinct words."""
    flag = bool if connection.vendor == "postgresql" else int  # sqlite3 takes longer over a bool than over all the rest
    stretch, count = batch.stretch, len(batch.events)
    seqs, lates, revisions, events = zip(*stretch.events, strict=True)
    at, trusted, door, reader, medium, number, result, reason, output, detail = zip(*events, strict=True)
    known = holders.known(controller)
    holder = [known.names.get(who, "") for who in zip(medium, number, strict=True)]
    credential = [None if each is None else str(each) for each in number]
    said: list[_Said] = list(zip(holder, medium, credential, detail, door, reader, output, strict=True))
    words = {each: search_words(*each, known.doors.get(each[4], ""), controller.name) for each in set(said)}
    received_at = connection.ops.adapt_datetimefield_value(now)
    columns = (
        repeat(controller.pk, count), repeat(batch.log_id.hex()), seqs, at, map(flag, trusted), map(flag, lates),
        revisions, door, reader, medium, credential, result, reason, output, detail, holder,
        map(words.__getitem__, said), repeat(received_at), stretch.boots, map(bytes.hex, stretch.proofs),
        map(flag, purged), repeat(flag(False)),
    )  # fmt: skip
    return list(zip(*columns, strict=False))


def _insert(rows: list[tuple[Any, ...]]) -> int:
    """How many were new; what is there already stays as it is. Django's bulk_create makes an object and a dozen calls a
    column of each row, which is four times the work of all the rest."""
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
        return int(cursor.rowcount)


def _one_transaction() -> "transaction.Atomic":
    """Of its own, or part of the one that is open: of that, all is done or nothing, so no savepoint is needed."""
    return transaction.atomic(savepoint=False)
