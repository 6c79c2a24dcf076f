"""What programs read: health, counts per log, and events line by line."""

import json
from typing import Any

from django.db import connection
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.views.decorators.http import require_safe

from cloud_stub.passages import tally, words
from cloud_stub.passages.listing import as_object
from cloud_stub.passages.models import ChainAlarm, Event, Log
from cloud_stub.residences.models import Controller

MAX_LINES = 1000
MAX_ALARMS = 100


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


def status() -> dict[str, Any]:
    """What `vantail-cloud status` and /api/summary say. `distinct` counts different numbers: it equals `stored`."""
    controllers = [_controller(each) for each in Controller.objects.select_related("site").order_by("pk")]
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
