"""Compiles each controller's policy from the database and publishes it as a new revision when its rows changed.

Publishing writes a PolicyRevision; signing and sending happen when the controller says that it is behind, so a
signature is never older than the message that carries it.
"""

import struct
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from cloud_stub.errors import ConfigError
from cloud_stub.residences import archive
from cloud_stub.residences.models import Controller, PolicyRevision
from edge.residence.compile import policy_digest, policy_rows, years_around

KEPT_REVISIONS = 8  # what a later delta can build on; older ones hold names of people who may have left


class Published(NamedTuple):
    """What became of one controller: its current revision, and whether this call made it."""

    controller: Controller
    revision: int
    is_new: bool
    rows: int


def compile_rows(controller: Controller, now: datetime) -> list[bytes]:
    """The packed rows of a controller's policy as the database stands. ConfigError before it is provisioned."""
    if not controller.code_key:
        raise ConfigError(
            f"controller {controller.slug}: no device is registered; run: vantail-cloud provision {controller.slug} "
            "--keys DIR"
        )
    residence = archive.load(controller.site)
    uid, code_key = bytes.fromhex(controller.site.uid), bytes.fromhex(controller.code_key)
    return policy_rows(residence, controller.slug, uid, code_key, years_around(now.timestamp()))


@transaction.atomic
def publish(controller: Controller, now: datetime) -> Published:
    """Make the controller's present rows its published revision, if they differ from those of the last one."""
    controller = Controller.objects.select_for_update().select_related("site").get(pk=controller.pk)
    rows = compile_rows(controller, now)
    digest = policy_digest(rows).hex()
    if controller.revision and digest == controller.digest:
        return Published(controller, controller.revision, False, len(rows))
    # A controller that has more than we published (a restored backup of ours) still only obeys a higher number.
    revision = max(controller.revision, controller.hello_revision) + 1
    return _publish_rows(controller, rows, digest, revision, now)


@transaction.atomic
def republish_above(controller: Controller, revision: int, now: datetime) -> None:
    """Give the published rows a number above `revision`, for a device that has other rows under that number."""
    controller = Controller.objects.select_for_update().get(pk=controller.pk)
    if controller.revision and controller.revision <= revision:
        rows = published_rows(controller)
        _publish_rows(controller, rows, controller.digest, revision + 1, now)


def published_rows(controller: Controller) -> list[bytes]:
    """The rows of the published revision; none before the first."""
    found = PolicyRevision.objects.filter(
        controller=controller, epoch=controller.epoch, revision=controller.revision
    ).first()
    return split_rows(bytes(found.rows)) if found else []


def join_rows(rows: Iterable[bytes]) -> bytes:
    """Rows as one blob: each behind its 4-byte length, deflated."""
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


def _publish_rows(controller: Controller, rows: list[bytes], digest: str, revision: int, now: datetime) -> Published:
    PolicyRevision.objects.create(
        controller=controller, epoch=controller.epoch, revision=revision, digest=digest, rows=join_rows(rows),
        created_at=now,
    )  # fmt: skip
    controller.revision, controller.digest = revision, digest
    controller.save(update_fields=["revision", "digest"])
    newest = controller.revisions.order_by("-epoch", "-revision").values_list("pk", flat=True)[:KEPT_REVISIONS]
    controller.revisions.exclude(pk__in=list(newest)).delete()
    return Published(controller, revision, True, len(rows))
