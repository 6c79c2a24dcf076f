"""What a person asks a controller to do at once: open, hold, release, forgive, status.

Whoever asks writes an Order; the process that has the broker's line carries it through, step by step in the database,
because the answer may reach another process. First the controller is asked for a challenge, then the command goes out
with it, once: a command whose reply is lost is not sent again, it may have opened the door. What was not answered 20 s
after it was asked is dead, whatever happened to the clock meanwhile.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from cloud_stub.errors import UnavailableError
from cloud_stub.passages.models import ASKED, OPEN_STATES, SENT, WAITING, Order
from cloud_stub.residences.models import Controller
from edge.uplink import signing

ANSWERED, UNANSWERED = "answered", "unanswered"  # how an order ends
AGAIN_AFTER = timedelta(seconds=10)  # as long as a challenge is good
MOST_TIMES = 2
DEAD_AFTER = timedelta(seconds=20)
CLOCKS_DIFFER = timedelta(seconds=5)  # of machines that share a database; one that is further ahead orders nothing
MOST_OPEN = 8  # of a controller; it keeps no more challenges at once
MOST_KEPT = 10_000  # of a controller
RESULTS = ("open", "done", "denied", "refused")


def place(
    controller: Controller,
    action: str,
    door: str,
    who: str,
    now: datetime,
    until_ms: int = 0,
    credential: int | None = None,
) -> Order:
    """Ask for something. UnavailableError where as much as possible is being asked already."""
    if _of(controller).filter(state__in=OPEN_STATES).count() >= MOST_OPEN:
        raise UnavailableError(f"controller {controller.slug}: {MOST_OPEN} commands are on their way; wait a moment")
    order = Order.objects.create(
        controller=controller, request=secrets.token_hex(8), action=action, door=door, until_ms=until_ms, who=who[:200],
        credential=None if credential is None else str(credential), created_at=now, state=WAITING,
    )  # fmt: skip
    _forget_old(controller)
    return order


def withdraw(order: Order) -> bool:
    """Nobody waits for it any more. False where the command is out already, or it is answered."""
    found = Order.objects.filter(pk=order.pk, state__in=(WAITING, ASKED))
    return found.update(state=UNANSWERED, **_persons_of(order.controller)) == 1


def to_ask(controller: Controller, now: datetime) -> list[bytes]:
    """The requests for which a challenge is to be asked now; those that are too old end."""
    asked = []
    for order in _of(controller).filter(state__in=OPEN_STATES).order_by("pk")[: 2 * MOST_OPEN]:
        if not _is_alive(order, now):
            _move(order, UNANSWERED, **_persons_of(controller))
        elif _is_due(order, now) and _move(order, ASKED, asked_at=now, times=order.times + 1):
            asked.append(bytes.fromhex(order.request))
    return asked


def challenged(controller: Controller, reply: signing.Reply, now: datetime) -> signing.Command | None:
    """The command that answers a challenge, once; None where nobody asked for it, or not any more."""
    order = _asked(controller, reply).filter(state=ASKED).first()
    if order is None or not _is_alive(order, now) or not _move(order, SENT):
        return None
    credential = None if order.credential is None else int(order.credential)
    return signing.Command(
        reply.request, reply.challenge, order.action, order.door, order.until_ms, order.who, credential
    )


def answer(controller: Controller, reply: signing.Reply) -> bool:
    """Keep what became of a command, also where it is said late. False where no such command was sent."""
    found = _asked(controller, reply).filter(state__in=(SENT, UNANSWERED), times__gt=0)
    said = {"result": reply.result, "reason": reply.reason, "status": reply.status}
    return found.update(state=ANSWERED, **said, **_persons_of(controller)) == 1


def _persons_of(controller: Controller) -> dict[str, Any]:
    """What an order keeps no longer than it lasts where the site's log names nobody (docs/privacy.md)."""
    return {} if controller.site.names_persons else {"who": "", "credential": None}


def _asked(controller: Controller, reply: signing.Reply) -> QuerySet[Order]:
    return _of(controller).filter(request=reply.request.hex())


def _of(controller: Controller) -> QuerySet[Order]:
    return Order.objects.filter(controller=controller)


def _is_alive(order: Order, now: datetime) -> bool:
    return -CLOCKS_DIFFER < now - order.created_at < DEAD_AFTER


def _is_due(order: Order, now: datetime) -> bool:
    if order.state == WAITING:
        return True
    return order.state == ASKED and order.times < MOST_TIMES and now - order.asked_at >= AGAIN_AFTER


def _move(order: Order, state: str, **more: object) -> bool:
    """Go on to `state`, unless somebody else was quicker."""
    return Order.objects.filter(pk=order.pk, state=order.state).update(state=state, **more) == 1


def _forget_old(controller: Controller) -> None:
    _of(controller).exclude(status="").update(status="")  # long ones, for whoever waited for them
    for oldest in _of(controller).order_by("-pk").values_list("pk", flat=True)[MOST_KEPT : MOST_KEPT + 1]:
        _of(controller).filter(pk__lte=oldest).delete()
