"""Events that go along with a residence: those of the last days, and of persons only what was not taken away."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from cloud_stub.passages.models import Event
from cloud_stub.residences.models import Controller
from cloud_stub.transfers.package import Passage

MOST = 200_000  # events; the newest
_SLICE = 500
_SAME = (
    "log", "seq", "at_ms", "trusted", "late", "revision", "boot", "door", "reader", "medium", "credential", "result",
    "reason", "output", "detail", "holder", "words", "commitment", "is_purged", "is_doubtful",
)  # fmt: skip


def taken_along(controllers: Iterable[Controller], days: int, now: datetime) -> tuple[tuple[Passage, ...], int]:
    """The events of the last days, oldest first, and how many were left out because there are more than MOST."""
    names = {controller.pk: controller.slug for controller in controllers}
    since_ms = int((now - timedelta(days=days)).timestamp() * 1000)
    found = Event.objects.filter(controller__in=list(names), at_ms__gte=since_ms) if days else Event.objects.none()
    newest = found.order_by("-at_ms", "-id")[:MOST]
    passages = tuple(_passage(row, names[row.controller_id]) for row in newest.iterator(_SLICE))
    return passages[::-1], found.count() - len(passages)


def store(passages: Iterable[Passage], controllers: Mapping[str, Controller]) -> int:
    """Keep them as events of the controllers, by their ids; how many. KeyError where one is of another. What is here
    already stays as it is."""
    rows = list(_rows(passages, controllers))
    Event.objects.bulk_create(rows, batch_size=_SLICE, ignore_conflicts=True)
    return len(rows)


def _passage(row: Event, controller: str) -> Passage:
    same = {name: getattr(row, name) for name in _SAME}
    return Passage(controller=controller, received_ms=int(row.received_at.timestamp() * 1000), **same)


def _rows(passages: Iterable[Passage], controllers: Mapping[str, Controller]) -> Iterator[Event]:
    for each in passages:
        received_at = datetime.fromtimestamp(each.received_ms / 1000, UTC)
        same = {name: getattr(each, name) for name in _SAME}
        yield Event(controller=controllers[each.controller], received_at=received_at, **same)
