"""Messages that must be refused, each with its own reason (row Y3). Deterministic, byte for byte."""

import zlib
from typing import NamedTuple

import uplink_world as world

from edge.decision import rows
from edge.uplink import signing, wire

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


def policy(trust=world.EDGE_TRUST, key=world.MANAGER_KEY, **changes):
    """A right snapshot, some of its keys changed, rightly signed."""
    return signing.sign(wire.POLICY, body(**changes), trust, key)


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
    tampered = swapped(right, b"Les Tilleuls", b"Les Tilleulz")
    longer_head = swapped(right, b"\x59" + len(payload).to_bytes(2, "big"), b"\x5a" + len(payload).to_bytes(4, "big"))
    ack = signing.encode_ack(world.LOG_ID, 5, world.EDGE_TRUST, world.MANAGER_KEY)
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
    trust = world.EDGE_TRUST
    return [
        Case("calls itself an ack", "policy", "kind", signed(swapped(right_payload(), b"fpolicy", b"fpolicz"))),
        Case("foreign site", "policy", "foreign-site", policy(trust._replace(site_uid=bytes(16)))),
        Case("foreign controller", "policy", "foreign-controller", policy(trust._replace(controller=bytes(16)))),
        Case("earlier epoch", "policy", "epoch", policy(trust._replace(epoch=world.EPOCH - 1))),
        Case("later epoch", "policy", "epoch", policy(trust._replace(epoch=world.EPOCH + 1))),
    ]


def cbor_cases():
    """Rightly signed and addressed; not strict CBOR, or not the keys of the kind."""
    payload = right_payload()
    twice = swapped(payload, b"epoch\x03", b"epoch\x03ctwo\x01ctwo\x02")
    entries = payload[0] & 0x1F  # a map of less than 24 pairs says how many in its first byte
    floating = swapped(payload, b"bto\x08", b"bto\xfb\x40\x20\0\0\0\0\0\0")
    return [
        Case("trailing bytes", "policy", "trailing", signed(payload + b"\x00")),
        Case("duplicate keys", "policy", "duplicate-key", signed(bytes((payload[0] + 2,)) + twice[1:])),
        Case("an unknown key", "policy", "unknown-key", policy(extra=1)),
        Case(
            "too deep",
            "policy",
            "too-deep",
            signed(bytes((payload[0] + 1,)) + payload[1:] + b"ax" + b"\x81" * 40 + b"\0"),
        ),
        Case("indefinite map", "policy", "malformed", signed(b"\xbf" + payload[1:] + b"\xff")),
        Case("a date tag", "policy", "malformed", policy_with(b"bto\x08", b"bto\xc1\x08")),
        Case("a bignum", "policy", "malformed", policy_with(b"bto\x08", b"bto\xc2\x41\x08")),
        Case("a negative revision", "policy", "malformed", policy(to=-1)),
        Case("a true revision", "policy", "malformed", policy(to=True)),
        Case("a floating revision", "policy", "malformed", signed(floating)),
        Case(
            "a missing key",
            "policy",
            "malformed",
            signed(bytes((payload[0] - 1,)) + swapped(payload, b"bto\x08", b"")[1:]),
        ),
        Case("not a map", "policy", "malformed", signed(b"\x80")),
        Case("nothing", "policy", "malformed", signed(b"")),
        Case("cut short inside", "policy", "malformed", signed(payload[:-1])),
        Case("the kind comes second", "policy", "malformed", signed(reordered(payload, entries))),
        Case(
            "a huge length", "policy", "malformed", signed(swapped(payload, b"dgone\x80", b"dgone\x9b" + b"\x7f" * 8))
        ),
    ]


def policy_with(old, new):
    """A right snapshot with bytes of its payload replaced, rightly signed."""
    return signed(swapped(right_payload(), old, new))


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
