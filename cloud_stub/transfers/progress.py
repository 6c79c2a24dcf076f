"""How far a change of manager is: which controllers obey us; after the last one, the end of the commissioning key."""

import logging
from datetime import datetime

from django.db import transaction

from cloud_stub.errors import ConfigError, UsageError
from cloud_stub.residences import publishing
from cloud_stub.residences.models import Controller, Pass, Site
from cloud_stub.transfers.arriving import forget_secret
from cloud_stub.transfers.models import Arrival
from edge.residence.texts import TextError, parse_number

_ENDING = 4  # digits of a key's number by which people tell it from others
_log = logging.getLogger("vantail.cloud")


def is_done(controller: Controller) -> bool:
    """It said hello under our epoch, signed: it obeys us. (What it was before was set back when the site came.)"""
    return bool(controller.device_key and controller.hello_log and controller.last_contact)


def boxes(site: Site) -> list[Controller]:
    """The controllers that have to be handed over."""
    return list(Controller.objects.filter(site=site, is_active=True).select_related("site").order_by("position"))


def arrival_of(site: Site) -> Arrival:
    """ConfigError where the site did not come from another manager."""
    found = Arrival.objects.filter(site=site).select_related("site", "key").first()
    if found is None:
        raise ConfigError(f"{site.slug} did not come from another manager; there is nothing to hand over")
    return found


def open_arrival(site: Site) -> Arrival:
    """The same, of a transfer that is under way. ConfigError."""
    found = arrival_of(site)
    if found.withdrawn_at:
        raise ConfigError(f"{site.slug}: the old manager has revoked the transfer; ask for a new number")
    if found.done_at:
        raise ConfigError(
            f"{site.slug}: every controller obeys us since {found.done_at:%Y-%m-%d}; nothing is left to do"
        )
    return found


@transaction.atomic
def mark_key(site: Site, like: str, new: str, now: datetime) -> Pass:
    """Duplicate the pass with the number `like` for the key with the number `new`, and make that the commissioning key,
    in place of one before, which is erased. UsageError, ConfigError."""
    arrival = open_arrival(site)
    try:
        digits = parse_number(new)
    except TextError as error:
        raise UsageError(f"--new: {error}") from error
    model = _badge(site, like)
    if model is None:
        raise UsageError(f"no badge {like} at {site.slug}; give the number of one that opens the doors there")
    if int(digits) and _badge(site, digits) not in (None, arrival.key):
        raise UsageError(f"badge {digits} is in use at {site.slug}; take a key that is nobody's")
    if arrival.key is not None:
        arrival.key.delete()
    last = Pass.objects.filter(site=site).order_by("-position").values_list("position", flat=True).first() or 0
    copy = Pass.objects.create(
        site=site, position=last + 1, block_id=model.block_id, flat_id=model.flat_id, flat_missing=model.flat_missing,
        number=digits, radio_number="", kind="badge", colour=model.colour, profile=model.profile, from_s=model.from_s,
        to_s=model.to_s, state=model.state, notes="commissioning key: erased after the change of manager",
    )  # fmt: skip
    arrival.key, arrival.key_ending, arrival.key_erased_at = copy, digits[-_ENDING:], None
    arrival.save(update_fields=["key", "key_ending", "key_erased_at"])
    _publish(site, now)
    return copy


def settle(arrival: Arrival, now: datetime) -> bool:
    """End a change of manager whose last controller obeys us: the commissioning key is no pass any more, anywhere.
    Whether it has ended with this call."""
    if arrival.done_at or not all(map(is_done, boxes(arrival.site))):
        return False
    with transaction.atomic():
        arrival.done_at = now
        if arrival.key is not None:
            arrival.key.delete()
            arrival.key, arrival.key_erased_at = None, now
        arrival.save(update_fields=["done_at", "key", "key_erased_at"])
        _publish(arrival.site, now)
        transaction.on_commit(lambda: forget_secret(arrival.site))
    _log.info("%s: every controller obeys us; the commissioning key is erased", arrival.site.slug)
    return True


def heard(controller: Controller) -> None:
    """After a controller's hello was stored. Whatever goes wrong here must not keep it from its answer; then
    `transfer status` makes up for it."""
    try:
        with transaction.atomic():
            waiting = Arrival.objects.filter(site=controller.site_id, done_at=None).select_related("site", "key")
            arrival = waiting.first()
            if arrival is not None and controller.last_contact is not None and settle(arrival, controller.last_contact):
                controller.refresh_from_db(fields=["revision", "digest"])  # what it is answered next is the new policy
    except Exception as error:
        _log.error("%s: the change of manager could not be ended: %s", controller.slug, type(error).__name__)


def _badge(site: Site, number: str) -> Pass | None:
    if not number.isdigit():
        return None
    found = [each for each in Pass.objects.filter(site=site).exclude(kind="remote") if int(each.number) == int(number)]
    return found[0] if found else None


def _publish(site: Site, now: datetime) -> None:
    publishing.publish_all([box for box in boxes(site) if box.code_key], now)
