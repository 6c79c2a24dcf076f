"""Follows the chain of each controller's log (edge/decision/chain.py), and raises an alarm where it does not fit.

A batch that does not fit is stored all the same and acknowledged, so that a controller's log never fills up for it; its
events are marked as doubtful, and the chain goes on from the head that the controller names.
"""

import hashlib
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from cloud_stub.passages import tally
from cloud_stub.passages.models import ChainAlarm, Event, Log
from edge.decision import chain
from edge.uplink import signing

BROKEN = "broken"  # the events are not those that were recorded
UNCHAINED = "unchained"  # they come without the chain that the log had
ANEW = "anew"  # the chain begins anew, with another first key
UNSEALED = "unsealed"  # its first key is not for us: nothing can be checked
LOST = "lost"  # the controller itself says that events are gone
TRUNCATED = "truncated"  # it had more events than it says now
HEAD = "head"  # what it says was acknowledged is not what we acknowledged
FORK = "fork"  # a number came again with another content

_BLOCK = 64  # bytes of SHA-256's
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _hmac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104, section 2) of a key of at most a block. Every event has another key, and OpenSSL's takes
    longer to begin with a key than for all the rest."""
    padded = key.ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(padded.translate(_INNER) + data).digest()
    return hashlib.sha256(padded.translate(_OUTER) + inner).digest()


HASHES = chain.Hashes(_sha256, _hmac)
KEPT_SESSIONS = 200  # an old hello of one before these would pass for a new one
OVERTAKES = timedelta(minutes=1)  # within this a batch may come before the hello that was said before it
MOST_STEPS = 10_000_000  # from a chain's first key to the present one


class Finding(NamedTuple):
    """Something for an alarm, about events `first` to `last`."""

    kind: str
    first: int
    last: int


def follow(log: Log, batch: signing.EventsBatch, seal_key: bytes) -> list[Finding]:
    """Go along with a batch: `log` (not saved) is then acknowledged up to its end, where it goes on from there. What
    the manager has to know is returned. seal_key: private, 32 bytes."""
    stretch = batch.stretch
    first, last = stretch.events[0][0], stretch.events[-1][0]
    before = chain.Follower(
        HASHES, batch.log_id, log.acknowledged, bytes.fromhex(log.chain_head), bytes.fromhex(log.chain_key),
        partial(signing.unseal_log_key, seal_key),
    )  # fmt: skip
    if not before.takes(stretch) or not (stretch.heads[-1] or log.chain_head):
        return []
    findings = _announced(log, stretch)
    first = max(first, log.acknowledged + 1)
    try:
        before.follow(stretch)
        is_broken = log.is_broken and not before.is_proven
    except chain.Misfit:
        before.believe(stretch)
        is_broken = True
        if not log.is_broken:
            findings.append(Finding(BROKEN if stretch.heads[-1] else UNCHAINED, first, last))
    if not before.key and (log.chain_key or stretch.starts):
        findings.append(Finding(UNSEALED, first, last))
    log.acknowledged, log.is_broken = before.seq, is_broken
    log.chain_head, log.chain_key = before.head.hex(), before.key.hex()
    return findings


def _announced(log: Log, stretch: chain.Stretch) -> list[Finding]:
    """What the controller says itself of its log."""
    fresh = [note for note in stretch.notes if note.after >= log.acknowledged]
    found = [Finding(LOST, note.first, note.last) for note in fresh if note.kind == chain.LOST]
    if log.chain_head:
        found += [Finding(ANEW, note.first, note.first) for note in fresh if note.kind == chain.BEGIN]
    return found


class Said(NamedTuple):
    """What a hello said of a log. is_raised: it is now acknowledged further than by us. is_news: the hello is newer
    than those before."""

    findings: list[Finding]
    is_raised: bool
    is_news: bool


def take_hello(log: Log, hello: signing.Hello, seal_key: bytes, now: datetime) -> Said:
    """What a hello that came at `now` says of a log, which is not saved. What another database acknowledged is not here
    and will not come."""
    findings = []
    is_news = _is_news(log, hello)
    if is_news and hello.last_seq < log.said_last and not _is_overtaken(log, hello, now):
        findings.append(Finding(TRUNCATED, hello.last_seq + 1, log.said_last))
    log.said_last = max(log.said_last, hello.last_seq)
    acked = min(hello.acked, hello.last_seq)
    if acked > log.acknowledged:
        log.acknowledged, log.chain_head = acked, hello.head.hex()
        log.chain_key = _key_from(hello, acked, seal_key).hex()
        return Said(findings, True, is_news)
    if acked == log.acknowledged and hello.head and log.chain_head:
        if hello.head.hex() != log.chain_head:
            findings.append(Finding(HEAD, 1, acked))
        elif not log.chain_key:
            log.chain_key = _key_from(hello, acked, seal_key).hex()
    return Said(findings, False, is_news)


def _is_news(log: Log, hello: signing.Hello) -> bool:
    """Whether this hello is newer than those before: a broker may deliver an old one again. Those by file are a row of
    their own beside the agent's (docs/sync-protocol.md, "By file")."""
    session = hello.session.hex()
    if hello.session == _sha256(b"vantail dat file" + hello.log_id)[:8]:
        is_newer = hello.number > log.file_said
        log.file_said = max(log.file_said, hello.number)
        return is_newer
    if session in log.sessions:
        if session != log.sessions[-1] or hello.number <= log.hello_said:
            return False
    else:
        log.sessions = [*log.sessions, session][-KEPT_SESSIONS:]
    log.hello_said = hello.number
    return True


def _is_overtaken(log: Log, hello: signing.Hello, now: datetime) -> bool:
    """Whether what it does not know of may have come after it: it came moments ago, and lines reorder, and so do
    workers. Where events are gone in truth, the next hello of that session says so again, minutes later."""
    beyond = Event.objects.filter(controller_id=log.controller_id, log=log.log, seq__gt=hello.last_seq)
    came = beyond.order_by("seq").values_list("received_at", flat=True).first()
    return came is not None and came > now - OVERTAKES


def _key_from(hello: signing.Hello, acked: int, seal_key: bytes) -> bytes:
    """The key of event acked + 1, from the chain's first one; b"" where that is not for us."""
    if hello.start is None or not 0 <= acked + 1 - hello.start[0] <= MOST_STEPS:
        return b""
    first, sealed = hello.start
    key = signing.unseal_log_key(seal_key, sealed, hello.log_id, first)
    return chain.key_after(HASHES, key, acked + 1 - first) if key else b""


def committed(stretch: chain.Stretch) -> chain.Stretch:
    """The stretch with each event's commitment in place of its proof, b"" where it has none, or it cannot be known:
    the salts are not needed any more then."""
    return stretch._replace(proofs=tuple(_commitment(stretch, i) for i in range(len(stretch.events))))


def _commitment(stretch: chain.Stretch, i: int) -> bytes:
    try:
        found: bytes = chain.commitment_in(HASHES, stretch, i)
    except chain.Misfit:
        return b""
    return found


def raise_alarms(log: Log, findings: list[Finding], now: datetime) -> list[Finding]:
    """Keep each finding, once for its place; those that are new are counted and returned."""
    new = []
    for found in findings:
        _, is_new = ChainAlarm.objects.get_or_create(
            controller_id=log.controller_id, log=log.log, kind=found.kind, first_seq=found.first,
            defaults={"last_seq": found.last, "at": now},
        )  # fmt: skip
        if is_new:
            new.append(found)
            if found.kind != FORK:  # those are counted by the event
                tally.add(tally.CHAIN, f"log {log.log} {found.kind}: events {found.first} to {found.last}", now)
    return new
