"""Counts of what was refused or went wrong, kept in the database so that every process shows them."""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from cloud_stub.passages.models import Tally

FORK = "fork"  # the same (log, seq) came with another content
CHAIN = "chain"  # a log that does not fit together: see passages.chaining
FAILED = "handler-error"  # our own fault; the controller sends again
OVERRUN = "queue-full"
UNKNOWN_TOPIC = "unknown-topic"
UNKNOWN_CONTROLLER = "unknown-controller"
UNKNOWN_REQUEST = "unknown-request"  # a reply to what nobody asked for, or not any more
FORMER_CLOUD = "acknowledged-elsewhere"  # a log's beginning was acknowledged by a database that we no longer have


def add(name: str, detail: str, now: datetime, count: int = 1) -> None:
    """Count `name`; `detail` says for people what it was, the last one is kept."""
    detail = detail.replace("\0", "\N{REPLACEMENT CHARACTER}")  # which PostgreSQL's text cannot hold
    with transaction.atomic():
        tally, _ = Tally.objects.get_or_create(name=name, defaults={"last_at": now, "last_detail": ""})
        Tally.objects.filter(pk=tally.pk).update(count=F("count") + count, last_at=now, last_detail=detail[:200])


def all_counts() -> dict[str, int]:
    """Every count, by name."""
    return dict(Tally.objects.order_by("name").values_list("name", "count"))
