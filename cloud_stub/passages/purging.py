"""Personal data of events goes, the events stay: by age, or one person's at once.

Who it was (credential, holder, and the detail where it names somebody) is taken away, and what a search would find it
by; the commitment that the log's chain covers stays, and says nothing by itself: its salt was never kept here. Notices
go with it, and of orders who asked and for whom.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from cloud_stub.passages.listing import words_of
from cloud_stub.passages.models import Event, Notice, Order
from cloud_stub.residences.models import Controller, Door
from edge.decision import chain, model

SLICE = 500
KEEP_PERSONAL_DAYS = 90


def purge(before_ms: int, controllers: Iterable[Controller] | None = None) -> int:
    """Take the person from every event of before `before_ms` (utc), of some controllers or of all. Returns from how
    many."""
    before = datetime.fromtimestamp(before_ms / 1000, UTC)
    some = Q() if controllers is None else Q(controller__in=list(controllers))
    _overwrite_what_goes()
    Notice.objects.filter(some, at_ms__lt=before_ms).delete()
    Order.objects.filter(some, created_at__lt=before, is_purged=False).update(
        who="", credential=None, status="", is_purged=True
    )
    return _take_persons(Event.objects.filter(some, at_ms__lt=before_ms))


def erase(
    credential: str | None = None, call_code: str | None = None, controllers: Iterable[Controller] | None = None
) -> int:
    """Take one person from every event: the holder of `credential` (in decimal, as Event.credential has it), and whom
    visitors called by `call_code`. Returns from how many."""
    some = Q() if controllers is None else Q(controller__in=list(controllers))
    wanted = Q(pk__in=[])
    _overwrite_what_goes()
    if credential:
        number = credential.lstrip("0") or "0"
        wanted |= Q(credential=number)
        Order.objects.filter(some, credential=number).update(credential=None, status="")
    if call_code:
        wanted |= Q(medium="call") & (Q(detail=call_code) | Q(detail__startswith=call_code + " "))
    Notice.objects.filter(some & wanted).delete()
    return _take_persons(Event.objects.filter(some & wanted))


def _take_persons(found: QuerySet[Event]) -> int:
    """In slices, so that events come in meanwhile."""
    count, last = 0, 0
    while True:
        some = list(found.filter(pk__gt=last, is_purged=False).select_related("controller").order_by("pk")[:SLICE])
        if not some:
            break
        last = some[-1].pk
        names = _door_names(some)
        personal = [event for event in some if event.holder or chain.is_personal(_event_of(event))]
        for event in personal:
            event.credential, event.holder, event.detail, event.is_purged = None, "", "", True
            event.words = words_of(event, event.controller, names.get((event.controller_id, event.door), ""))
        with transaction.atomic():
            Event.objects.bulk_update(personal, ["credential", "holder", "detail", "is_purged", "words"])
        count += len(personal)
    _empty_journal()
    return count


def _door_names(events: list[Event]) -> dict[tuple[int, str], str]:
    doors = Door.objects.filter(controller__in={event.controller_id for event in events})
    return {(door.controller_id, door.slug): door.name for door in doors}


def _event_of(row: Event) -> model.Event:
    number = None if row.credential is None else int(row.credential)
    return model.Event(
        row.at_ms, row.trusted, row.door, row.reader, row.medium, number, row.result, row.reason, row.output, row.detail
    )


def _overwrite_what_goes() -> None:
    """SQLite leaves what was deleted on its pages unless it is told otherwise; other databases have their own way."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete = ON")


def _empty_journal() -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.fetchone()
