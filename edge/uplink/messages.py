"""What the messages say: typed values on one side, the signed payload's map on the other. docs/wire.cddl is the norm.

What arrives here was decoded by `wire`, and is of the keys and types that `fields` demands.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.decision.model import Event
from edge.uplink import wire
from edge.uplink.fields import MAX_PARTS, MAX_TEXT, is_bytes_list
from edge.uplink.wire import WireError


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


class Notice(NamedTuple):
    """An event that was just recorded, for eyes only: nothing counts it. log_id: 16 bytes. seq: its number there."""

    log_id: bytes
    seq: int
    event: Event


class Command(NamedTuple):
    """What the manager wants done now. request: the 8 bytes of the challenge's. challenge: the controller's 16 bytes.
    action: one of ACTIONS. door: its id, "" for all. until_ms: utc, of a hold, else 0. who: asks for it, for people.
    credential: of the person who opens by mobile: then it is decided like any credential; None where the manager
    opens."""

    request: bytes
    challenge: bytes
    action: str
    door: str = ""
    until_ms: int = 0
    who: str = ""
    credential: int | None = None


class Reply(NamedTuple):
    """A controller's answer to what has the same `request`: a `challenge` (16 bytes; then result is ""), or what became
    of the command. result: "open", "denied", "done" or "refused". reason: a stable word, or "". status: JSON of the
    agent's status where that was asked for, else ""."""

    request: bytes
    challenge: bytes = b""
    result: str = ""
    reason: str = ""
    status: str = ""


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
    if not is_bytes_list(packed):
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


def notice_body(notice: Notice) -> dict[str, object]:
    """The keys of a notice; a text that is too long is cut."""
    event = notice.event
    door, reader, medium, result, reason, output, detail = (
        text[:MAX_TEXT]
        for text in (event.door, event.reader, event.medium, event.result, event.reason, event.output, event.detail)
    )
    return {
        "log": notice.log_id,
        "seq": notice.seq,
        "at": event.at_ms,
        "trusted": event.trusted,
        "door": door,
        "reader": reader,
        "medium": medium,
        "credential": event.credential,
        "result": result,
        "reason": reason,
        "output": output,
        "detail": detail,
    }


def notice_of(payload: Mapping[str, Any]) -> Notice:
    """A checked payload as a value."""
    event = Event(
        payload["at"], payload["trusted"], payload["door"], payload["reader"], payload["medium"], payload["credential"],
        payload["result"], payload["reason"], payload["output"], payload["detail"],
    )  # fmt: skip
    return Notice(payload["log"], payload["seq"], event)


def command_body(command: Command) -> dict[str, object]:
    """The keys of a command."""
    return {
        "request": command.request,
        "challenge": command.challenge,
        "action": command.action,
        "door": command.door,
        "until": command.until_ms,
        "who": command.who[:MAX_TEXT],
        "credential": command.credential,
    }


def command_of(payload: Mapping[str, Any]) -> Command:
    """A checked payload as a value. WireError `malformed` where a person's credential shall do more than open."""
    if payload["credential"] is not None and payload["action"] != "open":
        raise WireError(wire.MALFORMED, f"a person's credential that shall {payload['action']}; it may only open")
    return Command(
        payload["request"],
        payload["challenge"],
        payload["action"],
        payload["door"],
        payload["until"],
        payload["who"],
        payload["credential"],
    )


def reply_body(reply: Reply) -> dict[str, object]:
    """The keys of a reply."""
    return reply._asdict()


def reply_of(payload: Mapping[str, Any]) -> Reply:
    """A checked payload as a value."""
    return Reply(**payload)
