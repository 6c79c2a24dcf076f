"""The events page: row B16 of the mission, filtered, searched, paged and live."""

import dataclasses
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.core.paginator import Paginator
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from cloud_stub.passages import contacts, standing, words
from cloud_stub.passages.listing import CONTROLLER_ITSELF, Selection, credential_text, local_days, local_time
from cloud_stub.passages.models import ChainAlarm, Event, Line, Notice
from cloud_stub.residences.models import Controller, Door, DoorMode, Reader, Site

PAGE_SIZE = 50
ALARM_SHOWN = timedelta(days=30)
MOST_ALARMS = 5
DEVICE_KINDS = {
    "osdp": gettext_lazy("OSDP reader"),
    "wiegand": gettext_lazy("Wiegand reader"),
    "radio": gettext_lazy("Radio receiver"),
    "gsm": gettext_lazy("GSM module"),
    CONTROLLER_ITSELF: gettext_lazy("Control unit"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One event in the words of the page."""

    at: datetime  # local, without a zone, so that templates show it as it is
    iso: str
    device: str
    reader: str
    kind: str
    result: str
    result_key: str
    description: str
    detail: str
    is_trusted: bool
    is_late: bool
    is_doubtful: bool
    is_notice: bool


@require_safe
def events(request: HttpRequest) -> HttpResponse:
    """The page; htmx asks for the same address and gets only the list, or 204 where nothing arrived since."""
    asked = request.GET
    zone = _zone(asked.get("site", ""))
    selection, wrong = _selection(asked, zone)
    controllers, alarms = _controllers(datetime.now(UTC)), _alarms(datetime.now(UTC))
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    shown = Notice.objects.aggregate(Max("pk"), Count("pk"))
    seen = f"{zlib.crc32(repr((newest, shown, controllers, alarms)).encode()):08x}"
    if asked.get("seen") == seen:
        return HttpResponse(status=204)
    pages = Paginator(selection.events().order_by("-at_ms", "-pk"), PAGE_SIZE)
    page = pages.get_page(asked.get("page"))
    notices = selection.notices().order_by("-at_ms", "-pk")[:PAGE_SIZE] if page.number == 1 else ()
    context = {
        "rows": [*_rows(notices), *_rows(page.object_list)],
        "page": page,
        "seen": seen,
        "query": urlencode({name: value for name, value in asked.items() if value and name in _FILTERS}),
        "wrong": wrong,
        "is_live": page.number == 1,
        "controllers": controllers,
        "alarms": alarms,
    }
    if request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request"):
        return render(request, "passages/list.html", context)
    return render(request, "passages/events.html", {**context, **_choices(), "asked": asked})


_FILTERS = ("site", "from", "to", "door", "device", "kind", "result", "q")


def _selection(asked: Any, zone: str) -> tuple[Selection, bool]:
    """What the address asks for, and whether its period could not be read (then it is left out)."""
    try:
        since_ms, until_ms = local_days(asked.get("from", ""), asked.get("to", ""), zone)
        wrong = False
    except (ValueError, OverflowError):
        since_ms, until_ms, wrong = None, None, True
    kind = asked.get("kind", "")
    selection = Selection(
        since_ms=since_ms,
        until_ms=until_ms,
        site=asked.get("site", ""),
        door=asked.get("door", ""),
        device_kind=asked.get("device", ""),
        medium={"": None, CONTROLLER_ITSELF: ""}.get(kind, kind),
        result=asked.get("result", ""),
        text=asked.get("q", ""),
    )
    return selection, wrong


def _zone(site: str) -> str:
    """The time zone of the site that is looked at, of the only or first site otherwise."""
    sites = Site.objects.filter(slug=site) if site else Site.objects.order_by("pk")
    return sites.values_list("time_zone", flat=True).first() or "UTC"


def _choices() -> dict[str, Any]:
    doors = Door.objects.select_related("controller").order_by("controller__pk", "position")
    kinds = set(Reader.objects.values_list("kind", flat=True).distinct()) | {CONTROLLER_ITSELF}
    return {
        "sites": list(Site.objects.order_by("name")),
        "doors": [(f"{door.controller.slug}/{door.slug}", door.name) for door in doors],
        "device_kinds": [(kind, name) for kind, name in DEVICE_KINDS.items() if kind in kinds],
        "kinds": [(medium or CONTROLLER_ITSELF, name) for medium, name in words.KINDS.items()],
        "results": list(words.RESULTS.items()),
    }


def _rows(events: Any) -> list[Row]:
    events = list(events)
    controllers = {event.controller_id for event in events}
    doors = {(door.controller_id, door.slug): door for door in Door.objects.filter(controller__in=controllers)}
    return [_row(event, doors.get((event.controller_id, event.door))) for event in events]


def _row(event: Line, door: Door | None) -> Row:
    key = words.result_key(event.result, event.reason)
    number = credential_text(event.medium, event.credential)
    usual = ("", "exit", door.outputs[0] if door else "")
    output = "" if event.output in usual else event.output
    detail = (event.holder, "" if event.medium == "code" else number, output, event.detail)
    at = local_time(event.at_ms, event.controller.site.time_zone)
    return Row(
        at=at.replace(tzinfo=None),
        iso=at.isoformat(timespec="milliseconds"),
        device=door.name if door else event.door or event.controller.name,
        reader=event.reader,
        kind=words.kind(event.medium),
        result=str(words.RESULTS.get(key, event.result)),
        result_key=key if key in words.RESULTS else "info",
        description=words.describe(event.medium, event.result, event.reason),
        detail=" · ".join(part for part in detail if part),
        is_trusted=event.trusted,
        is_late=isinstance(event, Event) and event.late,
        is_doubtful=isinstance(event, Event) and event.is_doubtful,
        is_notice=isinstance(event, Notice),
    )


# badge → how it is coloured
_COLOURS = {
    standing.UP_TO_DATE: "good",
    standing.WAITING: "behind",
    standing.BEHIND: "behind",
    standing.SILENT: "away",
    standing.NEVER: "away",
    standing.UNBOUND: "unbound",
}


def _controllers(now: datetime) -> list[dict[str, Any]]:
    found = list(Controller.objects.filter(is_active=True).select_related("site").order_by("pk"))
    badges, strips, locked = standing.badges(found, now), contacts.strips(found, now), _locked_doors()
    return [
        {
            "name": each.name,
            "badge": badges[each.pk].state,
            "colour": _COLOURS[badges[each.pk].state],
            "waiting": badges[each.pk].waiting,
            "since": _local(badges[each.pk].since, each.site.time_zone),
            "revision": each.revision,
            "hello_revision": each.hello_revision,
            "is_up_to_date": each.is_up_to_date,
            "is_provisioned": bool(each.device_key),
            "strip": strips[each.pk],
            "heard": sum(strips[each.pk]),
            "locked": locked.get(each.pk),
        }
        for each in found
    ]


def _locked_doors() -> dict[int, list[str]]:
    """By controller: the names of the doors that are locked down; none where all are."""
    found: dict[int, list[str]] = {}
    for mode in DoorMode.objects.order_by("controller", "door"):
        doors = found.setdefault(mode.controller_id, [])
        if mode.door:
            name = Door.objects.filter(controller=mode.controller_id, slug=mode.door).values_list("name", flat=True)
            doors.append(name.first() or mode.door)
    return found


def _alarms(now: datetime) -> list[dict[str, Any]]:
    """The newest alarms about logs that do not fit together."""
    found = ChainAlarm.objects.filter(at__gte=now - ALARM_SHOWN).select_related("controller__site").order_by("-pk")
    return [
        {
            "controller": each.controller.name,
            "what": words.chain_alarm(each.kind),
            "first": each.first_seq,
            "last": each.last_seq,
            "at": _local(each.at, each.controller.site.time_zone),
        }
        for each in found[:MOST_ALARMS]
    ]


def _local(moment: datetime | None, zone: str) -> datetime | None:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) if moment else None
