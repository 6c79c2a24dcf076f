"""Which address shows what."""

from django.urls import path
from django.views.i18n import set_language

from cloud_stub.passages import api, pages

urlpatterns = [
    path("", pages.events, name="events"),
    path("language", set_language, name="set_language"),
    path("healthz", api.healthz),
    path("metrics", api.metrics),
    path("api/summary", api.summary),
    path("api/events.ndjson", api.events),
]
