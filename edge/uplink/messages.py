"""What the messages say: typed values on one side, the signed payload's map on the other. docs/wire.cddl is the norm.

Every payload begins {kind, site, controller, epoch}; `BODIES` names what follows, key by key. What arrives here are
the plain values that `wire` decoded; each one's type and size is checked before it is used.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edge.uplink import wire
from edge.uplink.wire import WireError

UID_SIZE = 16  # site uid, controller fingerprint, log id
DIGEST_SIZE = 32
HEAD_SIZE = 32  # of the chain (edge/decision/chain.py)
SEALED_SIZE = 80  # a sealed key: 32 bytes and sealing.OVERHEAD
SESSION_SIZE = 8
MAX_STARTS = 16  # of the chain, in one batch
MAX_UINT = 0xFFFF_FFFF_FFFF_FFFF
MAX_TEXT = 200  # characters
MAX_PARTS = 4096


class Hello(NamedTuple):
    """How a controller stands. revision 0 with a digest of zeros: it has no policy of this epoch.
    digest: 32 bytes. log_id: 16 bytes. acked: up to which seq a manager acknowledged its events. head: of the chain
    after event `acked`, 32 bytes or b"". start: (first event, sealed key) of the chain that event is part of, or None.
    session: 8 bytes, others after each start. number: rises with each hello of a session."""

    revision: int
    digest: bytes
    log_id: bytes
    last_seq: int
    acked: int
    boot_id: str
    software: str
    head: bytes = b""
    start: tuple[int, bytes] | None = None
    session: bytes = bytes(8)
    number: int = 0


class PolicyPart(NamedTuple):
    """One part of a policy version. part: 0 to parts - 1. rows: packed rows (edge.decision.rows). gone: packed keys.
    from_revision 0: a snapshot. digest: of all rows afterwards, 32 bytes."""

    from_revision: int
    to_revision: int
    part: int
    parts: int
    rows: tuple[bytes, ...]
    gone: tuple[bytes, ...]
    digest: bytes


class Ack(NamedTuple):
    """The manager has committed every event of log `log_id` (16 bytes) up to and including seq `up_to`. head: of the
    chain there, 32 bytes; b"" where it knows of none."""

    log_id: bytes
    up_to: int
    head: bytes = b""


def _uint(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_UINT


def _uid(value: object) -> bool:
    return type(value) is bytes and len(value) == UID_SIZE


def _digest(value: object) -> bool:
    return type(value) is bytes and len(value) == DIGEST_SIZE


def _bytes(value: object) -> bool:
    return type(value) is bytes


def _text(value: object) -> bool:
    return type(value) is str and len(value) <= MAX_TEXT


def _bytes_list(value: object) -> bool:
    return type(value) is list and all(type(entry) is bytes for entry in value)


def _head(value: object) -> bool:
    return type(value) is bytes and len(value) in (0, HEAD_SIZE)


def _session(value: object) -> bool:
    return type(value) is bytes and len(value) == SESSION_SIZE


def _start(value: object) -> bool:
    """[] or [first event, sealed key]."""
    if type(value) is not list or len(value) not in (0, 2):
        return False
    return not value or (_uint(value[0]) and _sealed(value[1]))


def _sealed(value: object) -> bool:
    return type(value) is bytes and len(value) in (0, SEALED_SIZE)


def _starts(value: object) -> bool:
    return type(value) is list and len(value) <= MAX_STARTS and all(map(_is_start, value))


def _is_start(entry: object) -> bool:
    if type(entry) is not list or len(entry) != 3:
        return False
    return _uint(entry[0]) and _digest(entry[1]) and _sealed(entry[2])


def _secrets(value: object) -> bool:
    return type(value) is list and len(value) <= wire.MAX_BATCH_EVENTS and all(map(_is_secret, value))


def _is_secret(entry: object) -> bool:
    return type(entry) is list and len(entry) == 2 and _uint(entry[0]) and _digest(entry[1])


_Check = Callable[[object], bool]
ENVELOPE: dict[str, _Check] = {"kind": _text, "site": _uid, "controller": _uid, "epoch": _uint}
BODIES: dict[str, dict[str, _Check]] = {
    wire.HELLO: {
        "revision": _uint, "digest": _digest, "log": _uid, "last": _uint, "acked": _uint, "head": _head,
        "began": _start, "session": _session, "said": _uint, "boot": _text, "software": _text,
    },
    wire.POLICY: {
        "from": _uint, "to": _uint, "part": _uint, "parts": _uint, "rows": _bytes, "gone": _bytes_list,
        "digest": _digest,
    },
    wire.EVENTS: {
        "log": _uid, "first": _uint, "head": _head, "starts": _starts, "secrets": _secrets, "columns": _bytes,
    },
    wire.ACK: {"log": _uid, "up_to": _uint, "head": _head},
}  # fmt: skip


def check_envelope(kind: str, payload: object) -> dict[str, Any]:
    """A decoded payload that begins with the four keys of every message and calls itself `kind`. WireError
    `malformed`, `kind`. Whom it addresses is not looked at."""
    if type(payload) is not dict or list(payload)[: len(ENVELOPE)] != list(ENVELOPE):
        raise WireError(wire.MALFORMED, f"it does not begin with {', '.join(ENVELOPE)}")
    _check_values(payload, ENVELOPE)
    if payload["kind"] != kind:
        raise WireError(wire.KIND, f"it calls itself {payload['kind'][:20]!r} where a {kind} is expected")
    return payload


def check_body(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The same payload, with exactly the keys of its kind, each of its type. WireError `unknown-key`, `malformed`."""
    body = BODIES[kind]
    wire.require_keys(payload, (*ENVELOPE, *body), kind)
    _check_values(payload, body)
    return payload


def _check_values(payload: Mapping[str, object], checks: Mapping[str, _Check]) -> None:
    for key, is_right in checks.items():
        if not is_right(payload[key]):
            raise WireError(wire.MALFORMED, f"the value of {key!r} is not what the key stands for")


def hello_body(hello: Hello) -> dict[str, object]:
    """The keys of a hello."""
    return {
        "revision": hello.revision,
        "digest": hello.digest,
        "log": hello.log_id,
        "last": hello.last_seq,
        "acked": hello.acked,
        "head": hello.head,
        "began": list(hello.start or ()),
        "session": hello.session,
        "said": hello.number,
        "boot": hello.boot_id[:MAX_TEXT],
        "software": hello.software[:MAX_TEXT],
    }


def hello_of(payload: Mapping[str, Any]) -> Hello:
    """A checked payload as a value. WireError `malformed` where its numbers contradict each other."""
    if payload["acked"] > payload["last"]:
        raise WireError(wire.MALFORMED, f"acknowledged up to {payload['acked']} of {payload['last']} events")
    return Hello(
        payload["revision"],
        payload["digest"],
        payload["log"],
        payload["last"],
        payload["acked"],
        payload["boot"],
        payload["software"],
        payload["head"],
        (payload["began"][0], payload["began"][1]) if payload["began"] else None,
        payload["session"],
        payload["said"],
    )


def policy_body(part: PolicyPart) -> dict[str, object]:
    """The keys of a policy part; the rows are one deflated CBOR array of byte strings."""
    return {
        "from": part.from_revision,
        "to": part.to_revision,
        "part": part.part,
        "parts": part.parts,
        "rows": wire.deflate(wire.encode(list(part.rows))),
        "gone": list(part.gone),
        "digest": part.digest,
    }


def policy_part_of(payload: Mapping[str, Any]) -> PolicyPart:
    """A checked payload as a value; what the rows say is not looked at. WireError `malformed`, `bomb`, `trailing`,
    `version` where it leads nowhere."""
    if not payload["part"] < payload["parts"] <= MAX_PARTS:
        raise WireError(wire.MALFORMED, f"part {payload['part']} of {payload['parts']}; at most {MAX_PARTS}")
    if payload["to"] <= payload["from"]:
        raise WireError(
            wire.VERSION, f"it leads from revision {payload['from']} to {payload['to']}; versions only rise"
        )
    if payload["from"] == 0 and payload["gone"]:
        raise WireError(wire.MALFORMED, "a snapshot takes rows away; it replaces everything as it is")
    packed = wire.decode(wire.inflate(payload["rows"]))
    if not _bytes_list(packed):
        raise WireError(wire.MALFORMED, "the rows are not a list of byte strings")
    return PolicyPart(
        payload["from"],
        payload["to"],
        payload["part"],
        payload["parts"],
        tuple(packed),
        tuple(payload["gone"]),
        payload["digest"],
    )


def ack_body(ack: Ack) -> dict[str, object]:
    """The keys of an acknowledgement."""
    return {"log": ack.log_id, "up_to": ack.up_to, "head": ack.head}


def ack_of(payload: Mapping[str, Any]) -> Ack:
    """A checked payload as a value."""
    return Ack(payload["log"], payload["up_to"], payload["head"])
