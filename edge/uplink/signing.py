"""Signed messages: what leaves is signed, what comes in is verified before anything is believed.

Both sides use this file: the edge with its device key, the manager's side with its operational key. The order of
`verify` is a contract: size, frame, signature (COSE external_aad is the kind), strict CBOR, kind, addressee, epoch,
the seal of a sealed kind, keys and their types.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.decision import chain
from edge.decision.chain import Start, Stretch
from edge.uplink import fields, mending, messages, wire
from edge.uplink.columns import MAX_NOTES, EventsBatch, LoggedTuple, pack_columns, unpack_columns
from edge.uplink.keys import (
    KeyFileError,
    ManagerTrust,
    Trust,
    derived_secret,
    fingerprint,
    generate_key,
    is_slug,
    load_manager,
    load_private_key,
    load_public_key,
    public_bytes,
    write_manager,
    write_private_key,
    write_public_key,
)
from edge.uplink.messages import Ack, Command, Hello, Notice, PolicyPart, Reply
from edge.uplink.sealing import (
    device_seal_public,
    seal,
    seal_log_key,
    seal_name,
    seal_public,
    unseal,
    unseal_log_key,
)
from edge.uplink.wire import WireError

__all__ = [
    "Ack", "Command", "Ed25519PrivateKey", "EventsBatch", "Hello", "KeyFileError", "LoggedTuple",
    "ManagerTrust", "Notice", "PolicyPart", "Reply", "Trust", "WireError", "derived_secret", "device_seal_public",
    "encode_ack", "encode_challenge", "encode_command", "encode_events", "encode_hello", "encode_notice",
    "encode_policy_parts", "encode_reply", "fingerprint", "generate_key", "is_slug", "load_manager",
    "load_private_key", "load_public_key", "policy_digest", "public_bytes", "seal_log_key", "seal_name",
    "seal_public", "sign", "unseal_log_key", "verify", "verify_ack", "verify_challenge", "verify_command",
    "verify_events", "verify_hello", "verify_notice", "verify_policy_part", "verify_reply", "write_manager",
    "write_private_key", "write_public_key",
]  # fmt: skip

_ROWS_A_PART = 1000  # so that verifying one part holds up the loop for milliseconds only
_SECRET_SIZE, _START_SIZE = 45, 130  # bytes of one in a message
_PART_ROOM = wire.MAX_PART - 512  # the envelope, the seal, the head of the body, the signature


def sign(kind: str, body: Mapping[str, object], trust: Trust, private_key: Ed25519PrivateKey) -> bytes:
    """The message of `kind` with `body` behind the envelope that `trust` names, sealed where the kind is. WireError
    `oversized`, `sealed` where there is nobody to seal to."""
    envelope = {"kind": kind, "site": trust.site_uid, "controller": trust.controller, "epoch": trust.epoch}
    if kind in wire.SEALED_KINDS:
        body = {"sealed": seal(_seal_to(trust), wire.encode(body), _seal_words(kind, trust))}
    payload = wire.encode({**envelope, **body})
    return wire.join_frame(payload, private_key.sign(wire.signed_bytes(kind, payload)))


def verify(kind: str, raw: bytes, trust: Trust) -> dict[str, Any]:
    """What a message of `kind` says that `trust.public_key` signed for this site, controller and epoch.
    WireError with any reason but `version` and `bomb`."""
    frame = wire.cut_frame(raw)
    try:
        key = Ed25519PublicKey.from_public_bytes(trust.public_key)
        key.verify(frame.signature, wire.signed_bytes(kind, frame.payload))
    except InvalidSignature:
        raise WireError(wire.SIGNATURE, f"not signed as {kind} by the key that is trusted here") from None
    payload = fields.check_envelope(kind, wire.decode(frame.payload))
    _check_addressee(payload, trust)
    body = fields.behind_envelope(payload)
    return fields.check_body(kind, _opened(kind, body, trust) if kind in wire.SEALED_KINDS else body)


def _opened(kind: str, body: dict[str, Any], trust: Trust) -> object:
    text = unseal(trust.unseal, fields.check_seal(kind, body), _seal_words(kind, trust)) if trust.unseal else None
    if text is None:
        raise WireError(wire.SEALED, "it is sealed to another key than ours, or for another message")
    return wire.decode(text)


def _seal_to(trust: Trust) -> bytes:
    if not trust.seal_to:
        raise WireError(wire.SEALED, "there is no key to seal to: have the controller provisioned again")
    return trust.seal_to


def _seal_words(kind: str, trust: Trust) -> bytes:
    """What a seal names, so that a text cannot be taken out of one message and put into another."""
    return b"vantail " + kind.encode() + trust.site_uid + trust.controller + trust.epoch.to_bytes(8, "big")


def _check_addressee(payload: Mapping[str, Any], trust: Trust) -> None:
    if payload["site"] != trust.site_uid:
        raise WireError(wire.FOREIGN_SITE, f"for site {_short(payload['site'])}, this is {_short(trust.site_uid)}")
    if payload["controller"] != trust.controller:
        found, wanted = _short(payload["controller"]), _short(trust.controller)
        raise WireError(wire.FOREIGN_CONTROLLER, f"of controller {found}, this is {wanted}")
    if payload["epoch"] != trust.epoch:
        raise WireError(wire.EPOCH, f"of epoch {payload['epoch']}, this is epoch {trust.epoch}")


def _short(uid: bytes) -> str:
    return uid.hex()[:8]


def encode_hello(hello: Hello, trust: Trust, device_key: Ed25519PrivateKey) -> bytes:
    """The message up/hello."""
    return sign(wire.HELLO, messages.hello_body(hello), trust, device_key)


def verify_hello(raw: bytes, trust: Trust) -> Hello:
    """What a controller says of itself; `trust.public_key` is the device's. WireError."""
    return messages.hello_of(verify(wire.HELLO, raw, trust))


def encode_ack(log_id: bytes, up_to: int, trust: Trust, manager_key: Ed25519PrivateKey, head: bytes = b"") -> bytes:
    """The message down/ack: every event of log `log_id` (16 bytes) up to `up_to` is committed on the manager's side.
    head: of the chain there, as the manager follows it."""
    return sign(wire.ACK, messages.ack_body(Ack(log_id, up_to, head)), trust, manager_key)


def verify_ack(raw: bytes, trust: Trust) -> Ack:
    """An acknowledgement; `trust.public_key` is the manager's. WireError."""
    return messages.ack_of(verify(wire.ACK, raw, trust))


def encode_events(
    log_id: bytes, events: Sequence[LoggedTuple] | Stretch, trust: Trust, device_key: Ed25519PrivateKey
) -> tuple[bytes, int]:
    """(the message up/events, how many of `events` are in it): as many from the first on as fit MAX_BATCH_EVENTS and
    MAX_BATCH bytes. Events alone go as a stretch that no chain covers. ValueError where there are none or their seqs
    are not contiguous."""
    stretch = events if isinstance(events, Stretch) else chain.plain(events)
    if not stretch.events:
        raise ValueError("a batch of no events")
    count = min(len(stretch.events), wire.MAX_BATCH_EVENTS)
    while True:
        some = chain.cut(stretch, count)
        body = events_body(log_id, some)
        size = len(body["columns"]) + _SECRET_SIZE * len(some.secrets) + _START_SIZE * len(some.starts)
        few = len(some.starts) <= fields.MAX_STARTS and len(some.notes) <= MAX_NOTES
        if count == 1 or (few and size <= wire.MAX_BATCH - 320):  # the envelope, the head and the signature need 270
            break
        count //= 2
    return sign(wire.EVENTS, body, trust, device_key), count


def events_body(log_id: bytes, stretch: Stretch) -> dict[str, Any]:
    """The keys of a batch of events. A value that a damaged file made impossible is mended or left out."""
    stretch = mending.mend(stretch)
    return {
        "log": log_id,
        "first": stretch.events[0][0],
        "head": stretch.heads[-1],
        "starts": [list(start) for start in stretch.starts],
        "secrets": [list(secret) for secret in stretch.secrets],
        "columns": pack_columns(stretch),
    }


def verify_events(raw: bytes, trust: Trust) -> EventsBatch:
    """A controller's batch of events; `trust.public_key` is the device's. Whether the chain is whole is not looked at:
    chain.Follower does that. WireError."""
    payload = verify(wire.EVENTS, raw, trust)
    found = unpack_columns(payload["columns"], payload["first"])
    starts = tuple(Start(*start) for start in payload["starts"])
    if len(starts) != sum(note.kind == chain.BEGIN for note in found.notes):
        raise WireError(wire.MALFORMED, "not as many starts as notes of one")
    secrets = tuple((first, secret) for first, secret in payload["secrets"])
    stretch = Stretch(found.events, found.boots, found.proofs, found.notes, secrets, starts, (payload["head"],))
    return EventsBatch(payload["log"], payload["first"], stretch)


def policy_digest(packed_rows: Iterable[bytes]) -> bytes:
    """The digest of a set of packed rows: the sum of their SHA-256 modulo 2^256, 32 bytes big-endian. Against drift,
    not a proof of authenticity."""
    return digest_bytes(hash_sum(packed_rows))


def hash_sum(packed_rows: Iterable[bytes]) -> int:
    """The sum of rows' SHA-256, whose last 256 bits are their digest."""
    return sum(int.from_bytes(hashlib.sha256(row).digest(), "big") for row in packed_rows)


def digest_bytes(total: int) -> bytes:
    """A sum of rows' hashes as a digest."""
    return (total % (1 << 256)).to_bytes(32, "big")


def encode_policy_parts(
    packed_rows: Iterable[bytes],
    to_revision: int,
    trust: Trust,
    manager_key: Ed25519PrivateKey,
    *,
    from_revision: int = 0,
    gone: Iterable[bytes] = (),
    digest: bytes | None = None,
) -> list[bytes]:
    """The messages down/policy that together lead to `to_revision`, each at most MAX_PART bytes. From revision 0 they
    are a snapshot and the digest is computed; a change needs the digest of all rows afterwards, and names the keys of
    the rows that go. WireError `oversized` where a row alone or the whole is too large; ValueError."""
    ordered = sorted(packed_rows)
    if digest is None:
        if from_revision:
            raise ValueError("a change needs the digest of all rows after it")
        digest = policy_digest(ordered)
    contents = [(tuple(some), ()) for some in _row_chunks(ordered)] + [((), tuple(some)) for some in _key_chunks(gone)]
    contents = contents or [((), ())]
    if len(contents) > fields.MAX_PARTS:
        raise WireError(wire.OVERSIZED, f"{len(contents)} parts; a policy has at most {fields.MAX_PARTS}")
    return [
        sign(
            wire.POLICY,
            messages.policy_body(
                PolicyPart(from_revision, to_revision, i, len(contents), some_rows, some_keys, digest)
            ),
            trust,
            manager_key,
        )
        for i, (some_rows, some_keys) in enumerate(contents)
    ]


def _row_chunks(ordered: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    for start in range(0, len(ordered), _ROWS_A_PART):
        yield from _halved_to_fit(ordered[start : start + _ROWS_A_PART])


def _halved_to_fit(some: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    if len(wire.deflate(wire.encode(list(some)))) <= _PART_ROOM:
        yield some
    elif len(some) == 1:
        raise WireError(wire.OVERSIZED, f"a row of {len(some[0])} bytes does not fit a message")
    else:
        yield from _halved_to_fit(some[: len(some) // 2])
        yield from _halved_to_fit(some[len(some) // 2 :])


def _key_chunks(gone: Iterable[bytes]) -> Iterable[list[bytes]]:
    chunk: list[bytes] = []
    room = _PART_ROOM
    for key in gone:
        if chunk and (room < len(key) + 3 or len(chunk) == _ROWS_A_PART):
            yield chunk
            chunk, room = [], _PART_ROOM
        chunk.append(key)
        room -= len(key) + 3  # the head of a byte string below 64 KiB
    if chunk:
        yield chunk


def verify_policy_part(raw: bytes, trust: Trust) -> PolicyPart:
    """One part of a policy; `trust.public_key` is the manager's. What its rows say is not looked at. WireError."""
    return messages.policy_part_of(verify(wire.POLICY, raw, trust))


def encode_notice(notice: Notice, trust: Trust, device_key: Ed25519PrivateKey) -> bytes:
    """The message up/notice: an event at once, for eyes only."""
    return sign(wire.NOTICE, messages.notice_body(notice), trust, device_key)


def verify_notice(raw: bytes, trust: Trust) -> Notice:
    """An event that a controller has just recorded. WireError."""
    return messages.notice_of(verify(wire.NOTICE, raw, trust))


def encode_challenge(request: bytes, trust: Trust, manager_key: Ed25519PrivateKey) -> bytes:
    """The message down/challenge: the manager has a command and asks for what proves it fresh. request: 8 bytes that
    no other request had."""
    return sign(wire.CHALLENGE, {"request": request}, trust, manager_key)


def verify_challenge(raw: bytes, trust: Trust) -> bytes:
    """The 8 bytes of the request. WireError."""
    request: bytes = verify(wire.CHALLENGE, raw, trust)["request"]
    return request


def encode_command(command: Command, trust: Trust, manager_key: Ed25519PrivateKey) -> bytes:
    """The message down/command."""
    return sign(wire.COMMAND, messages.command_body(command), trust, manager_key)


def verify_command(raw: bytes, trust: Trust) -> Command:
    """A command of the manager; whether it is fresh is not looked at: uplink.challenges does that. WireError."""
    return messages.command_of(verify(wire.COMMAND, raw, trust))


def encode_reply(reply: Reply, trust: Trust, device_key: Ed25519PrivateKey) -> bytes:
    """The message up/reply."""
    return sign(wire.REPLY, messages.reply_body(reply), trust, device_key)


def verify_reply(raw: bytes, trust: Trust) -> Reply:
    """What a controller answers to a challenge or a command. WireError."""
    return messages.reply_of(verify(wire.REPLY, raw, trust))
