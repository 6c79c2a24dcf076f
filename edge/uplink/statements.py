"""The statements of a change of manager. docs/commissioning.md says why they are as they are.

release      the old side: whoever shows the secret with this hash may take over this site, until then. Signed by the
             old manager's operational key, or by the owner's recovery key in its place. For every controller of a site.
claim        the new side: obey this root key from now on. Signed by that root key, sealed to one device; it carries the
             secret, and the mark by which the device knows the commissioning key.
start        what an installer would have typed, for a controller without screen and keys: sealed to it, for one claim.
"""

import hashlib
import hmac
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.uplink import wire
from edge.uplink.certificates import (
    CERTIFICATE,
    KEY_SIZE,
    Check,
    OperationalKeys,
    any_bytes,
    check_fields,
    encode_certificate,
    is_signed,
    signed,
    sized,
    slug,
    text,
    upto,
    verify_certificate,
    word,
)
from edge.uplink.keys import fingerprint, public_bytes
from edge.uplink.sealing import device_seal_private, device_seal_public, seal, unseal
from edge.uplink.wire import WireError

__all__ = [
    "CERTIFICATE", "CLAIM", "HANDOVER", "RELEASE", "SECRET_SIZE", "Claim", "Enrolment", "OperationalKeys", "Release",
    "Start", "decode_enrolment", "decode_handover", "encode_certificate", "encode_claim", "encode_enrolment",
    "encode_handover", "encode_release", "encode_start", "hash_of", "mark_of", "open_start", "verify_certificate",
    "verify_claim", "verify_release",
]  # fmt: skip

RELEASE = "release"
CLAIM = "claim"
HANDOVER = "handover"
START = "start"
SECRET_SIZE = 16  # bytes of a transfer number: 128 random bits
_UID = 16
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1


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

    @property
    def root_print(self) -> str:
        """What of the root key a person compares with the commissioning card: 16 hexadecimal digits in fours."""
        digits = hashlib.sha256(b"vantail root 1" + self.root_key).hexdigest()[:16]
        return " ".join(digits[i : i + 4] for i in range(0, 16, 4))

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


class Start(NamedTuple):
    """What an installer would have typed. manager: the number. password: the controller's, never printed. reader: the
    learning reader's id. countdown_s: 10 to 600."""

    manager: int
    password: str
    reader: str
    countdown_s: int

    def __repr__(self) -> str:
        return f"Start(manager={self.manager}, reader={self.reader!r}, countdown_s={self.countdown_s})"


class Enrolment(NamedTuple):
    """Where a bound controller gets a certificate for its broker; as in Claim."""

    cloud: str
    ca: bytes
    token: str

    def __repr__(self) -> str:
        return f"Enrolment(cloud={self.cloud!r})"


# --- release ----------------------------------------------------------------------------------------------------


def encode_release(release: Release, key: Ed25519PrivateKey) -> bytes:
    """The old side's statement, signed by its operational key, or by the owner's recovery key. WireError where the
    values cannot be."""
    body = {"kind": RELEASE, "site": release.site_uid, "epoch": release.epoch, "hash": release.secret_hash}
    body |= {"expires": release.expires_s, "issue": release.issue}
    return signed(check_fields(RELEASE, body, _RELEASE), key)


def verify_release(raw: bytes, manager_key: bytes, recovery_key: bytes = b"") -> Release:
    """A release that one of these public keys signed; recovery_key b"" for none. Whether it is for this site, the next
    epoch and still good is decided by commissioning.handover. WireError."""
    frame = wire.cut_frame(raw)
    is_recovery = not is_signed(RELEASE, frame, manager_key)
    if is_recovery and not (recovery_key and is_signed(RELEASE, frame, recovery_key)):
        raise WireError(wire.SIGNATURE, "not signed as release by the manager that is obeyed here, nor by the owner")
    found = check_fields(RELEASE, wire.decode(frame.payload), _RELEASE)
    return Release(found["site"], found["epoch"], found["hash"], found["expires"], found["issue"], is_recovery)


# --- claim ------------------------------------------------------------------------------------------------------


def encode_claim(claim: Claim, root: Ed25519PrivateKey, certificate: bytes, device_public: bytes) -> bytes:
    """The new side's statement for the device with this Ed25519 key; `certificate` is by the same root. WireError,
    ValueError where the values do not agree with each other: such a claim would be refused."""
    keys = verify_certificate(certificate, public_bytes(root))
    if (claim.root_key, claim.manager_key, claim.serial) != keys or claim.controller_uid != fingerprint(device_public):
        raise ValueError("the claim does not name the root key, the certified key or the device that it is made with")
    inner = {
        "secret": claim.secret, "mark": claim.key_mark, "certificate": certificate, "seal": claim.seal_key,
        "code": claim.code_key, "site": claim.site, "controller": claim.controller, "cloud": claim.cloud,
        "ca": claim.ca, "token": claim.token, "recovery": claim.recovery_key,
    }  # fmt: skip
    body = {"kind": CLAIM, "site": claim.site_uid, "controller": claim.controller_uid, "epoch": claim.epoch}
    body |= {"manager": claim.manager, "root": claim.root_key, "sealed": b""}
    check_fields(CLAIM, body, _CLAIM)
    packed = wire.encode(check_fields(CLAIM, inner, _CLAIM_INNER))
    body["sealed"] = seal(device_seal_public(device_public), packed, _seal_words(body))
    return claim.root_key + signed(body, root)


def verify_claim(raw: bytes, device_key: Ed25519PrivateKey) -> Claim:
    """What a claim for this device says. It proves that the root key that it names made it, and that whoever sealed it
    meant that root key; whether that root may take over is decided by commissioning.handover. WireError."""
    root_key = raw[:KEY_SIZE]  # in front, so that the signature is checked before anything is parsed
    frame = wire.cut_frame(raw[KEY_SIZE:])
    if not is_signed(CLAIM, frame, root_key):
        raise WireError(wire.SIGNATURE, "not signed as claim by the root key that it names")
    found = check_fields(CLAIM, wire.decode(frame.payload), _CLAIM)
    if found["root"] != root_key:
        raise WireError(wire.MALFORMED, "it names another root key than the one that signed it")
    if found["controller"] != fingerprint(public_bytes(device_key)):
        raise WireError(wire.FOREIGN_CONTROLLER, f"for controller {found['controller'].hex()[:8]}, not this one")
    inner = check_fields(CLAIM, _opened(found["sealed"], _seal_words(found), device_key), _CLAIM_INNER)
    keys = verify_certificate(inner["certificate"], root_key)
    return Claim(
        found["site"], found["controller"], found["epoch"], root_key, found["manager"], keys.key, keys.serial,
        inner["secret"], inner["mark"], inner["seal"], inner["code"], inner["site"], inner["controller"],
        inner["cloud"], inner["ca"], inner["token"], inner["recovery"],
    )  # fmt: skip


def _opened(sealed: bytes, words: bytes, device_key: Ed25519PrivateKey) -> Any:
    packed = unseal(device_seal_private(device_key.private_bytes_raw()), sealed, words)
    if packed is None:
        raise WireError(wire.SEALED, "it is sealed to another key than ours, or was put into another claim")
    return wire.decode(packed)


def _seal_words(body: dict[str, Any]) -> bytes:
    """What the seal names: with this nobody puts another manager's sealed part behind a root key of his own."""
    numbers = body["epoch"].to_bytes(8, "big") + body["manager"].to_bytes(4, "big")
    return b"vantail claim 1" + body["site"] + body["controller"] + body["root"] + numbers


# --- both together ----------------------------------------------------------------------------------------------


def encode_handover(release: bytes, claim: bytes, start: bytes = b"") -> bytes:
    """A release, a claim and perhaps a start as one text: what travels, and without a start handover.cbor. b"" for what
    is not there."""
    return wire.encode({"kind": HANDOVER, "release": release, "claim": claim, "start": start})


def decode_handover(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """(release, claim, start), none of them verified. WireError."""
    if len(raw) > wire.MAX_RAW:
        raise WireError(wire.OVERSIZED, f"a hand-over of {len(raw)} bytes")
    found = check_fields(HANDOVER, wire.decode(raw), _HANDOVER)
    return found["release"], found["claim"], found["start"]


def encode_start(start: Start, claim: bytes, device_public: bytes) -> bytes:
    """What an installer would type, sealed to the device, good with this claim alone. WireError where it cannot be."""
    packed = wire.encode(check_fields(START, start._asdict(), _START))
    return seal(device_seal_public(device_public), packed, _start_words(claim))


def open_start(raw: bytes, claim: bytes, device_key: Ed25519PrivateKey) -> Start:
    """What is in it. Nobody signed it: the password within is what counts, and is tried like one that was typed.
    WireError."""
    return Start(**check_fields(START, _opened(raw, _start_words(claim), device_key), _START))


def _start_words(claim: bytes) -> bytes:
    return b"vantail start 1" + hashlib.sha256(claim).digest()


# --- what is left for after the binding ---------------------------------------------------------------------------


def encode_enrolment(claim: Claim) -> bytes:
    """The content of enrol-EPOCH.cbor; b"" where the site has no cloud."""
    if not claim.cloud:
        return b""
    return wire.encode({"cloud": claim.cloud, "ca": claim.ca, "token": claim.token})


def decode_enrolment(raw: bytes) -> Enrolment:
    """The same again. WireError."""
    return Enrolment(**check_fields("enrolment", wire.decode(raw), _ENROLMENT))


_RELEASE: dict[str, Check] = {
    "kind": word(RELEASE), "site": sized(_UID), "epoch": upto(_U32), "hash": sized(KEY_SIZE), "expires": upto(1 << 40),
    "issue": upto(_U64),
}  # fmt: skip
_CLAIM: dict[str, Check] = {
    "kind": word(CLAIM), "site": sized(_UID), "controller": sized(_UID), "epoch": upto(_U32), "manager": upto(_U32),
    "root": sized(KEY_SIZE), "sealed": any_bytes,
}  # fmt: skip
_ENROLMENT: dict[str, Check] = {"cloud": text, "ca": sized(0, KEY_SIZE), "token": text}
_CLAIM_INNER: dict[str, Check] = {
    "secret": sized(SECRET_SIZE), "mark": sized(0, KEY_SIZE), "certificate": any_bytes, "seal": sized(KEY_SIZE),
    "code": sized(KEY_SIZE), "site": slug, "controller": slug, **_ENROLMENT, "recovery": sized(0, KEY_SIZE),
}  # fmt: skip
_START: dict[str, Check] = {"manager": upto(_U32), "password": text, "reader": text, "countdown_s": upto(600)}
_HANDOVER: dict[str, Check] = {"kind": word(HANDOVER), "release": any_bytes, "claim": any_bytes, "start": any_bytes}
