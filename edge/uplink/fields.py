"""What each kind of message must look like, key by key; docs/wire.cddl is the norm.

Every payload begins {kind, site, controller, epoch}; `BODIES` names what follows, or is sealed behind it. What arrives
here are the plain values that `wire` decoded; each one's type and size is checked before it is used.
"""

from collections.abc import Callable, Mapping
from typing import Any

from edge.uplink import wire
from edge.uplink.wire import WireError

UID_SIZE = 16  # site uid, controller fingerprint, log id
DIGEST_SIZE = 32
HEAD_SIZE = 32  # of the chain (edge/decision/chain.py)
SEALED_SIZE = 80  # a sealed key: 32 bytes and sealing.OVERHEAD
SESSION_SIZE = 8
MAX_STARTS = 16  # of the chain, in one batch
MAX_UINT = 0xFFFF_FFFF_FFFF_FFFF
MAX_TIME = 1 << 60  # ms
MAX_TEXT = 200  # characters
MAX_PARTS = 4096
REQUEST_SIZE = 8
CHALLENGE_SIZE = 16
MAX_STATUS = 32_768  # characters
ACTIONS = ("open", "hold", "release", "forgive", "status")


def _uint(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_UINT


def _uid(value: object) -> bool:
    return type(value) is bytes and len(value) == UID_SIZE


def _digest(value: object) -> bool:
    return type(value) is bytes and len(value) == DIGEST_SIZE


def _bytes(value: object) -> bool:
    return type(value) is bytes


def _text(value: object) -> bool:
    """Without U+0000, which PostgreSQL's text cannot hold."""
    return type(value) is str and len(value) <= MAX_TEXT and "\0" not in value


def is_bytes_list(value: object) -> bool:
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


def _request(value: object) -> bool:
    return type(value) is bytes and len(value) == REQUEST_SIZE


def _challenge(value: object) -> bool:
    return type(value) is bytes and len(value) == CHALLENGE_SIZE


def _challenge_or_none(value: object) -> bool:
    return value == b"" or _challenge(value)


def _number_or_none(value: object) -> bool:
    return value is None or _uint(value)


def _time(value: object) -> bool:
    return type(value) is int and -MAX_TIME <= value <= MAX_TIME


def _flag(value: object) -> bool:
    return type(value) is bool


def _action(value: object) -> bool:
    return value in ACTIONS


def _status(value: object) -> bool:
    return type(value) is str and len(value) <= MAX_STATUS and "\0" not in value


_Check = Callable[[object], bool]
ENVELOPE: dict[str, _Check] = {"kind": _text, "site": _uid, "controller": _uid, "epoch": _uint}
BODIES: dict[str, dict[str, _Check]] = {
    wire.HELLO: {
        "revision": _uint, "digest": _digest, "log": _uid, "last": _uint, "acked": _uint, "head": _head,
        "began": _start, "session": _session, "said": _uint, "boot": _text, "software": _text,
    },
    wire.POLICY: {
        "from": _uint, "to": _uint, "part": _uint, "parts": _uint, "rows": _bytes, "gone": is_bytes_list,
        "digest": _digest,
    },
    wire.EVENTS: {
        "log": _uid, "first": _uint, "head": _head, "starts": _starts, "secrets": _secrets, "columns": _bytes,
    },
    wire.ACK: {"log": _uid, "up_to": _uint, "head": _head},
    wire.NOTICE: {
        "log": _uid, "seq": _uint, "at": _time, "trusted": _flag, "door": _text, "reader": _text, "medium": _text,
        "credential": _number_or_none, "result": _text, "reason": _text, "output": _text, "detail": _text,
    },
    wire.CHALLENGE: {"request": _request},
    wire.COMMAND: {
        "request": _request, "challenge": _challenge, "action": _action, "door": _text, "until": _uint, "who": _text,
        "credential": _number_or_none,
    },
    wire.REPLY: {
        "request": _request, "challenge": _challenge_or_none, "result": _text, "reason": _text, "status": _status,
    },
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


def behind_envelope(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a payload says besides whom it is from and for."""
    return {key: value for key, value in payload.items() if key not in ENVELOPE}


def check_body(kind: str, body: object) -> dict[str, Any]:
    """What follows the envelope, with exactly the keys of its kind, each of its type. WireError `unknown-key`,
    `malformed`."""
    found = wire.require_keys(body, tuple(BODIES[kind]), kind)
    _check_values(found, BODIES[kind])
    return found


def check_seal(kind: str, body: object) -> bytes:
    """The sealed text that follows the envelope of a sealed kind. WireError `unknown-key`, `malformed`."""
    found = wire.require_keys(body, ("sealed",), kind)
    _check_values(found, {"sealed": _bytes})
    text: bytes = found["sealed"]
    return text


def _check_values(payload: Mapping[str, object], checks: Mapping[str, _Check]) -> None:
    for key, is_right in checks.items():
        if not is_right(payload[key]):
            raise WireError(wire.MALFORMED, f"the value of {key!r} is not what the key stands for")
