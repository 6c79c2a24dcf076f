"""Signed messages: what leaves is signed, what comes in is verified before anything is believed.

Both sides use this file: the edge with its device key, the manager's side with its operational key. The order of
`verify` is a contract: size, frame, signature (COSE external_aad is the kind), strict CBOR, kind, addressee, epoch,
keys and their types. Only `PolicyParts` makes a VerifiedDelta, so nothing unverified can enter the store.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.decision import chain
from edge.decision import rows as policy_rows
from edge.decision.chain import Start, Stretch
from edge.decision.policy import VerifiedDelta
from edge.uplink import messages, wire
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
from edge.uplink.messages import Ack, Hello, PolicyPart
from edge.uplink.sealing import seal_log_key, seal_name, seal_public, unseal_log_key
from edge.uplink.wire import WireError

__all__ = [
    "Ack", "CheckedPart", "Ed25519PrivateKey", "EventsBatch", "Hello", "KeyFileError", "LoggedTuple",
    "ManagerTrust", "PolicyPart", "PolicyParts", "Trust", "WireError", "check_policy_part", "derived_secret",
    "encode_ack", "encode_events", "encode_hello", "encode_policy_parts", "fingerprint", "generate_key", "is_slug",
    "load_manager", "load_private_key", "load_public_key", "policy_digest", "public_bytes", "seal_log_key",
    "seal_name", "seal_public", "sign", "unseal_log_key", "verify", "verify_ack", "verify_events", "verify_hello",
    "verify_policy_part", "write_manager", "write_private_key", "write_public_key",
]  # fmt: skip

MAX_STAGED = 64 * 1024 * 1024  # bytes of rows and keys that wait for the rest of their version
_ROWS_A_PART = 1000  # so that verifying one part holds up the loop for milliseconds only
_SECRET_SIZE, _START_SIZE = 45, 130  # bytes of one in a message
_PART_ROOM = wire.MAX_PART - 512  # the envelope, the head of the body, the signature


def sign(kind: str, body: Mapping[str, object], trust: Trust, private_key: Ed25519PrivateKey) -> bytes:
    """The message of `kind` with `body` behind the envelope that `trust` names. WireError `oversized`."""
    envelope = {"kind": kind, "site": trust.site_uid, "controller": trust.controller, "epoch": trust.epoch}
    payload = wire.encode({**envelope, **body})
    return wire.join_frame(payload, private_key.sign(wire.signed_bytes(kind, payload)))


def verify(kind: str, raw: bytes, trust: Trust) -> dict[str, Any]:
    """The payload of a message of `kind` that `trust.public_key` signed for this site, controller and epoch.
    WireError with any reason but `version` and `bomb`."""
    frame = wire.cut_frame(raw)
    try:
        key = Ed25519PublicKey.from_public_bytes(trust.public_key)
        key.verify(frame.signature, wire.signed_bytes(kind, frame.payload))
    except InvalidSignature:
        raise WireError(wire.SIGNATURE, f"not signed as {kind} by the key that is trusted here") from None
    payload = messages.check_envelope(kind, wire.decode(frame.payload))
    _check_addressee(payload, trust)
    return messages.check_body(kind, payload)


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
        body = _events_body(log_id, some)
        size = len(body["columns"]) + _SECRET_SIZE * len(some.secrets) + _START_SIZE * len(some.starts)
        few = len(some.starts) <= messages.MAX_STARTS and len(some.notes) <= MAX_NOTES
        if count == 1 or (few and size <= wire.MAX_BATCH - 320):  # the envelope, the head and the signature need 270
            break
        count //= 2
    return sign(wire.EVENTS, body, trust, device_key), count


def _events_body(log_id: bytes, stretch: Stretch) -> dict[str, Any]:
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
    return _digest_bytes(_hash_sum(packed_rows))


def _hash_sum(packed_rows: Iterable[bytes]) -> int:
    return sum(int.from_bytes(hashlib.sha256(row).digest(), "big") for row in packed_rows)


def _digest_bytes(total: int) -> bytes:
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
    if len(contents) > messages.MAX_PARTS:
        raise WireError(wire.OVERSIZED, f"{len(contents)} parts; a policy has at most {messages.MAX_PARTS}")
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


class CheckedPart(NamedTuple):
    """A verified part with the keys of its rows and of those that go, and the sum of the rows' SHA-256. trouble: what
    is wrong with a row; then there are no keys. Only `check_policy_part` makes one."""

    part: PolicyPart
    keys: tuple[bytes, ...]
    hash_sum: int
    trouble: WireError | None


def check_policy_part(raw: bytes, trust: Trust) -> CheckedPart:
    """All of PolicyParts.add that takes milliseconds and needs nothing but the message: for another thread than the one
    that opens doors. WireError."""
    part = verify_policy_part(raw, trust)
    try:
        keys = (*map(_key_of_row, part.rows), *map(_checked_key, part.gone))
    except WireError as trouble:
        return CheckedPart(part, (), 0, trouble)
    return CheckedPart(part, keys, _hash_sum(part.rows), None)


class PolicyParts:
    """Gathers the verified parts of one policy version, in any order. The newest version wins; what is staged is
    bounded and lives in memory only, so an interrupted one is simply sent again."""

    def __init__(self) -> None:
        self.repeated = 0  # parts that were here already, or of the version that is in force
        self._stage: _Stage | None = None
        self._handed = 0  # the revision that was handed out and is not settled yet

    @property
    def waiting(self) -> int:
        """How many parts are missing; 0 when no version is staged."""
        return self._stage.missing if self._stage else 0

    def add(self, raw: bytes | CheckedPart, trust: Trust, revision: int) -> VerifiedDelta | None:
        """Verify one message, if it was not checked before. The change, once all its parts are here and agree; None as
        long as some are missing. revision: in force, 0 for none of this epoch. WireError: `version` where the part
        cannot build on that; what is wrong with a row drops the whole version."""
        checked = raw if isinstance(raw, CheckedPart) else check_policy_part(raw, trust)
        part = checked.part
        _check_version(part, revision, self._stage.first.to_revision if self._stage else 0)
        if part.to_revision in (revision, self._handed):
            self.repeated += 1
            return None
        if self._stage is None or not self._stage.takes(part):
            self._stage = _Stage(part)
        stage = self._stage
        try:
            self.repeated += not stage.add(checked)
            if stage.missing:
                return None
            stage.check_digest()
        except WireError:
            self._stage = None
            raise
        self._stage = None
        self._handed = part.to_revision
        rows, gone = stage.ordered()
        return VerifiedDelta(
            trust.site_uid, trust.controller, trust.epoch, part.from_revision, part.to_revision, rows, gone, part.digest
        )

    def settle(self, revision: int) -> None:
        """The store has taken what was handed out, or refused it, and now holds `revision`."""
        self._handed = 0
        if self._stage and self._stage.first.to_revision <= revision:
            self._stage = None


def _check_version(part: PolicyPart, revision: int, staged: int) -> None:
    """WireError `version` where a part is older than what is here or builds on something else. A part of the version
    in force is let through: it was only delivered twice."""
    to = part.to_revision
    if to < revision:
        raise WireError(wire.VERSION, f"it leads to revision {to}, this controller has {revision}")
    if to < staged:
        raise WireError(wire.VERSION, f"it leads to revision {to} while {staged} is on its way")
    if to > revision and part.from_revision not in (0, revision):
        what = f"it builds on revision {part.from_revision}, this controller has {revision}"
        raise WireError(wire.VERSION, f"{what} and asks for a snapshot")


class _Stage:
    """The parts of one version that are here."""

    def __init__(self, first: PolicyPart) -> None:
        self.first = first
        self._parts: dict[int, PolicyPart] = {}
        self._keys: set[bytes] = set()
        self._size = self._hash_sum = 0

    @property
    def missing(self) -> int:
        return self.first.parts - len(self._parts)

    def takes(self, part: PolicyPart) -> bool:
        first = self.first
        return (part.from_revision, part.to_revision, part.parts, part.digest) == (
            first.from_revision, first.to_revision, first.parts, first.digest,
        )  # fmt: skip

    def add(self, checked: CheckedPart) -> bool:
        """False: it was here. WireError `malformed` (a row or key that cannot be), `oversized`."""
        part = checked.part
        if part.part in self._parts:
            return False
        self._size += sum(map(len, part.rows)) + sum(map(len, part.gone))
        if self._size > MAX_STAGED:
            raise WireError(wire.OVERSIZED, f"revision {part.to_revision} has more than {MAX_STAGED} bytes of rows")
        if checked.trouble is not None:
            raise checked.trouble
        for key, row in zip(checked.keys, (*part.rows, *part.gone), strict=True):
            if key in self._keys:
                raise WireError(wire.MALFORMED, f"two rows with the key of {_row_name(row)}")
            self._keys.add(key)
        self._hash_sum += checked.hash_sum
        self._parts[part.part] = part
        return True

    def check_digest(self) -> None:
        """WireError where a snapshot's rows do not have its digest; a change's is checked by the store."""
        if self.first.from_revision == 0 and _digest_bytes(self._hash_sum) != self.first.digest:
            raise WireError(wire.MALFORMED, f"the rows of revision {self.first.to_revision} do not have its digest")

    def ordered(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """(rows, gone keys) of all parts in order."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        return tuple(row for part in parts for row in part.rows), tuple(key for part in parts for key in part.gone)


def _key_of_row(row: bytes) -> bytes:
    try:
        policy_rows.unpack(row)
        return policy_rows.key_of(row)
    except policy_rows.RowError as error:
        raise WireError(wire.MALFORMED, f"{_row_name(row)}: {error}") from None


def _checked_key(key: bytes) -> bytes:
    try:
        if policy_rows.key_of(key) == key:
            return key
    except policy_rows.RowError:
        pass
    raise WireError(wire.MALFORMED, f"a key that is none, of {_row_name(key)}")


def _row_name(row: bytes) -> str:
    """A row for people: its table and key; only the table of a credential, which may be a code."""
    try:
        value = policy_rows.unpack(row)
    except policy_rows.RowError:
        return f"a row of table {row[0]}" if row else "an empty row"
    return "a credential" if row[0] == policy_rows.CREDENTIAL else policy_rows.describe(value)
