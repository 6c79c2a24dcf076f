"""Which events a person or a program asked for: one selection, used by the page, the CLI and the JSON lines."""

import dataclasses
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from cloud_stub.passages import words
from cloud_stub.passages.models import Event, Line, Notice
from cloud_stub.passages.search import fold, fold_query
from cloud_stub.residences.models import Controller, Reader
from edge.decision import reasons
from edge.decision.model import ALARM, DENIED, INFO

MIN_DIGITS = 10  # of a pass number on pages and in files
CONTROLLER_ITSELF = "controller"  # as a device kind: what no reader reported
MAX_QUERY = 100
_FIRST_MS, _LAST_MS = -62_135_510_400_000, 253_402_127_999_999  # a day inside the years 1 and 9999

Told = TypeVar("Told", bound=Line)


@dataclasses.dataclass(frozen=True)
class Selection:
    """What to list; "" or None does not narrow. `since_ms` ≤ at < `until_ms`, utc milliseconds.

    `door` is a door id or CONTROLLER/DOOR ids; `device_kind` a reader's kind or CONTROLLER_ITSELF; `medium` None
    for all, because "" is the medium of what a controller noticed; `result` a key of words.RESULTS.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    site: str = ""
    controller: str = ""
    door: str = ""
    device_kind: str = ""
    medium: str | None = None
    result: str = ""
    text: str = ""

    def events(self) -> QuerySet[Event]:
        """The events, in no particular order, with their controller and site."""
        return self._of(Event)

    def notices(self) -> QuerySet[Notice]:
        """The same of what controllers showed at once and their logs have not brought yet."""
        return self._of(Notice)

    def _of(self, kind: type[Told]) -> QuerySet[Told]:
        found = kind._default_manager.select_related("controller__site")
        for condition in self._conditions():
            found = found.filter(condition)
        return found

    def _conditions(self) -> Iterable[Q]:
        if self.since_ms is not None:
            yield Q(at_ms__gte=self.since_ms)
        if self.until_ms is not None:
            yield Q(at_ms__lt=self.until_ms)
        if self.site:
            yield Q(controller__site__slug=self.site)
        if self.controller:
            yield Q(controller__slug=self.controller)
        if self.door:
            controller, _, door = self.door.rpartition("/")
            yield Q(door=door, controller__slug=controller) if controller else Q(door=door)
        if self.device_kind:
            yield _of_device_kind(self.device_kind)
        if self.medium is not None:
            yield Q(medium=self.medium)
        if self.result:
            yield _of_result(self.result)
        if self.text:
            yield _with_text(self.text[:MAX_QUERY])


def _of_device_kind(kind: str) -> Q:
    if kind == CONTROLLER_ITSELF:
        return Q(reader="")
    condition = Q(pk__in=[])
    for controller_id, reader in Reader.objects.filter(kind=kind).values_list("door__controller_id", "slug"):
        condition |= Q(controller_id=controller_id, reader=reader)
    return condition


def _of_result(result: str) -> Q:
    if result == words.INCOMPLETE:
        return Q(result=DENIED, reason=reasons.NOT_COMPLETED)
    if result == DENIED:
        return Q(result=DENIED) & ~Q(reason=reasons.NOT_COMPLETED)
    return Q(result=result)


def _with_text(text: str) -> Q:
    """Events whose own words hold `text`, or whose description does in the language of the reader of the page."""
    condition = Q(words__contains=fold_query(text))
    needle = fold(text)
    for result, table in ((DENIED, words.DENIALS), (ALARM, words.ALARMS), (INFO, words.INFOS)):
        for medium in words.KINDS:
            hits = [reason for reason in table if needle in fold(words.describe(medium, result, reason))]
            if hits:
                condition |= Q(medium=medium, result=result, reason__in=hits)
    return condition


def local_days(since: str, until: str, zone: str) -> tuple[int | None, int | None]:
    """[since, until] as whole local days (ISO dates, "" for open) in utc milliseconds, end excluded. ValueError."""

    def start_ms(day: date) -> int:
        return int(datetime.combine(day, time.min, ZoneInfo(zone)).timestamp() * 1000)

    first = start_ms(date.fromisoformat(since)) if since else None
    last = start_ms(date.fromisoformat(until) + timedelta(days=1)) if until else None
    return first, last


def local_time(at_ms: int, zone: str) -> datetime:
    """The moment in a site's time zone; one that no calendar has (a wild clock's) becomes the nearest that it has."""
    return datetime.fromtimestamp(min(max(at_ms, _FIRST_MS), _LAST_MS) / 1000, ZoneInfo(zone))


def credential_text(medium: str, credential: str | None) -> str:
    """As pages and files show it: at least 10 digits; a telephone's digits; of a code its tag in hex, never digits."""
    if credential is None:
        return ""
    if medium == "code":
        return f"{int(credential):016x}"
    return credential if medium == "phone" else credential.zfill(MIN_DIGITS)


def as_object(event: Event) -> dict[str, Any]:
    """The event in the fixed form of `vantail-cloud events --json`."""
    at = local_time(event.at_ms, "UTC")
    return {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "site": event.controller.site.slug,
        "controller": event.controller.slug,
        "door": event.door,
        "reader": event.reader,
        "medium": event.medium,
        "credential": credential_text(event.medium, event.credential),
        "holder": event.holder,
        "result": event.result,
        "reason": event.reason,
        "output": event.output,
        "seq": event.seq,
        "log": event.log,
        "clock_trusted": event.trusted,
    }


def words_of(event: Line, controller: Controller, door_name: str) -> str:
    """What a search finds the event by, apart from its description."""
    return search_words(
        event.holder, event.medium, event.credential, event.detail, event.door, event.reader, event.output, door_name,
        controller.name,
    )  # fmt: skip


def search_words(
    holder: str, medium: str, credential: str | None, detail: str, door: str, reader: str, output: str, door_name: str,
    controller_name: str,
) -> str:  # fmt: skip
    """The same of an event that is not stored yet."""
    number = credential_text(medium, credential)
    telephone = "00" + number if medium == "phone" else ""
    parts = (holder, number, telephone, detail, door_name, door, reader, controller_name, output)
    return fold(" ".join(filter(None, parts)))
