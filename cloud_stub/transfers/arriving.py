"""The new manager's side: take a residence in, whole, from the file that the old one wrote.

The transfer number is needed once more for each controller's claim. Until every controller obeys us it lies in the data
folder, transfers/SITE-UID.number, readable by its owner alone; then it is deleted.
"""

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from cloud_stub import folder
from cloud_stub.errors import ConfigError, DataError, FolderError
from cloud_stub.residences import archive, publishing
from cloud_stub.residences.models import Controller, DoorMode, Site
from cloud_stub.transfers import history, number, package
from cloud_stub.transfers.models import Arrival, Departure, Manager
from edge.uplink import signing
from edge.uplink.statements import Release, decode_handover, hash_of, verify_release
from edge.uplink.wire import WireError

FOLDER = "transfers"


class Accepted(NamedTuple):
    """What came."""

    site: Site
    controllers: int
    flats: int
    passes: int
    events: int


def accept(raw: bytes, typed: str, manager: Manager, now: datetime) -> Accepted:
    """Take in the residence of a file: rows, passes, history; our manager's number, the next epoch, new code keys, and
    its first policies. All or nothing. DataError, ConfigError."""
    secret = number.secret_of(typed)
    found = package.open_sealed(raw, secret)
    _check_statements(found, secret)
    if now.timestamp() >= found.expires_s:
        ended = datetime.fromtimestamp(found.expires_s, UTC)
        raise DataError(f"the transfer ended on {ended:%Y-%m-%d at %H:%M} UTC; ask the old manager for a new number")
    with _explained(), transaction.atomic():
        _check_place(found)
        accepted = _store(found, secret, manager, now)
        keep_secret(accepted.site, secret)  # last: where it cannot be kept nothing was stored
    return accepted


def _check_statements(found: package.Package, secret: bytes) -> None:
    """What the controllers would refuse is refused here."""
    try:
        uid, key = bytes.fromhex(found.site_uid), bytes.fromhex(found.manager_key)
        for each in found.releases:
            said = verify_release(bytes.fromhex(each.release), key)
            if said != Release(uid, each.epoch, hash_of(secret), found.expires_s, found.issue):
                raise DataError("a release in it is for another transfer; ask the old manager for a new file")
        devices = [box for box in found.boxes if box.device_key]
        for box in devices:
            signing.device_seal_public(bytes.fromhex(box.device_key))
    except (WireError, ValueError):
        raise DataError("a release in it is not signed by the manager that it names; ask for a new file") from None
    if not {box.epoch + 1 for box in devices} <= {each.epoch for each in found.releases}:
        raise DataError("a controller in it was not released; ask the old manager for a new file")


def _check_place(found: package.Package) -> None:
    """Whether there is room for the site here: it is new, comes again from where it came, or comes back."""
    site = Site.objects.filter(uid=found.site_uid).first()
    slug = found.residence.slug
    if not signing.is_slug(slug):
        raise DataError("its residence has no id that a controller could be told; ask the old manager")
    if site is None:
        if Site.objects.filter(slug=slug).exists():
            raise ConfigError(f"another residence here is {slug} already; the old manager has to rename one of them")
        return
    if site.slug != slug:
        raise ConfigError(f"this residence is here as {site.slug}, in the file it is {slug}; have it renamed there")
    arrival = Arrival.objects.filter(site=site).first()
    if arrival is not None and arrival.former_key == found.manager_key and found.issue <= arrival.issue:
        if arrival.withdrawn_at:
            raise DataError("the old manager has revoked this transfer; ask for a new number")
        if found.issue < arrival.issue:
            raise DataError("the old manager has made a newer file since; take that one, with its number")
    departure = Departure.objects.filter(site=site).first()
    if (departure is None or not departure.closed_at) and (arrival is None or arrival.done_at):
        raise ConfigError(f"{slug} is this manager's already; nothing was changed")


def _store(found: package.Package, secret: bytes, manager: Manager, now: datetime) -> Accepted:
    residence = dataclasses.replace(found.residence, manager=manager.number)
    site = archive.store(residence, bytes.fromhex(found.site_uid))
    boxes = {each.slug: each for each in Controller.objects.filter(site=site, is_active=True)}
    for box in found.boxes:
        _bind(boxes[box.controller], box)
    DoorMode.objects.filter(controller__site=site).delete()
    for each in found.lockdowns:
        at = datetime.fromtimestamp(each.at_ms / 1000, UTC)
        DoorMode.objects.create(controller=boxes[each.controller], door=each.door, who=each.who, at=at)
    events = history.store(found.history, boxes)
    Departure.objects.filter(site=site).delete()
    Arrival.objects.filter(site=site).delete()
    Arrival.objects.create(
        site=site, secret_hash=hash_of(secret).hex(), former_manager=found.manager, former_key=found.manager_key,
        releases={str(each.epoch): each.release for each in found.releases}, issue=found.issue, accepted_at=now,
        expires_at=datetime.fromtimestamp(found.expires_s, UTC),
    )  # fmt: skip
    publishing.publish_all([box for box in boxes.values() if box.device_key], now)
    return Accepted(site, len(boxes), len(residence.flats), len(residence.passes), events)


def _bind(controller: Controller, box: package.Box) -> None:
    """The device under our epoch. One that we handed over already, from an earlier file, keeps its code key."""
    epoch = box.epoch + 1 if box.device_key else box.epoch
    if controller.device_key == box.device_key and controller.epoch == epoch and controller.code_key:
        return
    controller.device_key, controller.epoch = box.device_key, epoch
    controller.fingerprint = signing.fingerprint(bytes.fromhex(box.device_key)).hex() if box.device_key else ""
    controller.code_key = secrets.token_hex(32) if box.device_key else ""
    controller.revision, controller.digest = 0, ""
    controller.hello_revision, controller.hello_digest, controller.hello_log, controller.hello_boot = 0, "", "", ""
    controller.last_contact, controller.left_at = None, None
    controller.save()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """A residence that the old manager's program would not have written says so in one line."""
    try:
        yield
    except (KeyError, ValueError, TypeError, OverflowError, DatabaseError) as error:
        raise DataError(
            f"its residence does not fit together ({type(error).__name__}); nothing was imported, ask the old manager"
        ) from error


def withdraw(raw: bytes, now: datetime) -> Site:
    """The old manager took a transfer back that was accepted here: no more controllers are handed over by it. raw: the
    statement that is also for the controllers (statements.encode_handover). DataError, ConfigError."""
    try:
        signed = decode_handover(raw)[0]
        for arrival in Arrival.objects.filter(done_at=None).select_related("site"):
            if (said := _release_by(arrival, signed)) and said.issue > arrival.issue:
                arrival.issue, arrival.withdrawn_at = said.issue, now
                arrival.save(update_fields=["issue", "withdrawn_at"])
                forget_secret(arrival.site)
                return arrival.site
    except WireError as error:
        raise DataError(f"no withdrawal: {error}") from None
    raise DataError("it withdraws nothing that was accepted here, or something older; nothing was changed")


def _release_by(arrival: Arrival, signed: bytes) -> Release | None:
    try:
        said = verify_release(signed, bytes.fromhex(arrival.former_key))
    except WireError:
        return None
    return said if said.site_uid.hex() == arrival.site.uid else None


# --- the transfer number, until it was used ---------------------------------------------------------------------


def keep_secret(site: Site, secret: bytes) -> None:
    """Keep it for the claims. FolderError."""
    path = _secret_path(site)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        folder.write_private(path, secret.hex() + "\n")
    except OSError as error:
        raise FolderError(f"{path}: {error.strerror}; free space or check its owner") from error


def secret_of(site: Site) -> bytes:
    """The transfer number's bytes. ConfigError where they are not there."""
    try:
        return bytes.fromhex(folder.read_secret(_secret_path(site)))
    except (ConfigError, ValueError):
        raise ConfigError(
            f"{site.slug}: the transfer number is not in the data folder any more; accept the file again, or a new one"
        ) from None


def forget_secret(site: Site) -> None:
    """It was used."""
    _secret_path(site).unlink(missing_ok=True)


def _secret_path(site: Site) -> Path:
    data: Path = settings.DATA
    return data / FOLDER / f"{site.uid}.number"
