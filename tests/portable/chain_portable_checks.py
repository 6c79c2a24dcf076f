"""The chain's checks that also run on MicroPython: no pytest, no typing. Run with the project's root as its argument.

Both interpreters record, cut and follow the same log, and print its heads; hashes come from hashlib, HMAC is written
out (RFC 2104), since MicroPython has none.
"""
# ruff: noqa: UP031

import hashlib
import sys

sys.path.insert(0, sys.argv[1])

from edge.decision import chain, model

LOG = bytes(range(16))
checks = 0


def check(holds, what):
    global checks
    checks += 1
    if not holds:
        raise AssertionError(what)


def sha256(data):
    return hashlib.sha256(data).digest()


def hmac(key, data):
    key = key + bytes(64 - len(key))
    inner = sha256(bytes([byte ^ 0x36 for byte in key]) + data)
    return sha256(bytes([byte ^ 0x5C for byte in key]) + inner)


HASHES = chain.Hashes(sha256, hmac)


def hex_of(data):
    return "".join(["%02x" % byte for byte in data])


def event(n):
    if n % 4 == 0:
        return model.Event(n, False, "hall", "", "", None, "info", "door-closed", "", "")
    if n % 7 == 0:
        return model.Event(-n, True, "hall", "", "call", None, "open", "", "strike", "1204 Élise number 1")
    return model.Event(10**12 + n, True, "hall", "in", "badge", (1 << 64) - n, "open", "", "strike", "é" * 300)


def unseal(sealed, log_id, first):
    return sealed


def recorded(count):
    """A stretch of `count` events as a controller makes it, a note after each tenth."""
    key, secret = b"K" * 32, b"S" * 32
    head = chain.genesis(HASHES, LOG)
    notes = [chain.Note(0, chain.BEGIN, 1, 0)]
    starts = (chain.Start(1, head, key),)
    body = chain.note_body(LOG, notes[0], key)
    head = chain.head_after(HASHES, head, body, chain.mac_of(HASHES, key, head, body))
    events, heads = [], []
    for seq in range(1, count + 1):
        one = event(seq)
        covered = b""
        if chain.is_personal(one):
            covered = chain.commit(HASHES, chain.salt_of(HASHES, secret, seq), one)
        body = chain.event_body(LOG, seq, seq % 3 == 0, 7, "boot", one, covered)
        head = chain.head_after(HASHES, head, body, chain.mac_of(HASHES, key, head, body))
        key = chain.key_after(HASHES, key)
        events.append((seq, seq % 3 == 0, 7, one))
        heads.append(head)
        if seq % 10 == 0 and seq < count:
            note = chain.Note(seq, chain.LATE, seq - 1, seq)
            body = chain.note_body(LOG, note)
            head = chain.head_after(HASHES, head, body, chain.mac_of(HASHES, key, head, body))
            notes.append(note)
    return chain.Stretch(
        tuple(events), ("boot",) * count, (b"",) * count, tuple(notes), ((1, secret),), starts, tuple(heads)
    )


def follower(seq=0, head=b"", key=b""):
    return chain.Follower(HASHES, LOG, seq, head, key, unseal)


def misfits(one, stretch):
    try:
        one.follow(stretch)
    except chain.Misfit:
        return True
    return False


whole = recorded(60)
one = follower()
one.follow(whole)
check(one.is_proven and one.head == whole.heads[-1] and one.seq == 60, "the whole")
for count in (1, 9, 10, 11, 59):
    part = follower()
    part.follow(chain.cut(whole, count))
    check(part.head == whole.heads[count - 1], "cut at %d" % count)
    check(part.takes(whole), "the rest of it")
    part.follow(whole)
    check(part.is_proven and part.head == one.head, "gone on at %d" % count)
check(not one.takes(whole), "nothing new")
for at in (0, 20, 59):
    changed = list(whole.events)
    seq, late, revision, was = changed[at]
    changed[at] = (seq, not late, revision, was)
    wrong = chain.Stretch(
        tuple(changed), whole.boots, whole.proofs, whole.notes, whole.secrets, whole.starts, whole.heads
    )
    check(misfits(follower(), wrong), "changed at %d" % at)
fewer = chain.Stretch(
    whole.events, whole.boots, whole.proofs, whole.notes[:-1], whole.secrets, whole.starts, whole.heads
)
check(misfits(follower(), fewer), "a note is missing")
check(
    misfits(
        follower(), chain.Stretch(whole.events, whole.boots, whole.proofs, whole.notes, (), whole.starts, whole.heads)
    ),
    "no salt",
)
believed = follower()
believed.believe(whole)
check(believed.seq == 60 and not believed.is_proven, "believed")
check(chain.plain(()).events == (), "plain")
print("head " + hex_of(one.head))
print("key " + hex_of(one.key))
print("ok %d" % checks)
