"""How each controller stands with us: one word for its badge, and since when or how much."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import F

from cloud_stub.passages.models import Log
from cloud_stub.residences.models import Controller

# The same words as the controller's own (edge/connectivity.py), and what only the manager can see.
UP_TO_DATE = "up-to-date"
WAITING = "waiting"  # events are recorded there that are not here
BEHIND = "behind"  # it has not confirmed the published policy
SILENT = "silent"
NEVER = "never"  # no contact yet
UNBOUND = "unbound"  # no device is registered
BADGES = (UP_TO_DATE, WAITING, BEHIND, SILENT, NEVER, UNBOUND)
PRESENT_WITHIN = timedelta(minutes=11)  # a connected controller says hello every 5 min; two may be lost


class Badge(NamedTuple):
    """state: one of BADGES. waiting: events that the controller has named and that are not here. since: of SILENT."""

    state: str
    waiting: int
    since: datetime | None


def badges(controllers: Iterable[Controller], now: datetime) -> dict[int, Badge]:
    """By primary key."""
    controllers = list(controllers)
    logs = Log.objects.filter(controller__in=controllers, log=F("controller__hello_log"))
    said = logs.values_list("controller", "said_last", "acknowledged")
    unsent = {controller: max(0, last - here) for controller, last, here in said}
    return {each.pk: _badge(each, unsent.get(each.pk, 0), now) for each in controllers}


def _badge(controller: Controller, waiting: int, now: datetime) -> Badge:
    heard = controller.last_contact
    if not controller.device_key:
        return Badge(UNBOUND, waiting, None)
    if heard is None:
        return Badge(NEVER, waiting, None)
    if now - heard >= PRESENT_WITHIN or controller.left_at is not None:
        return Badge(SILENT, waiting, heard)
    if waiting:
        return Badge(WAITING, waiting, None)
    return Badge(UP_TO_DATE if controller.is_up_to_date else BEHIND, waiting, None)
