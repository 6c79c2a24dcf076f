"""The app of changes of manager: residences that leave, residences that come."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save


class TransfersConfig(AppConfig):
    name = "cloud_stub.transfers"
    label = "transfers"

    def ready(self) -> None:
        from cloud_stub.residences.models import Controller

        post_save.connect(_saved, sender=Controller, dispatch_uid="transfers")


def _saved(instance: Any, update_fields: frozenset[str] | None = None, **_: Any) -> None:
    """A controller's hello was stored (passages.ingest): it may be the last one that a change of manager waits for."""
    if update_fields is not None and "hello_log" in update_fields:
        from cloud_stub.transfers.progress import heard

        heard(instance)
