"""Messages that must be refused, each with its own reason (row Y3). Deterministic, byte for byte."""

import zlib
from typing import NamedTuple

import uplink_world as world
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.decision import rows
from edge.uplink import signing, wire

ONCE = X25519PrivateKey.from_private_bytes(bytes(range(128, 160)))  # where the product takes a new key each time
IN_FORCE = 7  # the revision that the controller has when a case arrives


class Case(NamedTuple):
    """`raw` arrives as a message of `kind` and is refused with `reason`."""

    name: str
    kind: str
    reason: str
    raw: bytes


def body(**changes):
    """A right snapshot's keys, some of them changed."""
    packed = world.POLICY_ROWS
    return {
        "from": 0,
        "to": 8,
        "part": 0,
        "parts": 1,
        "rows": stored(wire.encode(list(packed))),
        "gone": [],
        "digest": signing.policy_digest(packed),
        **changes,
    }


def stored(data):
    """Raw deflate without compression (RFC 1951, section 3.2.4), up to 65,535 bytes: the same bytes from every zlib."""
    size = len(data).to_bytes(2, "little")
    return b"\x01" + size + bytes(0xFF ^ byte for byte in size) + data


def signed(payload, kind=wire.POLICY, key=world.MANAGER_KEY):
    """A message around any payload bytes, rightly signed."""
    return wire.join_frame(payload, key.sign(wire.signed_bytes(kind, payload)))


def sealed(text, trust=world.CLOUD_TRUST, kind=wire.POLICY, seal_to=None):
    """`text` as docs/sync-protocol.md says that it is sealed, by code that has nothing from ours."""
    theirs = seal_to or trust.seal_to
    own = ONCE.public_key().public_bytes_raw()
    shared = ONCE.exchange(X25519PublicKey.from_public_bytes(theirs))
    key = HKDF(SHA256(), 32, salt=own + theirs, info=b"vantail seal 1").derive(shared)
    words = b"vantail " + kind.encode() + trust.site_uid + trust.controller + trust.epoch.to_bytes(8, "big")
    return own + ChaCha20Poly1305(key).encrypt(bytes(12), text, words)


def opened(seal, trust, kind):
    """The text of a seal."""
    own = X25519PrivateKey.from_private_bytes(trust.unseal)
    theirs, public = seal[:32], own.public_key().public_bytes_raw()
    shared = own.exchange(X25519PublicKey.from_public_bytes(theirs))
    key = HKDF(SHA256(), 32, salt=theirs + public, info=b"vantail seal 1").derive(shared)
    words = b"vantail " + kind.encode() + trust.site_uid + trust.controller + trust.epoch.to_bytes(8, "big")
    return ChaCha20Poly1305(key).decrypt(bytes(12), seal[32:], words)


def message(kind, text, trust=world.CLOUD_TRUST, key=world.MANAGER_KEY):
    """A message of a sealed kind whose body is `text`, rightly sealed and signed."""
    return signed(around(sealed(text, trust, kind), kind, trust), kind, key)


def around(seal, kind=wire.POLICY, trust=world.CLOUD_TRUST, **more):
    """The payload around a sealed text."""
    envelope = {"kind": kind, "site": trust.site_uid, "controller": trust.controller, "epoch": trust.epoch}
    return wire.encode({**envelope, "sealed": seal, **more})


def policy(trust=world.CLOUD_TRUST, key=world.MANAGER_KEY, **changes):
    """A right snapshot, some of its keys changed, rightly sealed and signed."""
    return message(wire.POLICY, wire.encode(body(**changes)), trust, key)


def snapshot_of(packed, **changes):
    """A snapshot of `packed` rows with the digest of these."""
    packed_list = stored(wire.encode(list(packed)))
    return policy(rows=packed_list, digest=signing.policy_digest(packed), **changes)


def right_payload():
    """The payload bytes of a right snapshot."""
    return wire.cut_frame(policy()).payload


def swapped(raw, old, new):
    """`raw` with the one place of `old` replaced."""
    assert raw.count(old) == 1, (old, raw.count(old))
    return raw.replace(old, new)


def bomb():
    """A few kilobytes that would inflate to two megabytes."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return machine.compress(bytes(2 * wire.MAX_INFLATED)) + machine.flush()


def frame_cases():
    """Refused before the signature is looked at, or by it."""
    right = policy()
    payload, signature = wire.cut_frame(right)
    tampered = right[:-200] + bytes((right[-200] ^ 1,)) + right[-199:]
    longer_head = swapped(right, b"\x59" + len(payload).to_bytes(2, "big"), b"\x5a" + len(payload).to_bytes(4, "big"))
    ack = signing.encode_ack(world.LOG_ID, 5, world.CLOUD_TRUST, world.MANAGER_KEY)
    zero = b"\xd2\x84\x43\xa1\x01\x27\xa0"
    return [
        Case("empty", "policy", "frame", b""),
        Case("truncated", "policy", "frame", right[:-1]),
        Case("truncated head", "policy", "frame", right[:6]),
        Case("bytes after the message", "policy", "frame", right + b"\0"),
        Case("untagged", "policy", "frame", right[1:]),
        Case("another algorithm", "policy", "frame", b"\xd2\x84\x43\xa1\x01\x26" + right[6:]),
        Case("an unprotected header", "policy", "frame", zero[:-1] + b"\xa1\x01\x27" + right[7:]),
        Case("a length that is not minimal", "policy", "frame", longer_head),
        Case("indefinite payload", "policy", "frame", zero + b"\x5f" + right[7:-66] + b"\xff" + right[-66:]),
        Case("a short signature", "policy", "frame", right[:-66] + b"\x58\x3f" + signature[:63]),
        Case("tampered", "policy", "signature", tampered),
        Case("signature of zeros", "policy", "signature", right[:-64] + bytes(64)),
        Case("another key", "policy", "signature", policy(key=world.OTHER_KEY)),
        Case("signed by the device", "policy", "signature", policy(key=world.DEVICE_KEY)),
        Case("an ack as a policy", "policy", "signature", ack),
        Case("a policy as an ack", "ack", "signature", right),
    ]


def address_cases():
    """Rightly signed, for somebody else."""
    trust = world.CLOUD_TRUST
    return [
        Case("calls itself an ack", "policy", "kind", signed(swapped(right_payload(), b"fpolicy", b"fpolicz"))),
        Case("foreign site", "policy", "foreign-site", policy(trust._replace(site_uid=bytes(16)))),
        Case("foreign controller", "policy", "foreign-controller", policy(trust._replace(controller=bytes(16)))),
        Case("earlier epoch", "policy", "epoch", policy(trust._replace(epoch=world.EPOCH - 1))),
        Case("later epoch", "policy", "epoch", policy(trust._replace(epoch=world.EPOCH + 1))),
    ]


def cbor_cases():
    """Rightly signed and addressed; not strict CBOR, or not the keys of the kind: around the seal, and inside it."""
    return [
        *strictness_cases(right_payload(), b"eepoch\x03", signed, ""),
        *strictness_cases(wire.encode(body()), b"bto\x08", inside, ", sealed"),
        Case("an unknown key", "policy", "unknown-key", signed(around(sealed(wire.encode(body())), extra=1))),
        Case("an unknown key, sealed", "policy", "unknown-key", policy(extra=1)),
        Case("no seal", "policy", "unknown-key", signed(around(b"", **body()))),
        Case("a seal that is a text", "policy", "malformed", signed(around("sealed"))),
        Case("a negative revision", "policy", "malformed", policy(to=-1)),
        Case("a true revision", "policy", "malformed", policy(to=True)),
        Case("the kind comes second", "policy", "malformed", signed(reordered(right_payload(), 5))),
        Case("a huge length", "policy", "malformed", policy_with(b"dgone\x80", b"dgone\x9b" + b"\x7f" * 8)),
        Case("sealed to another", "policy", "sealed", signed(around(sealed(b"\xa0", seal_to=bytes(range(1, 33)))))),
        Case("sealed as a command", "policy", "sealed", signed(around(sealed(b"\xa0", kind=wire.COMMAND)))),
        Case("a seal of nothing", "policy", "sealed", signed(around(b""))),
        Case("a touched seal", "policy", "sealed", signed(around(sealed(wire.encode(body()))[:-1] + b"?"))),
    ]


def strictness_cases(payload, pair, put, where):
    """What strict CBOR is not, of a right map that has `pair` (a key and a number below 24) in it."""
    entries = payload[0] & 0x1F  # a map of less than 24 pairs says how many in its first byte
    twice = swapped(payload, pair, pair + b"ctwo\x01ctwo\x02")
    floating = swapped(payload, pair, pair[:-1] + b"\xfb\x40\x20\0\0\0\0\0\0")
    deep = bytes((payload[0] + 1,)) + payload[1:] + b"ax" + b"\x81" * 40 + b"\0"
    wrong = [
        ("trailing bytes", "trailing", payload + b"\x00"),
        ("duplicate keys", "duplicate-key", bytes((payload[0] + 2,)) + twice[1:]),
        ("too deep", "too-deep", deep),
        ("indefinite map", "malformed", b"\xbf" + payload[1:] + b"\xff"),
        ("a date tag", "malformed", swapped(payload, pair, pair[:-1] + b"\xc1" + pair[-1:])),
        ("a bignum", "malformed", swapped(payload, pair, pair[:-1] + b"\xc2\x41" + pair[-1:])),
        ("a floating number", "malformed", floating),
        ("a missing key", "malformed", bytes((0xA0 + entries - 1,)) + swapped(payload, pair, b"")[1:]),
        ("not a map", "malformed", b"\x80"),
        ("nothing", "malformed", b""),
        ("cut short inside", "malformed", payload[:-1]),
    ]
    return [Case(name + where, "policy", reason, put(data)) for name, reason, data in wrong]


def inside(text):
    """A policy whose sealed text is `text`."""
    return message(wire.POLICY, text)


def policy_with(old, new):
    """A right snapshot with bytes of its body replaced, rightly sealed and signed."""
    return inside(swapped(wire.encode(body()), old, new))


def reordered(payload, entries):
    """The first pair of the map behind the second."""
    first, second = b"dkindfpolicy", b"dsite\x50" + world.SITE_UID
    assert payload.startswith(bytes((0xA0 + entries,)) + first + second)
    return payload[:1] + second + first + payload[1 + len(first) + len(second) :]


def content_cases():
    """Strict CBOR with the right keys, whose content cannot be."""
    right = world.POLICY_ROWS
    cut = right[0][:-1]
    return [
        Case("a bomb", "policy", "bomb", policy(rows=bomb())),
        Case("bytes after the rows", "policy", "trailing", policy(rows=stored(wire.encode([])) + b"\0")),
        Case("damaged deflate", "policy", "malformed", policy(rows=b"\x07")),
        Case("cut deflate", "policy", "malformed", policy(rows=stored(wire.encode(right))[:-1])),
        Case("rows too deep", "policy", "too-deep", policy(rows=stored(b"\x81" * 40 + b"\0"))),
        Case("rows that are texts", "policy", "malformed", policy(rows=stored(wire.encode(["a"])))),
        Case("a row cut short", "policy", "malformed", snapshot_of([*right[1:], cut])),
        Case("a row of no table", "policy", "malformed", snapshot_of([*right, b"\xff"])),
        Case("two rows of one key", "policy", "malformed", snapshot_of([*right, right[0]])),
        Case("another digest", "policy", "malformed", policy(digest=bytes(32))),
        Case("a part that is not", "policy", "malformed", policy(part=1)),
        Case("no parts", "policy", "malformed", policy(parts=0)),
        Case("too many parts", "policy", "malformed", policy(parts=4097)),
        Case("a snapshot that takes away", "policy", "malformed", policy(gone=[rows.key_of(right[1])])),
        Case("a key that is none", "policy", "malformed", policy(**{"from": IN_FORCE, "gone": [right[1]]})),
        Case("older", "policy", "version", policy(to=5)),
        Case("leads back", "policy", "version", policy(**{"from": 9, "to": 9})),
        Case("builds on another revision", "policy", "version", policy(**{"from": 6})),
    ]


def small_cases():
    """Everything that is kept as literal bytes in tests/vectors/wire."""
    return [*frame_cases(), *address_cases(), *cbor_cases(), *content_cases()]


def large_cases():
    """What would fill the vectors' file."""
    return [
        Case("oversized", "policy", "oversized", policy()[:-66] + bytes(70_000)),
        Case("oversized and nothing else", "ack", "oversized", b"\xd2" * (wire.MAX_RAW + 1)),
    ]
