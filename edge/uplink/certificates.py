"""A manager's operational keys, certified by its root key; and how such long-lived statements are signed and read.

They are framed, signed and decoded as messages are (edge/uplink/wire.py), each under its own kind as external_aad, so
that no parser sees a byte before the signature was checked. A certificate is for all controllers of a manager: it
names none.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.uplink import wire
from edge.uplink.keys import is_slug, public_bytes
from edge.uplink.wire import WireError

CERTIFICATE = "certificate"
KEY_SIZE = 32
MAX_TEXT = 200  # characters

Check = Callable[[object], bool]


class OperationalKeys(NamedTuple):
    """A manager's root key and the operational key that it certified last, public, 32 bytes each. What is signed with
    an earlier one is refused: its signature is checked against `key` alone."""

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
    """The root's word that `key` is the manager's operational key. WireError where the values cannot be."""
    body = {"kind": CERTIFICATE, "root": public_bytes(root), "key": key, "serial": serial}
    return signed(check_fields(CERTIFICATE, body, _FIELDS), root)


def verify_certificate(raw: bytes, root_key: bytes) -> OperationalKeys:
    """What a certificate by this root key says. WireError."""
    frame = wire.cut_frame(raw)
    if not is_signed(CERTIFICATE, frame, root_key):
        raise WireError(wire.SIGNATURE, "not signed as certificate by the root key that is trusted here")
    found = check_fields(CERTIFICATE, wire.decode(frame.payload), _FIELDS)
    if found["root"] != root_key:
        raise WireError(wire.MALFORMED, "it names another root key than the one that signed it")
    return OperationalKeys(root_key, found["key"], found["serial"])


# --- signing and reading ----------------------------------------------------------------------------------------


def signed(said: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """A statement, signed under its `kind`. WireError `oversized`."""
    payload = wire.encode(said)
    return wire.join_frame(payload, key.sign(wire.signed_bytes(said["kind"], payload)))


def is_signed(kind: str, frame: wire.Frame, public_key: bytes) -> bool:
    """Whether this key signed the frame as a statement of `kind`."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(frame.signature, wire.signed_bytes(kind, frame.payload))
    except (InvalidSignature, ValueError):
        return False
    return True


def check_fields(what: str, found: object, checks: Mapping[str, Check]) -> dict[str, Any]:
    """A decoded map with exactly these keys, each of its form. WireError `unknown-key`, `malformed`."""
    body = wire.require_keys(found, tuple(checks), what)
    for key, is_right in checks.items():
        if not is_right(body[key]):
            raise WireError(wire.MALFORMED, f"the value of {key!r} is not what the key stands for")
    return body


def sized(*sizes: int) -> Check:
    """Bytes of one of these lengths."""
    return lambda value: type(value) is bytes and len(value) in sizes


def upto(most: int) -> Check:
    """A number from 0 to `most`."""
    return lambda value: type(value) is int and 0 <= value <= most


def word(expected: str) -> Check:
    """This text."""
    return lambda value: value == expected


def text(value: object) -> bool:
    """A text of at most MAX_TEXT characters."""
    return type(value) is str and len(value) <= MAX_TEXT


def slug(value: object) -> bool:
    """A word that may stand in a topic."""
    return type(value) is str and is_slug(value)


def any_bytes(value: object) -> bool:
    """Bytes; how many is bounded by the message that they are in."""
    return type(value) is bytes


_FIELDS: dict[str, Check] = {
    "kind": word(CERTIFICATE), "root": sized(KEY_SIZE), "key": sized(KEY_SIZE), "serial": upto((1 << 64) - 1),
}  # fmt: skip
