"""What programs read: health, counts per log, and events line by line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseForbidden, JsonResponse
from django.views.decorators.http import require_safe

from cloud_stub.passages import contacts, standing, tally, words
from cloud_stub.passages.listing import as_object
from cloud_stub.passages.models import ChainAlarm, Event, Log
from cloud_stub.residences.models import Controller

MAX_LINES = 1000
MAX_ALARMS = 100
LOOPBACK = ("127.0.0.1", "::1")
OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 "ok" while the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def summary(request: HttpRequest) -> HttpResponse:
    """Counts per controller and log, and of everything that was refused."""
    return JsonResponse(status())


@require_safe
def events(request: HttpRequest) -> HttpResponse:
    """At most 1,000 events with an id above `after`, oldest id first, one JSON object a line."""
    try:
        after = int(request.GET.get("after", "0"))
    except ValueError:
        return HttpResponseBadRequest("after: write the id of the last event that you have\n")
    found = Event.objects.filter(pk__gt=after).select_related("controller__site").order_by("pk")[:MAX_LINES]
    lines = (json.dumps({"id": event.pk, **as_object(event)}, ensure_ascii=False) + "\n" for event in found)
    return HttpResponse("".join(lines), content_type="application/x-ndjson")


_queues: list[Callable[[], int]] = []


def watch_queue(length: Callable[[], int]) -> None:
    """The ingest is in this process; `length` of its queue is a figure, too."""
    _queues[:] = [length]


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, for who asks from this machine itself and not through a proxy: 403 for others."""
    is_own = request.META.get("REMOTE_ADDR") in LOOPBACK and request.get_host().rsplit(":", 1)[0] in OWN_NAMES
    if not is_own or "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return HttpResponseForbidden("figures are for this machine only; run: vantail-cloud metrics\n")
    try:
        from cloud_stub.passages import figures
    except ModuleNotFoundError:
        return HttpResponse("run: pip install 'vantail[cloud,metrics]'\n", status=503, content_type="text/plain")
    text = figures.render(datetime.now(UTC), *_queues)
    return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def status(now: datetime | None = None) -> dict[str, Any]:
    """What `vantail-cloud status` and /api/summary say. `distinct` counts different numbers: it equals `stored`.
    `contact`: of each half hour of the last day, 1 where the controller was heard."""
    now = now or datetime.now(UTC)
    found = list(Controller.objects.select_related("site").prefetch_related("modes").order_by("pk"))
    badges, strips = standing.badges(found, now), contacts.strips(found, now)
    controllers = [{**_controller(each), **_seen(badges[each.pk], strips[each.pk])} for each in found]
    return {"controllers": controllers, "alarms": [_alarm(each) for each in _alarms()], "counts": tally.all_counts()}


def _alarms() -> QuerySet[ChainAlarm]:
    """The newest first."""
    return ChainAlarm.objects.select_related("controller__site").order_by("-pk")[:MAX_ALARMS]


def _alarm(alarm: ChainAlarm) -> dict[str, Any]:
    return {
        "at": alarm.at.isoformat(),
        "site": alarm.controller.site.slug,
        "controller": alarm.controller.slug,
        "log": alarm.log,
        "kind": alarm.kind,
        "first_seq": alarm.first_seq,
        "last_seq": alarm.last_seq,
        "what": words.chain_alarm(alarm.kind),
    }


def _seen(badge: standing.Badge, strip: list[bool]) -> dict[str, Any]:
    since = badge.since.isoformat() if badge.since else None
    return {
        "badge": badge.state,
        "events_waiting": badge.waiting,
        "silent_since": since,
        "contact": "".join("01"[heard] for heard in strip),
    }


def _controller(controller: Controller) -> dict[str, Any]:
    logs = {log.log: log for log in Log.objects.filter(controller=controller)}
    stored = {
        row["log"]: row
        for row in Event.objects.filter(controller=controller)
        .values("log")
        .annotate(stored=Count("pk"), distinct=Count("seq", distinct=True), last_seq=Max("seq"))
    }
    empty = {"stored": 0, "distinct": 0, "last_seq": 0}
    return {
        "site": controller.site.slug,
        "controller": controller.slug,
        "active": controller.is_active,
        "provisioned": bool(controller.device_key),
        "epoch": controller.epoch,
        "revision": controller.revision,
        "controller_revision": controller.hello_revision,
        "up_to_date": controller.is_up_to_date,
        "last_contact": controller.last_contact.isoformat() if controller.last_contact else None,
        "software": controller.software,
        "lockdowns": sorted(mode.door for mode in controller.modes.all()),
        "logs": [
            {"log": log, **{**empty, **stored.get(log, {})}, **_completeness(logs.get(log))}
            for log in sorted({*logs, *stored})
        ],
    }


def _completeness(log: Log | None) -> dict[str, Any]:
    """How far a log is here, how far it goes, and whether its chain fits: "proven", "broken", "unproven" (its key is
    not known here) or "none"."""
    if log is None:
        return {"acknowledged": 0, "said_last": 0, "chain": "none"}
    chain = "none" if not log.chain_head else "proven" if log.chain_key else "unproven"
    return {
        "acknowledged": log.acknowledged,
        "said_last": max(log.said_last, log.acknowledged),
        "chain": "broken" if log.is_broken else chain,
    }
