"""`open`, `hold`, `unhold`, `forgive`, `ask`, `lockdown` and `release`: what the manager does to doors."""

import argparse
import getpass
import json
import os
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud_stub.commands.moments import moment
from cloud_stub.errors import UnavailableError, UsageError
from cloud_stub.passages import orders
from cloud_stub.passages.models import SENT, WAITING, Order
from cloud_stub.residences import lockdown
from cloud_stub.residences.targets import Target, find_box, find_door, find_targets

POLL_S = 0.1
LONGEST_HOLD = timedelta(hours=24)
MAX_NUMBER = (1 << 64) - 1
EXITS = {"open": os.EX_OK, "done": os.EX_OK, "denied": os.EX_NOPERM, "refused": os.EX_TEMPFAIL}


def run_open(options: argparse.Namespace) -> int:
    """Open a door now; with --mobile as the person who has it, decided at the door."""
    mobile = options.mobile
    if mobile is not None and not (mobile.isascii() and mobile.isdecimal() and int(mobile) <= MAX_NUMBER):
        raise UsageError(f"--mobile {mobile}: write the number of the person's mobile credential")
    return _order(options, find_door(options.door), "open", credential=None if mobile is None else int(mobile))


def run_hold(options: argparse.Namespace) -> int:
    """Hold a door open until a moment within 24 hours."""
    target = find_door(options.door)
    return _order(options, target, "hold", until_ms=_until(options.until, target.controller.site.time_zone))


def run_unhold(options: argparse.Namespace) -> int:
    """End a hold."""
    return _order(options, find_door(options.door), "release")


def run_forgive(options: argparse.Namespace) -> int:
    """Forget who is inside which area."""
    return _order(options, find_box(options.controller), "forgive")


def run_ask(options: argparse.Namespace) -> int:
    """The controller's own status, as one object."""
    target = find_box(options.controller)
    order = _carry_out(target, "status", options)
    if order.state == orders.ANSWERED and order.status:
        Order.objects.filter(pk=order.pk).update(status="")  # it is long, and was for us
        try:
            print(json.dumps(json.loads(order.status)))  # in ASCII: nothing in it moves the cursor
        except ValueError as error:
            raise UnavailableError(f"{target}: its status cannot be read") from error
        return os.EX_OK
    return _say(order, target, options)


def run_lockdown(options: argparse.Namespace) -> int:
    """Lock down, until `release`."""
    return _set_modes(options, True)


def run_release(options: argparse.Namespace) -> int:
    """End lockdowns."""
    return _set_modes(options, False)


def _set_modes(options: argparse.Namespace, is_down: bool) -> int:
    now, who = datetime.now(UTC), _who(options)
    for target in find_targets(options.where):
        done = lockdown.lock_down(target, who, now) if is_down else lockdown.release(target, now)
        revision = done.revision if done else 0
        if options.json:
            names = {"site": target.controller.site.slug, "controller": target.controller.slug, "door": target.door}
            print(json.dumps({**names, "lockdown": is_down, "who": who, "revision": revision}, ensure_ascii=False))
        else:
            what = "locked down" if is_down else "released"
            since = f"revision {revision}" if revision else "no policy is published yet, its first one will say it"
            print(f"{target}: {what}, {since}")
    return os.EX_OK


def _order(
    options: argparse.Namespace, target: Target, action: str, until_ms: int = 0, credential: int | None = None
) -> int:
    return _say(_carry_out(target, action, options, until_ms, credential), target, options)


def _carry_out(
    target: Target, action: str, options: argparse.Namespace, until_ms: int = 0, credential: int | None = None
) -> Order:
    """Ask, and wait for the outcome: `serve`, another process, carries it out."""
    if not 0 < options.timeout <= 60:
        raise UsageError(f"--timeout {options.timeout:g}: write up to 60 seconds")
    order = orders.place(target.controller, action, target.door, _who(options), datetime.now(UTC), until_ms, credential)
    end_s = time.monotonic() + options.timeout
    try:
        while order.state not in (orders.ANSWERED, orders.UNANSWERED) and time.monotonic() < end_s:
            time.sleep(POLL_S)
            order.refresh_from_db()
    finally:
        before = order.state
        if orders.withdraw(order):
            order.state = before  # for what is said of it
        else:
            order.refresh_from_db()
    return order


def _say(order: Order, target: Target, options: argparse.Namespace) -> int:
    is_answered = order.state == orders.ANSWERED
    result = order.result if is_answered else "no answer"
    if options.json:
        names = {"site": target.controller.site.slug, "controller": target.controller.slug, "door": target.door}
        asked = {"request": order.request, **names, "action": order.action, "who": order.who}
        print(json.dumps({**asked, "result": result, "reason": order.reason}))
    else:
        why = order.reason if is_answered else _silence(order)
        said = f"{target}: {result} ({why})" if why else f"{target}: {result}"
        print("".join(each if each.isprintable() else " " for each in said))
    return EXITS.get(result, os.EX_UNAVAILABLE)


def _silence(order: Order) -> str:
    if order.state == WAITING:
        return "it was not sent; is vantail-cloud serve at work, and its broker there?"
    return "it was sent, and may have been carried out" if order.state == SENT else "the controller is not there"


def _who(options: argparse.Namespace) -> str:
    if options.who:
        return str(options.who)
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return str(os.getuid())


def _until(text: str, zone: str) -> int:
    """Utc milliseconds of a time of day (the next one there, in the site's zone), or of a moment."""
    now = datetime.now(UTC)
    if len(text) == len("18:00"):
        at = _next(text, now.astimezone(ZoneInfo(zone)))
    else:
        at = datetime.fromtimestamp((moment("--until", text, zone, 0) or 0) / 1000, UTC)
    if not now < at <= now + LONGEST_HOLD:
        raise UsageError(f"--until {text}: a hold ends within 24 hours from now")
    return int(at.timestamp() * 1000)


def _next(text: str, now: datetime) -> datetime:
    try:
        clock = datetime.strptime(text, "%H:%M").time()
    except ValueError as error:
        raise UsageError(f"--until {text}: write 18:00, 2026-11-23T18:00 or 2026-11-23T17:00:00Z") from error
    today = datetime.combine(now.date(), clock, now.tzinfo)
    return today if today > now else datetime.combine(now.date() + timedelta(days=1), clock, now.tzinfo)
