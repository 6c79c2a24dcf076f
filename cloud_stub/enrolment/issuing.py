"""Enrols controllers, renews their certificates and revokes them."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import transaction

from cloud_stub.enrolment import authority, broker_files, ca_folder, tokens
from cloud_stub.enrolment.models import Certificate
from cloud_stub.enrolment.request import RefusedError, Request, certified_key, parse
from cloud_stub.errors import ConfigError
from cloud_stub.residences import provisioning, signature
from cloud_stub.residences.models import Controller
from edge.uplink import signing

if TYPE_CHECKING:
    from django.db.models import QuerySet

FRESH = 2 / 3  # of a certificate's time; while so much is left, asking again brings the same one back


def enrol(body: bytes, now: datetime) -> dict[str, str]:
    """Answer an enrolment: the device is registered, its token used, its certificate signed. The answer holds the
    manager's file with the key of codes: it is for the one that showed the token alone. RefusedError otherwise."""
    request = parse(body, "token")
    with transaction.atomic():
        token = tokens.redeemable(request.token, request.device_key, now)
        key = certified_key(request, token.controller.slug)
        try:
            controller = provisioning.register(token.controller, request.device_key, token.may_replace)
        except ConfigError as error:
            raise RefusedError(409, str(error)) from error
        replaced = revoke_replaced(controller, now)
        certificate = _certificate_for(controller, key, now)
        tokens.use(token, request.device_key, now)
    if replaced:
        publish_revocations(now)
    return {
        "broker": token.broker,
        "ca": authority.certificate_text(_authority(now).certificate),
        "certificate": certificate.text,
        "controller": controller.slug,
        "manager": _manager_file(controller),
        "site": controller.site.slug,
    }


def renew(body: bytes, now: datetime) -> dict[str, str]:
    """Answer a renewal by the certificate that the device has; it may be expired, not revoked. RefusedError."""
    request = parse(body, "certificate")
    with transaction.atomic():
        old = _shown(request)
        key = certified_key(request, old.controller.slug)
        certificate = _certificate_for(old.controller, key, now)
    return {"ca": authority.certificate_text(_authority(now).certificate), "certificate": certificate.text}


def _shown(request: Request) -> Certificate:
    """The certificate that a device shows, if it may still be renewed."""
    try:
        shown = x509.load_pem_x509_certificate(request.certificate.encode("ascii"))
        fingerprint = authority.fingerprint(shown)
    except Exception:  # as in request.py
        raise RefusedError(400, "the certificate cannot be read") from None
    enrol = "enrol again with a new token: vantail-cloud enrol-token"
    old = Certificate.objects.select_for_update().filter(fingerprint=fingerprint).select_related("controller__site")
    found = old.first()
    if found is None:
        raise RefusedError(403, f"the certificate was not issued here; {enrol}")
    if found.revoked_at:
        raise RefusedError(403, f"the certificate was revoked; {enrol}")
    if found.device_key != request.device_key.hex() or found.device_key != found.controller.device_key:
        raise RefusedError(403, f"the certificate belongs to another device; {enrol}")
    if not found.controller.is_active:
        raise RefusedError(403, f"controller {found.controller.slug} is no longer part of its site")
    return found


def _certificate_for(controller: Controller, key: ec.EllipticCurvePublicKey, now: datetime) -> Certificate:
    """A new certificate, or the one that this key has while most of its time is left: an answer may be lost and asked
    for again any number of times."""
    tls_key = _key_digest(key)
    known = Certificate.objects.filter(
        controller=controller, tls_key=tls_key, device_key=controller.device_key, revoked_at=None
    )
    newest = known.order_by("-issued_at").first()
    if newest and newest.expires_at - now > FRESH * (newest.expires_at - newest.issued_at):
        return newest
    name = authority.topic_name(controller.site.slug, controller.slug)
    signed = authority.sign_device(_authority(now), key, name, now)
    return Certificate.objects.create(
        controller=controller, device_key=controller.device_key, tls_key=tls_key, serial=f"{signed.serial_number:x}",
        fingerprint=authority.fingerprint(signed), text=authority.certificate_text(signed), issued_at=now,
        expires_at=signed.not_valid_after_utc,
    )  # fmt: skip


def revoke(controller: Controller, now: datetime) -> int:
    """End every certificate and token of `controller`; how many certificates. `publish_revocations` is for brokers."""
    with transaction.atomic():
        tokens.withdraw(controller)
        return _revoke(Certificate.objects.filter(controller=controller), now)


def revoke_replaced(controller: Controller, now: datetime) -> int:
    """End the certificates of devices that were this controller before; how many."""
    former = Certificate.objects.filter(controller=controller).exclude(device_key=controller.device_key)
    return _revoke(former, now)


def publish_revocations(now: datetime) -> Path | None:
    """Write the list of what is revoked; the copy beside the broker's files, None where there is none to write to.
    The broker must read it again then (SIGHUP), and be restarted to end a connection that is up."""
    revoked = Certificate.objects.exclude(revoked_at=None).order_by("pk").values_list("serial", "revoked_at")
    serials = [(int(serial, 16), at) for serial, at in revoked]
    text = ca_folder.write_revocations(settings.DATA, _authority(now), serials, now)
    broker = ca_folder.remembered_broker(settings.DATA)
    if broker is None or not broker.folder.is_dir():
        return None
    path = broker.folder / "crl.pem"
    try:
        broker_files.write_public(path, text)
    except OSError:
        return None
    return path


def _revoke(certificates: "QuerySet[Certificate]", now: datetime) -> int:
    return certificates.filter(revoked_at=None).update(revoked_at=now)


def _authority(now: datetime) -> authority.Authority:
    return ca_folder.open_authority(settings.DATA, now)


def _key_digest(key: ec.EllipticCurvePublicKey) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def _manager_file(controller: Controller) -> str:
    """manager.toml as `vantail-cloud provision` would write it."""
    with tempfile.TemporaryDirectory(prefix="vantail-enrol-") as place:
        path = Path(place) / provisioning.MANAGER_FILE
        signing.write_manager(path, provisioning.trust_of(controller, signature.manager_public_key()))
        return path.read_text("ascii")
