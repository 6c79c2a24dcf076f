"""The old manager's side: let a residence go, take that back, and close it here once it is another one's."""

import os
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from cloud_stub.enrolment import tokens
from cloud_stub.errors import ConfigError
from cloud_stub.residences import archive, signature
from cloud_stub.residences.models import Controller, DoorMode, Site
from cloud_stub.transfers import history, number, package
from cloud_stub.transfers.models import Arrival, Departure
from edge.residence.values import Residence
from edge.uplink.statements import SECRET_SIZE, Release, encode_handover, encode_release, hash_of


class Authorised(NamedTuple):
    """number: the transfer number, to be shown once. file: for the new manager. left_out: events that had no room."""

    number: str
    file: bytes
    expires_at: datetime
    events: int
    left_out: int


@transaction.atomic
def authorise(site: Site, days: float, history_days: int, now: datetime) -> Authorised:
    """Release a site for whoever has the number. One at a time: the number of before counts no more, here and in every
    controller that gets to see the newer release. ConfigError where the site is not ours to let go."""
    _check_ours(site)
    secret, expires_at = os.urandom(SECRET_SIZE), now + timedelta(days=days)
    values = {"secret_hash": hash_of(secret).hex(), "created_at": now, "expires_at": expires_at, "revoked_at": None}
    issue = _next_issue(site, now)
    Departure.objects.update_or_create(site=site, defaults={**values, "issue": issue})
    boxes = _boxes(site)
    passages, left_out = history.taken_along(boxes, history_days, now)
    whole = package.Package(
        site_uid=site.uid,
        manager=site.manager,
        manager_key=signature.manager_public_key().hex(),
        expires_s=int(expires_at.timestamp()),
        issue=issue,
        releases=tuple(
            package.Statement(epoch, _release(site, epoch, hash_of(secret), expires_at, issue).hex())
            for epoch in _epochs(boxes)
        ),
        residence=archive.load(site),
        boxes=tuple(package.Box(each.slug, each.device_key, each.epoch) for each in boxes),
        lockdowns=_lockdowns(site),
        history=passages,
    )
    return Authorised(number.text_of(secret), package.seal(whole, secret), expires_at, len(passages), left_out)


@transaction.atomic
def revoke(site: Site, now: datetime) -> dict[Controller, bytes]:
    """Take it back: the number counts no more. For each controller the statement that withdraws what waits there, or
    may still be brought: a later release, which nobody can answer. ConfigError where nothing was authorised."""
    departure = _departure(site)
    if departure.closed_at:
        raise ConfigError(f"{site.slug} was closed on {_day(departure.closed_at)}: it is another manager's already")
    departure.issue, departure.revoked_at = _next_issue(site, now), departure.revoked_at or now
    departure.save()
    unknown, issue = hash_of(os.urandom(SECRET_SIZE)), departure.issue
    boxes = _boxes(site)
    signed = {epoch: _release(site, epoch, unknown, departure.expires_at, issue) for epoch in _epochs(boxes)}
    return {each: encode_handover(signed[each.epoch + 1], b"") for each in boxes if each.device_key}


@transaction.atomic
def close(site: Site, now: datetime) -> int:
    """The site is another manager's: no more policies, commands or tokens for its controllers. What they still have for
    us, of the logs that were begun under us, is taken as ever. Returns how many controllers."""
    departure = _departure(site)
    if departure.revoked_at:
        raise ConfigError(f"{site.slug}: the transfer was revoked on {_day(departure.revoked_at)}; it is still ours")
    if departure.closed_at is None:
        departure.closed_at = now
        departure.save(update_fields=["closed_at"])
    for box in (boxes := _boxes(site)):
        tokens.withdraw(box)
    return Controller.objects.filter(pk__in=[box.pk for box in boxes]).update(is_active=False)


def check_import(residence: Residence) -> None:
    """ConfigError where the files of a residence would undo its change of manager."""
    site = Site.objects.filter(slug=residence.slug).first()
    if site is None:
        return
    _check_ours(site)
    if residence.manager != site.manager and Arrival.objects.filter(site=site).exists():
        raise ConfigError(
            f"{site.slug} came from another manager, whose number {residence.manager} is in site.toml; nothing was "
            f"imported; write there: manager = {site.manager}"
        )


def _check_ours(site: Site) -> None:
    closed = Departure.objects.filter(site=site).exclude(closed_at=None).first()
    if closed:
        raise ConfigError(
            f"{site.slug} was closed on {_day(closed.closed_at)}: it is another manager's; where that one lets it go, "
            "take it back with: vantail-cloud transfer accept FILE"
        )
    arrival = Arrival.objects.filter(site=site, done_at=None).first()
    if arrival:
        raise ConfigError(
            f"{site.slug}: not every controller obeys us yet; see: vantail-cloud transfer status {site.slug}"
        )


def _departure(site: Site) -> Departure:
    found = Departure.objects.filter(site=site).first()
    if found is None:
        raise ConfigError(
            f"no transfer of {site.slug} was authorised; run: vantail-cloud transfer authorise {site.slug}"
        )
    return found


def _next_issue(site: Site, now: datetime) -> int:
    """Above every earlier one, also where the database was restored from a backup."""
    before = Departure.objects.filter(site=site).values_list("issue", flat=True).first() or 0
    return max(before + 1, int(now.timestamp()))


def _boxes(site: Site) -> list[Controller]:
    return list(Controller.objects.filter(site=site, is_active=True).order_by("position"))


def _epochs(boxes: list[Controller]) -> list[int]:
    """To which the releases lead: a controller whose device was replaced is an epoch ahead of the others."""
    return sorted({box.epoch + 1 for box in boxes if box.device_key})


def _release(site: Site, epoch: int, secret_hash: bytes, expires_at: datetime, issue: int) -> bytes:
    said = Release(bytes.fromhex(site.uid), epoch, secret_hash, int(expires_at.timestamp()), issue)
    return encode_release(said, signature.manager_key())


def _lockdowns(site: Site) -> tuple[package.Lockdown, ...]:
    modes = DoorMode.objects.filter(controller__site=site, controller__is_active=True).select_related("controller")
    return tuple(
        package.Lockdown(mode.controller.slug, mode.door, mode.who, int(mode.at.timestamp() * 1000))
        for mode in modes.order_by("pk")
    )


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}"
