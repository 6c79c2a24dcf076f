"""What programs read: health, counts per log, and events line by line."""

import json
from typing import Any

from django.db import connection
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.views.decorators.http import require_safe

from cloud_stub.passages import tally
from cloud_stub.passages.listing import as_object
from cloud_stub.passages.models import Event, Log
from cloud_stub.residences.models import Controller

MAX_LINES = 1000


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
    return {"controllers": controllers, "counts": tally.all_counts()}


def _controller(controller: Controller) -> dict[str, Any]:
    acknowledged = dict(Log.objects.filter(controller=controller).values_list("log", "acknowledged"))
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
            {"log": log, **{**empty, **stored.get(log, {})}, "acknowledged": acknowledged.get(log, 0)}
            for log in sorted({*acknowledged, *stored})
        ],
    }
