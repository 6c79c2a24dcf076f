"""When a controller was heard: the last time, and each half hour of the last day."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from cloud_stub.residences.models import Contact, Controller

SLOT_S = 30 * 60
SLOTS = 48
MAX_STATUS = 1000  # bytes
WRITTEN_EVERY = timedelta(seconds=5)


def touch(controller: Controller, now: datetime) -> None:
    """It was heard, in a message that it signed; written down every few seconds, however much it says."""
    last = controller.last_contact
    if last is not None and controller.left_at is None and timedelta() <= now - last < WRITTEN_EVERY:
        return
    slot = _slot(now)
    if last is None or _slot(last) != slot:
        Contact.objects.get_or_create(controller=controller, slot=slot)
        controller.contacts.exclude(slot__gt=slot - SLOTS, slot__lte=slot).delete()
    controller.last_contact, controller.left_at = now, None
    Controller.objects.filter(pk=controller.pk).update(last_contact=now, left_at=None)


def take_status(controller: Controller, payload: bytes, now: datetime) -> None:
    """What the broker says in a controller's name: a hint for eyes, which nobody signed, until the controller is heard
    again. That of another boot than the one it last named is left alone. ValueError where it is none."""
    said = json.loads(payload) if len(payload) <= MAX_STATUS else None
    if not isinstance(said, dict) or type(said.get("online")) is not bool:
        raise ValueError("a status that is none")
    if controller.hello_boot and said.get("boot") == controller.hello_boot:
        Controller.objects.filter(pk=controller.pk).update(left_at=None if said["online"] else now)


def strips(controllers: Iterable[Controller], now: datetime) -> dict[int, list[bool]]:
    """By primary key: whether a controller was heard in each half hour, the one that runs now last."""
    first = _slot(now) - SLOTS + 1
    found = {controller.pk: [False] * SLOTS for controller in controllers}
    heard = Contact.objects.filter(controller__in=list(found), slot__gte=first, slot__lt=first + SLOTS)
    for controller, slot in heard.values_list("controller", "slot"):
        found[controller][slot - first] = True
    return found


def _slot(moment: datetime) -> int:
    return int(moment.timestamp()) // SLOT_S
