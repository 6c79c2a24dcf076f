"""Stores what a controller's log says, once, and knows how far each log is complete."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from cloud_stub.passages import tally
from cloud_stub.passages.holders import Holders
from cloud_stub.passages.listing import words_of
from cloud_stub.passages.models import Event, Log
from cloud_stub.residences.models import Controller, Door
from edge.uplink import signing

# What a log line says and keeps saying. `late` is apart: the edge may set it after a line was sent, never clear it.
_CONTENT = (
    "at_ms", "trusted", "revision", "door", "reader", "medium", "credential", "result", "reason", "output",
    "detail",
)  # fmt: skip


class Recorded(NamedTuple):
    """Of one batch: how many events were new, and how far the log is now here without a gap."""

    stored: int
    acknowledged: int
    forks: int


def record(controller: Controller, batch: signing.EventsBatch, holders: Holders, now: datetime) -> Recorded:
    """Store a verified batch in one transaction that is committed when this returns.

    An event that is here already is left as it is; one whose content differs is counted as a fork and logged by the
    caller. Events beyond a gap are stored, but the acknowledged prefix ends before the gap.
    """
    with transaction.atomic():
        log, _ = Log.objects.select_for_update().get_or_create(controller=controller, log=batch.log_id.hex())
        rows = _rows(controller, log.log, batch.events, holders, now)
        fresh, forks = _new_ones(controller, log.log, rows)
        Event.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)
        late = [row.seq for row in rows if row.late]
        if late and len(fresh) < len(rows):
            Event.objects.filter(controller=controller, log=log.log, seq__in=late, late=False).update(late=True)
        if forks:
            tally.add(tally.FORK, f"{controller.slug} log {log.log} seq {forks[0].seq}", now, len(forks))
        acknowledged = _advance(log)
    return Recorded(len(fresh), acknowledged, len(forks))


def raise_prefix(controller: Controller, log_id: bytes, acked: int, now: datetime) -> int:
    """The acknowledged prefix of a log that says hello, raised to what the device says was acknowledged before.

    The device has pruned up to there and will not send it again; that we lack it is counted, once.
    """
    with transaction.atomic():
        log, _ = Log.objects.select_for_update().get_or_create(controller=controller, log=log_id.hex())
        if acked > log.acknowledged:
            tally.add(tally.FORMER_CLOUD, f"{controller.slug} log {log.log} up to {acked}", now)
            log.acknowledged = acked
            log.save(update_fields=["acknowledged"])
        return _advance(log)


def _advance(log: Log) -> int:
    """Move the prefix over what is stored without a gap, never to the highest seen."""
    stored = Event.objects.filter(controller_id=log.controller_id, log=log.log, seq__gt=log.acknowledged)
    prefix = log.acknowledged
    for seq in stored.order_by("seq").values_list("seq", flat=True).iterator():
        if seq != prefix + 1:
            break
        prefix = seq
    if prefix != log.acknowledged:
        log.acknowledged = prefix
        log.save(update_fields=["acknowledged"])
    return prefix


def _new_ones(controller: Controller, log: str, rows: Sequence[Event]) -> tuple[list[Event], list[Event]]:
    """Which of `rows` are not here yet, and which are, but with another content."""
    if not rows:
        return [], []
    span = Event.objects.filter(controller=controller, log=log, seq__gte=rows[0].seq, seq__lte=rows[-1].seq)
    known = {row[0]: row[1:] for row in span.values_list("seq", *_CONTENT)}
    fresh = [row for row in rows if row.seq not in known]
    forks = [row for row in rows if row.seq in known and known[row.seq] != _content(row)]
    return fresh, forks


def _content(row: Event) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in _CONTENT)


def _rows(
    controller: Controller, log: str, events: Sequence[signing.LoggedTuple], holders: Holders, now: datetime
) -> list[Event]:
    door_names = dict(Door.objects.filter(controller=controller).values_list("slug", "name"))
    rows = []
    for seq, late, revision, event in events:
        row = Event(
            controller=controller, log=log, seq=seq, late=late, revision=revision, at_ms=event.at_ms,
            trusted=event.trusted, door=event.door, reader=event.reader, medium=event.medium,
            credential=None if event.credential is None else str(event.credential),
            result=event.result, reason=event.reason, output=event.output, detail=event.detail,
            holder=holders.of(controller, event.medium, event.credential), received_at=now,
        )  # fmt: skip
        row.words = words_of(row, controller, door_names.get(event.door, ""))
        rows.append(row)
    return rows
