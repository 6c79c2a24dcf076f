"""Stores what a controller's log says, once, and knows how far each log is complete."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction

from cloud_stub.passages import chaining, tally
from cloud_stub.passages.chaining import Finding
from cloud_stub.passages.holders import Holders
from cloud_stub.passages.listing import words_of
from cloud_stub.passages.models import Event, Log
from cloud_stub.residences.models import Controller, Door
from edge.decision.chain import COMMITMENT, LATE, Note, Stretch
from edge.uplink import signing

# What a log line says and keeps saying. `late` is apart: the edge may set it after a line was sent, never clear it. So
# are credential and detail: the edge, or we, may have taken them away since; then the commitment speaks for them.
_CONTENT = ("at_ms", "trusted", "revision", "door", "reader", "medium", "result", "reason", "output")
_PERSON = ("credential", "detail")


class Recorded(NamedTuple):
    """Of one batch or hello: how many events were new, how far the log is now here without a gap, the head of its
    chain there, how many events differ from what is stored, and what was not known before about the chain."""

    stored: int
    acknowledged: int
    head: bytes
    forks: int
    findings: list[Finding]


def record(
    controller: Controller, batch: signing.EventsBatch, holders: Holders, seal_key: bytes, now: datetime
) -> Recorded:
    """Store a verified batch in one transaction that is committed when this returns.

    An event that is here already is left as it is; one whose content differs is counted as a fork and logged by the
    caller. Events beyond a gap are stored, but the acknowledged prefix ends before the gap; where the log has a chain
    it moves with whole batches only, which are then proven, or doubtful.
    """
    with transaction.atomic():
        log, _ = Log.objects.select_for_update().get_or_create(controller=controller, log=batch.log_id.hex())
        rows = _rows(controller, log.log, batch.stretch, holders, now)
        fresh, forks = _new_ones(controller, log.log, rows)
        findings = chaining.follow(log, batch, seal_key)
        for row in fresh:
            row.is_doubtful = log.is_broken
        Event.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)
        _mark_late(log, rows, len(fresh), batch.stretch.notes)
        if forks:
            tally.add(tally.FORK, f"{controller.slug} log {log.log} seq {forks[0].seq}", now, len(forks))
            findings.append(Finding(chaining.FORK, forks[0].seq, forks[-1].seq))
        log.said_last = max(log.said_last, rows[-1].seq)
        new = chaining.raise_alarms(log, findings, now)
        acknowledged = _advance(log)
        log.save()
    return Recorded(len(fresh), acknowledged, bytes.fromhex(log.chain_head), len(forks), new)


def take_hello(controller: Controller, hello: signing.Hello, seal_key: bytes, now: datetime) -> Recorded:
    """How far a log that says hello is here, raised to what the device says was acknowledged before.

    The device has pruned up to there and will not send it again; that we lack it is counted, once.
    """
    with transaction.atomic():
        log, _ = Log.objects.select_for_update().get_or_create(controller=controller, log=hello.log_id.hex())
        findings, is_raised = chaining.take_hello(log, hello, seal_key)
        if is_raised:
            tally.add(tally.FORMER_CLOUD, f"{controller.slug} log {log.log} up to {log.acknowledged}", now)
        new = chaining.raise_alarms(log, findings, now)
        acknowledged = _advance(log)
        log.save()
    return Recorded(0, acknowledged, bytes.fromhex(log.chain_head), 0, new)


def _mark_late(log: Log, rows: Sequence[Event], fresh: int, notes: Sequence[Note]) -> None:
    """Events of before this batch that the controller marked late since it sent them."""
    stored = Event.objects.filter(controller_id=log.controller_id, log=log.log, late=False)
    late = [row.seq for row in rows if row.late]
    if late and fresh < len(rows):
        stored.filter(seq__in=late).update(late=True)
    for note in notes:
        if note.kind == LATE:
            stored.filter(seq__gte=note.first, seq__lte=note.last).update(late=True)


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


def _new_ones(controller: Controller, log: str, rows: Sequence[Event]) -> tuple[list[Event], list[Event]]:
    """Which of `rows` are not here yet, and which are, but with another content."""
    if not rows:
        return [], []
    span = Event.objects.filter(controller=controller, log=log, seq__gte=rows[0].seq, seq__lte=rows[-1].seq)
    names = ("seq", *_CONTENT, *_PERSON, "commitment", "is_purged")
    known = {row["seq"]: row for row in span.values(*names)}
    fresh = [row for row in rows if row.seq not in known]
    forks = [row for row in rows if row.seq in known and _differs(row, known[row.seq])]
    return fresh, forks


def _differs(row: Event, known: dict[str, Any]) -> bool:
    if any(getattr(row, name) != known[name] for name in _CONTENT):
        return True
    if row.commitment and known["commitment"]:
        return bool(row.commitment != known["commitment"])
    is_gone = row.is_purged or known["is_purged"]
    return not is_gone and any(getattr(row, name) != known[name] for name in _PERSON)


def _rows(controller: Controller, log: str, stretch: Stretch, holders: Holders, now: datetime) -> list[Event]:
    door_names = dict(Door.objects.filter(controller=controller).values_list("slug", "name"))
    rows = []
    for i, (seq, late, revision, event) in enumerate(stretch.events):
        row = Event(
            controller=controller, log=log, seq=seq, late=late, revision=revision, at_ms=event.at_ms,
            trusted=event.trusted, door=event.door, reader=event.reader, medium=event.medium,
            credential=None if event.credential is None else str(event.credential),
            result=event.result, reason=event.reason, output=event.output, detail=event.detail,
            holder=holders.of(controller, event.medium, event.credential), received_at=now,
            boot=stretch.boots[i], commitment=chaining.commitment(stretch, i),
            is_purged=len(stretch.proofs[i]) == COMMITMENT,
        )  # fmt: skip
        row.words = words_of(row, controller, door_names.get(event.door, ""))
        rows.append(row)
    return rows
