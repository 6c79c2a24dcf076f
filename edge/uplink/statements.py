"""The statements of a change of manager, and the keys that a manager certifies. docs/commissioning.md says why.

release      the old side: whoever shows the secret with this hash may take over this site, until then. Signed by the
             old manager's operational key, or by the owner's recovery key in its place.
claim        the new side: obey this root key from now on. Signed by that root key, sealed to one device; it carries the
             secret, and the mark by which the device knows the commissioning key.
certificate  a root key's word that an operational key is the manager's; only a higher serial replaces it.

All are framed, signed and decoded as messages are (edge/uplink/wire.py), each under its own kind as external_aad. A
release is for every controller of a site, a certificate for all of a manager's, so that these two name no controller.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.uplink import wire
from edge.uplink.keys import fingerprint, is_slug, public_bytes
from edge.uplink.sealing import device_seal_private, device_seal_public, seal, unseal
from edge.uplink.wire import WireError

RELEASE = "release"
CLAIM = "claim"
CERTIFICATE = "certificate"

SECRET_SIZE = 16  # bytes of a transfer number: 128 random bits
_KEY = 32
_UID = 16
_MAX_TEXT = 200


class Release(NamedTuple):
    """site_uid: 16 bytes. epoch: that it leads to, the present one + 1. secret_hash: 32 bytes, `hash_of`. expires_s:
    UTC. issue: rises with each release of an epoch; a later one takes the place of an earlier one. is_recovery: the
    owner's key signed it; then it goes before every release of the manager."""

    site_uid: bytes
    epoch: int
    secret_hash: bytes
    expires_s: int
    issue: int
    is_recovery: bool = False

    @property
    def rank(self) -> tuple[bool, int]:
        """A release of lower rank than one that was seen is refused."""
        return self.is_recovery, self.issue


class Claim(NamedTuple):
    """What the new manager says to one device. controller_uid: the device's fingerprint. root_key, manager_key: public;
    serial: of the certificate by which the first names the second. manager: its number. secret: SECRET_SIZE bytes.
    key_mark: `mark_of` the commissioning key, 32 bytes; b"" only for a factory-new controller. seal_key: public.
    code_key: 32 secret bytes. site, controller: slugs. cloud: https://HOST:PORT, "" for a site without one. ca: SHA-256
    of the cloud's own authority, b"" for one that the system knows. token: for the enrolment there. recovery_key: the
    owner's, public, b"" for none; it counts only where the controller has none yet."""

    site_uid: bytes
    controller_uid: bytes
    epoch: int
    root_key: bytes
    manager: int
    manager_key: bytes
    serial: int
    secret: bytes
    key_mark: bytes
    seal_key: bytes
    code_key: bytes
    site: str
    controller: str
    cloud: str = ""
    ca: bytes = b""
    token: str = ""
    recovery_key: bytes = b""

    def __repr__(self) -> str:
        return f"Claim(site={self.site!r}, controller={self.controller!r}, epoch={self.epoch}, manager={self.manager})"

    @property
    def needs_key(self) -> bool:
        """Whether a commissioning key has to be held at a reader."""
        return bool(self.key_mark)

    def answers(self, release: Release) -> bool:
        """Whether it shows the secret that the release asks for."""
        return hmac.compare_digest(hash_of(self.secret), release.secret_hash)

    def is_key(self, number: int) -> bool:
        """Whether a card's number is the commissioning key's."""
        if not self.key_mark or not 0 <= number < 1 << 64:
            return False
        mark = mark_of(self.secret, number, self.site_uid, self.epoch, self.root_key, self.manager)
        return hmac.compare_digest(mark, self.key_mark)


def hash_of(secret: bytes) -> bytes:
    """What a release says of the one-time secret: 32 bytes."""
    return hashlib.sha256(b"vantail transfer 1" + secret).digest()


def mark_of(secret: bytes, number: int, site_uid: bytes, epoch: int, root_key: bytes, manager: int) -> bytes:
    """How a claim names the commissioning key without telling its number: an HMAC-SHA256 under the secret, that also
    ties the key to this site, epoch and manager. number: the card's, as the decision core knows it."""
    text = b"vantail key 1" + site_uid + epoch.to_bytes(8, "big") + root_key + manager.to_bytes(4, "big")
    return hmac.digest(secret, text + number.to_bytes(8, "big"), "sha256")


# --- release ----------------------------------------------------------------------------------------------------


def encode_release(release: Release, key: Ed25519PrivateKey) -> bytes:
    """The old side's statement, signed by its operational key, or by the owner's recovery key."""
    body = {"site": release.site_uid, "epoch": release.epoch, "hash": release.secret_hash}
    return _sign(RELEASE, {**body, "expires": release.expires_s, "issue": release.issue}, key)


def verify_release(raw: bytes, manager_key: bytes, recovery_key: bytes = b"") -> Release:
    """A release that one of these public keys signed; recovery_key b"" for none. Whether it is for this site, the next
    epoch and still good is decided by commissioning.handover. WireError."""
    frame = wire.cut_frame(raw)
    is_recovery = not _is_signed(RELEASE, frame, manager_key)
    if is_recovery and not (recovery_key and _is_signed(RELEASE, frame, recovery_key)):
        raise WireError(wire.SIGNATURE, "not signed as release by the manager that is obeyed here, nor by the owner")
    found = _checked(RELEASE, wire.decode(frame.payload), _RELEASE)
    return Release(found["site"], found["epoch"], found["hash"], found["expires"], found["issue"], is_recovery)


# --- claim ------------------------------------------------------------------------------------------------------


def encode_claim(claim: Claim, root: Ed25519PrivateKey, certificate: bytes, device_public: bytes) -> bytes:
    """The new side's statement for the device with this Ed25519 key; `certificate` is by the same root. ValueError
    where the values do not agree with each other: such a claim would be refused."""
    keys = verify_certificate(certificate, public_bytes(root))
    if (claim.root_key, claim.manager_key, claim.serial) != keys or claim.controller_uid != fingerprint(device_public):
        raise ValueError("the claim does not name the root key, the certified key or the device that it is made with")
    words = _seal_words(claim.site_uid, claim.controller_uid, claim.epoch, claim.root_key, claim.manager)
    inner = {
        "secret": claim.secret, "mark": claim.key_mark, "certificate": certificate, "seal": claim.seal_key,
        "code": claim.code_key, "site": claim.site, "controller": claim.controller, "cloud": claim.cloud,
        "ca": claim.ca, "token": claim.token, "recovery": claim.recovery_key,
    }  # fmt: skip
    _checked(CLAIM, inner, _CLAIM_INNER)
    body = {"site": claim.site_uid, "controller": claim.controller_uid, "epoch": claim.epoch, "manager": claim.manager}
    sealed = seal(device_seal_public(device_public), wire.encode(inner), words)
    return claim.root_key + _sign(CLAIM, {**body, "root": claim.root_key, "sealed": sealed}, root)


def verify_claim(raw: bytes, device_key: Ed25519PrivateKey) -> Claim:
    """What a claim for this device says. It proves that the root key that it names made it, and that whoever sealed it
    meant that root key; whether that root may take over is decided by commissioning.handover. WireError."""
    root_key = raw[:_KEY]  # in front, so that the signature is checked before anything is parsed
    frame = wire.cut_frame(raw[_KEY:])
    if not _is_signed(CLAIM, frame, root_key):
        raise WireError(wire.SIGNATURE, "not signed as claim by the root key that it names")
    found = _checked(CLAIM, wire.decode(frame.payload), _CLAIM)
    if found["root"] != root_key:
        raise WireError(wire.MALFORMED, "it names another root key than the one that signed it")
    if found["controller"] != fingerprint(public_bytes(device_key)):
        raise WireError(wire.FOREIGN_CONTROLLER, f"for controller {found['controller'].hex()[:8]}, not this one")
    words = _seal_words(found["site"], found["controller"], found["epoch"], root_key, found["manager"])
    text = unseal(device_seal_private(device_key.private_bytes_raw()), found["sealed"], words)
    if text is None:
        raise WireError(wire.SEALED, "it is sealed to another key than ours, or was put into another claim")
    inner = _checked(CLAIM, wire.decode(text), _CLAIM_INNER)
    keys = verify_certificate(inner["certificate"], root_key)
    return Claim(
        found["site"], found["controller"], found["epoch"], root_key, found["manager"], keys.key, keys.serial,
        inner["secret"], inner["mark"], inner["seal"], inner["code"], inner["site"], inner["controller"],
        inner["cloud"], inner["ca"], inner["token"], inner["recovery"],
    )  # fmt: skip


def _seal_words(site_uid: bytes, controller_uid: bytes, epoch: int, root_key: bytes, manager: int) -> bytes:
    """What the seal names: with this nobody puts another manager's sealed part behind a root key of his own."""
    return (
        b"vantail claim 1"
        + site_uid
        + controller_uid
        + epoch.to_bytes(8, "big")
        + root_key
        + manager.to_bytes(4, "big")
    )


# --- both together ----------------------------------------------------------------------------------------------


def encode_handover(release: bytes, claim: bytes) -> bytes:
    """A release and a claim as one text: handover.cbor, and what travels. b"" for the one that is not there."""
    return wire.encode({"kind": "handover", "release": release, "claim": claim})


def decode_handover(raw: bytes) -> tuple[bytes, bytes]:
    """(release, claim), neither of them verified. WireError."""
    if len(raw) > wire.MAX_RAW:
        raise WireError(wire.OVERSIZED, f"a hand-over of {len(raw)} bytes")
    found = _checked("handover", wire.decode(raw), _HANDOVER)
    return found["release"], found["claim"]


# --- operational keys -------------------------------------------------------------------------------------------


class OperationalKeys(NamedTuple):
    """A manager's root key and the operational key that it certified last. What is signed with an earlier one is
    refused: its signature is checked against `key` alone."""

    root: bytes
    key: bytes
    serial: int

    def accept(self, certificate: bytes) -> "OperationalKeys":
        """The keys after a certificate: the same where it is the one in force. WireError `signature`; `version` where
        its serial does not rise: that key was withdrawn."""
        found = verify_certificate(certificate, self.root)
        if found.serial > self.serial or found == self:
            return found
        raise WireError(
            wire.VERSION, f"a certificate with serial {found.serial}: that key was withdrawn, {self.serial} is in force"
        )


def encode_certificate(key: bytes, serial: int, root: Ed25519PrivateKey) -> bytes:
    """The root's word that `key` (public, 32 bytes) is the manager's operational key. ValueError where the values
    cannot be."""
    body = {"root": public_bytes(root), "key": key, "serial": serial}
    return _sign(CERTIFICATE, body, root)


def verify_certificate(raw: bytes, root_key: bytes) -> OperationalKeys:
    """What a certificate by this root key says. WireError."""
    frame = wire.cut_frame(raw)
    if not _is_signed(CERTIFICATE, frame, root_key):
        raise WireError(wire.SIGNATURE, "not signed as certificate by the root key that is trusted here")
    found = _checked(CERTIFICATE, wire.decode(frame.payload), _CERTIFICATE)
    if found["root"] != root_key:
        raise WireError(wire.MALFORMED, "it names another root key than the one that signed it")
    return OperationalKeys(root_key, found["key"], found["serial"])


# --- bytes ------------------------------------------------------------------------------------------------------


def _sign(kind: str, body: Mapping[str, object], key: Ed25519PrivateKey) -> bytes:
    said = {"kind": kind, **body}
    try:
        _checked(kind, said, _OUTER[kind])
    except WireError as error:
        raise ValueError(str(error)) from None
    payload = wire.encode(said)
    return wire.join_frame(payload, key.sign(wire.signed_bytes(kind, payload)))


def _is_signed(kind: str, frame: wire.Frame, public_key: bytes) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(frame.signature, wire.signed_bytes(kind, frame.payload))
    except (InvalidSignature, ValueError):
        return False
    return True


_Check = Callable[[object], bool]


def _sized(*sizes: int) -> _Check:
    return lambda value: type(value) is bytes and len(value) in sizes


def _upto(most: int) -> _Check:
    return lambda value: type(value) is int and 0 <= value <= most


def _text(value: object) -> bool:
    return type(value) is str and len(value) <= _MAX_TEXT


def _slug(value: object) -> bool:
    return type(value) is str and is_slug(value)


def _bytes(value: object) -> bool:
    return type(value) is bytes


def _kind(kind: str) -> _Check:
    return lambda value: value == kind


_EPOCH, _U64 = _upto((1 << 32) - 1), _upto((1 << 64) - 1)
_RELEASE: dict[str, _Check] = {
    "kind": _kind(RELEASE), "site": _sized(_UID), "epoch": _EPOCH, "hash": _sized(_KEY), "expires": _upto(1 << 40),
    "issue": _U64,
}  # fmt: skip
_CLAIM: dict[str, _Check] = {
    "kind": _kind(CLAIM), "site": _sized(_UID), "controller": _sized(_UID), "epoch": _EPOCH,
    "manager": _upto((1 << 32) - 1), "root": _sized(_KEY), "sealed": _bytes,
}  # fmt: skip
_CLAIM_INNER: dict[str, _Check] = {
    "secret": _sized(SECRET_SIZE), "mark": _sized(0, _KEY), "certificate": _bytes, "seal": _sized(_KEY),
    "code": _sized(_KEY), "site": _slug, "controller": _slug, "cloud": _text, "ca": _sized(0, _KEY), "token": _text,
    "recovery": _sized(0, _KEY),
}  # fmt: skip
_CERTIFICATE: dict[str, _Check] = {
    "kind": _kind(CERTIFICATE), "root": _sized(_KEY), "key": _sized(_KEY), "serial": _U64,
}  # fmt: skip
_HANDOVER: dict[str, _Check] = {"kind": _kind("handover"), "release": _bytes, "claim": _bytes}
_OUTER = {RELEASE: _RELEASE, CLAIM: _CLAIM, CERTIFICATE: _CERTIFICATE}


def _checked(kind: str, found: object, checks: Mapping[str, _Check]) -> dict[str, Any]:
    """A decoded map with exactly these keys, each of its form. WireError `unknown-key`, `malformed`."""
    body = wire.require_keys(found, tuple(checks), kind)
    for key, is_right in checks.items():
        if not is_right(body[key]):
            raise WireError(wire.MALFORMED, f"the value of {key!r} is not what the key stands for")
    return body
