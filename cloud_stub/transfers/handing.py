"""Hand-overs: what makes one controller obey us, after all that has to be done on site (docs/commissioning.md)."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from cloud_stub.enrolment import authority, ca_folder, tokens
from cloud_stub.errors import ConfigError, DataError
from cloud_stub.passages.ingest import trust_of
from cloud_stub.residences import publishing, signature
from cloud_stub.residences.models import Controller
from cloud_stub.transfers import arriving
from cloud_stub.transfers.models import Arrival, Manager
from edge.uplink import signing, wire
from edge.uplink.statements import HANDOVER, Claim, Start, encode_claim, encode_handover, encode_start, mark_of
from edge.uplink.transfer_file import Item
from edge.uplink.wire import WireError


class _Enrolment(NamedTuple):
    cloud: str = ""
    ca: bytes = b""
    token: str = ""


def hand_over(
    controller: Controller,
    arrival: Arrival,
    manager: Manager,
    root: Ed25519PrivateKey,
    start: Start | None,
    now: datetime,
) -> bytes:
    """The release and our claim for one controller, sealed to its device; statements.encode_handover. start: what an
    installer would type, for one without keys. ConfigError, DataError."""
    if arrival.expires_at <= now:
        raise ConfigError(f"the transfer ended on {arrival.expires_at:%Y-%m-%d}; ask the old manager for a new number")
    if not controller.device_key:
        raise ConfigError(
            f"{controller.slug}: no device is registered; give the folder with its device.pub by --keys DIR"
        )
    if arrival.key is None:
        raise ConfigError(
            f"no key is the commissioning key yet; run: vantail-cloud transfer key {controller.site.slug}"
        )
    release = bytes.fromhex(arrival.releases.get(str(controller.epoch), ""))
    device = bytes.fromhex(controller.device_key)
    try:
        claim = encode_claim(
            _claim(controller, arrival, manager, now), root, bytes.fromhex(manager.certificate), device
        )
        started = encode_start(start, claim, device) if start is not None else b""
    except (WireError, ValueError) as error:
        raise DataError(f"{controller.slug}: {error}") from error
    return encode_handover(release, claim, started)


def items(controller: Controller, handover: bytes) -> Iterator[Item]:
    """A DAT file's messages: the hand-over, then our policy whole, so that no second visit is needed."""
    yield Item(HANDOVER, handover)
    trust, key = trust_of(controller, signature.seal_key()), signature.manager_key()
    for part in signing.encode_policy_parts(publishing.published_rows(controller), controller.revision, trust, key):
        yield Item(wire.POLICY, part)


def _claim(controller: Controller, arrival: Arrival, manager: Manager, now: datetime) -> Claim:
    site, secret = controller.site, arriving.secret_of(controller.site)
    uid, root_key = bytes.fromhex(site.uid), bytes.fromhex(manager.root_key)
    assert arrival.key is not None
    mark = mark_of(secret, int(arrival.key.number), uid, controller.epoch, root_key, manager.number)
    where = _enrolment(controller, manager, arrival.expires_at, now)
    return Claim(
        site_uid=uid,
        controller_uid=bytes.fromhex(controller.fingerprint),
        epoch=controller.epoch,
        root_key=root_key,
        manager=manager.number,
        manager_key=signature.manager_public_key(),
        serial=manager.serial,
        secret=secret,
        key_mark=mark,
        seal_key=signature.seal_public_key(),
        code_key=bytes.fromhex(controller.code_key),
        site=site.slug,
        controller=controller.slug,
        **where._asdict(),
    )


def _enrolment(controller: Controller, manager: Manager, until: datetime, now: datetime) -> _Enrolment:
    """Where the controller gets its certificate; nothing for a manager without a cloud that controllers can reach."""
    if not manager.cloud:
        return _Enrolment()
    broker = ca_folder.remembered_broker(settings.DATA)
    if broker is None:
        raise ConfigError("no broker is known that controllers could be told; run: vantail-cloud broker-config")
    ca = authority.fingerprint(ca_folder.open_authority(settings.DATA, now).certificate)
    tokens.withdraw(controller)  # of a hand-over that was made before this one
    hours = (until - now).total_seconds() / 3600
    return _Enrolment(manager.cloud, bytes.fromhex(ca), tokens.create(controller, broker.url, False, now, hours))
