"""Events that a controller showed at once, kept until its log brings them: so that today's alarm is seen while last
month's events are still on their way. For eyes only: nothing is counted or proven by them."""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from cloud_stub.passages.holders import Holders
from cloud_stub.passages.listing import words_of
from cloud_stub.passages.models import Event, Log, Notice
from cloud_stub.residences.models import Controller
from edge.uplink import signing

MOST = 200  # of a controller; the oldest go
KEPT = timedelta(days=7)  # one whose event did not come until then was of a log that is lost


def show(controller: Controller, notice: signing.Notice, holders: Holders, now: datetime) -> None:
    """Keep a notice, unless its event is here already."""
    event, this = notice.event, {"controller": controller, "log": notice.log_id.hex()}
    if Log.objects.filter(**this, acknowledged__gte=notice.seq).exists():
        return
    if Event.objects.filter(**this, seq=notice.seq).exists():
        return
    row = Notice(
        **this, seq=notice.seq, at_ms=event.at_ms, trusted=event.trusted, door=event.door, reader=event.reader,
        medium=event.medium, credential=None if event.credential is None else str(event.credential),
        result=event.result, reason=event.reason, output=event.output, detail=event.detail,
        holder=holders.of(controller, event.medium, event.credential), received_at=now,
    )  # fmt: skip
    row.words = words_of(row, controller, holders.known(controller).doors.get(event.door, ""))
    Notice.objects.bulk_create([row], ignore_conflicts=True)  # one that came twice is here once
    for oldest in _of(controller).order_by("-pk").values_list("pk", flat=True)[MOST : MOST + 1]:
        _of(controller).filter(pk__lte=oldest).delete()


def confirm(controller: Controller, log_id: bytes, first: int, last: int) -> None:
    """Events `first` to `last` are here now."""
    _of(controller).filter(log=log_id.hex(), seq__gte=first, seq__lte=last).delete()


def forget(controller: Controller, log_id: bytes, acknowledged: int, now: datetime) -> None:
    """What a log will not bring any more: it is here up to `acknowledged`; and what is too old. Those of other logs
    stay: a controller says hello for a closed one, too, while it writes another."""
    _of(controller).filter(log=log_id.hex(), seq__lte=acknowledged).delete()
    _of(controller).filter(received_at__lt=now - KEPT).delete()


def _of(controller: Controller) -> QuerySet[Notice]:
    return Notice.objects.filter(controller=controller)
