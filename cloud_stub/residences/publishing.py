"""Compiles each controller's policy from the database and publishes it as a new revision when its rows changed.

Publishing writes a PolicyRevision; signing and sending happen when the controller says that it is behind, so a
signature is never older than the message that carries it. The newest revision has all rows, each one what it changed:
so a change can be sent without looking at the rest of the site.
"""

import struct
import zlib
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby, pairwise
from typing import NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Length

from cloud_stub.errors import ConfigError
from cloud_stub.residences import archive
from cloud_stub.residences.models import Controller, Door, PolicyRevision
from edge.decision import rows as policy
from edge.residence.compile import policy_digest, policy_rows, years_around
from edge.residence.values import Residence

KEPT_REVISIONS = 8  # what a change can build on; older ones hold names of people who may have left


class Published(NamedTuple):
    """What became of one controller: its current revision, and whether this call made it."""

    controller: Controller
    revision: int
    is_new: bool
    rows: int


class Change(NamedTuple):
    """What leads to another set of rows. rows: changed or new ones, packed. gone: keys of those that go."""

    rows: list[bytes]
    gone: list[bytes]


def compile_rows(controller: Controller, now: datetime, residence: Residence | None = None) -> list[bytes]:
    """The packed rows of a controller's policy as the database stands. residence: its site's, where that was loaded.
    ConfigError before it is provisioned."""
    if not controller.code_key:
        raise ConfigError(
            f"controller {controller.slug}: no device is registered; run: vantail-cloud provision {controller.slug} "
            "--keys DIR"
        )
    uid, code_key = bytes.fromhex(controller.site.uid), bytes.fromhex(controller.code_key)
    years = years_around(now.timestamp())
    return policy_rows(
        residence or archive.load(controller.site), controller.slug, uid, code_key, years, mode_rows(controller)
    )


def mode_rows(controller: Controller) -> list[policy.Mode]:
    """What stays locked down. A door that is no more is left out."""
    doors = {"", *Door.objects.filter(controller=controller).values_list("slug", flat=True)}
    return [policy.Mode(mode.door, True, mode.who) for mode in controller.modes.order_by("door") if mode.door in doors]


def publish_all(controllers: Iterable[Controller], now: datetime) -> list[Published]:
    """Publish for each; a site is read once, and its controllers are published together or not at all."""
    done = []
    for _, some in groupby(sorted(controllers, key=lambda each: each.site_id), lambda each: each.site_id):
        with transaction.atomic():
            locked = [_locked(controller) for controller in some]
            residence = archive.load(locked[0].site)
            done += [_publish_rows(each, compile_rows(each, now, residence), now) for each in locked]
    return done


def publish(controller: Controller, now: datetime) -> Published:
    """Make the controller's present rows its published revision, if they differ from those of the last one."""
    return publish_all([controller], now)[0]


@transaction.atomic
def publish_modes(controller: Controller, now: datetime) -> Published | None:
    """Publish what is locked down now, and nothing else that may have changed since the last revision. None before the
    first one, which will say it."""
    controller = _locked(controller)
    if not controller.revision:
        return None
    rows = [row for row in published_rows(controller) or compile_rows(controller, now) if row[0] != policy.MODE]
    return _publish_rows(controller, [*rows, *map(policy.pack, mode_rows(controller))], now)


@transaction.atomic
def republish_above(controller: Controller, revision: int, now: datetime) -> None:
    """Give the published rows a number above `revision`, for a device that has other rows under that number."""
    controller = _locked(controller)
    if controller.revision and controller.revision <= revision:
        _keep_revision(controller, published_rows(controller), controller.digest, revision + 1, now)


def published_rows(controller: Controller) -> list[bytes]:
    """The rows of the published revision; none before the first."""
    found = _kept(controller).filter(revision=controller.revision).first()
    return split_rows(bytes(found.rows)) if found else []


def change_since(controller: Controller, revision: int, digest: str) -> Change | None:
    """What leads from a revision, with that digest (hex) of its rows, to the published one. None where that is not
    known any more, or is not smaller than all rows."""
    kept = _kept(controller).filter(revision__gte=revision, revision__lte=controller.revision).order_by("revision")
    steps = list(kept.annotate(size=Length("rows")).values("revision", "digest", "before", "change", "size"))
    if not steps or (steps[0]["revision"], steps[0]["digest"]) != (revision, digest):
        return None
    found: dict[bytes, bytes] = {}  # key → row, or the key again where the row goes
    for earlier, step in pairwise(steps):
        if step["before"] != earlier["revision"]:
            return None
        found |= {policy.key_of(entry): entry for entry in split_rows(bytes(step["change"]))}
    if len(join_rows(found.values())) >= steps[-1]["size"]:
        return None
    return Change([row for key, row in found.items() if row != key], [key for key, row in found.items() if row == key])


def difference(before: Iterable[bytes], after: Iterable[bytes]) -> Change:
    """What leads from rows to others."""
    old, new = set(before), set(after)
    changed = sorted(new - old)
    staying = set(map(policy.key_of, changed))
    return Change(changed, sorted({policy.key_of(row) for row in old - new} - staying))


def join_rows(rows: Iterable[bytes]) -> bytes:
    """Rows, or keys, as one blob: each behind its 4-byte length, deflated."""
    return zlib.compress(b"".join(struct.pack(">I", len(row)) + row for row in rows))


def split_rows(blob: bytes) -> list[bytes]:
    """The rows of a blob of ours."""
    data = zlib.decompress(blob)
    rows, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        rows.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return rows


def _locked(controller: Controller) -> Controller:
    return Controller.objects.select_for_update().select_related("site").get(pk=controller.pk)


def _kept(controller: Controller) -> QuerySet[PolicyRevision]:
    return PolicyRevision.objects.filter(controller=controller, epoch=controller.epoch)


def _publish_rows(controller: Controller, rows: list[bytes], now: datetime) -> Published:
    digest = policy_digest(rows).hex()
    if controller.revision and digest == controller.digest:
        return Published(controller, controller.revision, False, len(rows))
    # A controller that has more than we published (a restored backup of ours) still only obeys a higher number.
    revision = max(controller.revision, controller.hello_revision) + 1
    _keep_revision(controller, rows, digest, revision, now)
    return Published(controller, revision, True, len(rows))


def _keep_revision(controller: Controller, rows: list[bytes], digest: str, revision: int, now: datetime) -> None:
    change = difference(published_rows(controller), rows) if controller.revision else Change([], [])
    newest = PolicyRevision.objects.create(
        controller=controller, epoch=controller.epoch, revision=revision, digest=digest, rows=join_rows(rows),
        before=controller.revision, change=join_rows([*change.rows, *change.gone]), created_at=now,
    )  # fmt: skip
    controller.revision, controller.digest = revision, digest
    controller.save(update_fields=["revision", "digest"])
    controller.revisions.exclude(pk=newest.pk).update(rows=b"")
    kept = controller.revisions.order_by("-epoch", "-revision").values_list("pk", flat=True)[:KEPT_REVISIONS]
    controller.revisions.exclude(pk__in=list(kept)).delete()
