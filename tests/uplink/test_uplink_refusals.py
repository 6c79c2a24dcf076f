"""Row Y3, its single-message part: what must not be accepted, each with its reason; and how parts become a policy."""

import json
import random
from pathlib import Path

import pytest
import uplink_world as world
import wire_cases

from edge.decision import rows
from edge.uplink import messages, policy_parts, signing, wire
from edge.uplink.wire import WireError

ROOT = Path(__file__).resolve().parents[2]
KEPT = [
    wire_cases.Case(case["name"], case["kind"], case["reason"], bytes.fromhex(case["raw"]))
    for case in json.loads((ROOT / "tests/vectors/wire/refused.json").read_text())
]
CASES = [*KEPT, *wire_cases.large_cases()]
RIGHT = {
    "policy": wire_cases.policy(),
    "ack": signing.encode_ack(world.LOG_ID, 44, world.CLOUD_TRUST, world.MANAGER_KEY),
    "hello": signing.encode_hello(world.HELLO, world.EDGE_TRUST, world.DEVICE_KEY),
    "events": signing.encode_events(world.LOG_ID, world.FEW_EVENTS, world.EDGE_TRUST, world.DEVICE_KEY)[0],
    "notice": signing.encode_notice(world.NOTICE, world.EDGE_TRUST, world.DEVICE_KEY),
    "challenge": signing.encode_challenge(world.COMMAND.request, world.CLOUD_TRUST, world.MANAGER_KEY),
    "command": signing.encode_command(world.COMMAND, world.CLOUD_TRUST, world.MANAGER_KEY),
    "reply": signing.encode_reply(world.REPLY, world.EDGE_TRUST, world.DEVICE_KEY),
}
DOWN = ("policy", "ack", "challenge", "command")


def take(kind, raw):
    """What the right receiver of `kind` makes of `raw`."""
    if kind == "policy":
        return policy_parts.PolicyParts().add(raw, world.EDGE_TRUST, wire_cases.IN_FORCE)
    verify = getattr(signing, f"verify_{kind}")
    return verify(raw, world.EDGE_TRUST if kind in DOWN else world.CLOUD_TRUST)


@pytest.mark.parametrize("kind", wire.KINDS)
def test_the_right_message_is_accepted(kind):
    """Control: what the cases and mutations start from is accepted as it is."""
    assert take(kind, RIGHT[kind])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_with_its_own_reason(case):
    """Each wrong message is refused for the reason that is wrong with it, in one line that shows no row."""
    with pytest.raises(WireError) as caught:
        take(case.kind, case.raw)
    assert caught.value.reason == case.reason
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 160
    assert "Martin" not in text


def test_every_reason_has_a_case():
    """No reason of the contract goes without a message that provokes it."""
    assert {case.reason for case in CASES} == set(wire.REASONS)


def test_the_kept_cases_are_the_ones_written_down():
    """tests/vectors/wire/refused.json is what wire_cases makes (the bomb aside, which depends on the zlib at hand)."""
    made = [case for case in wire_cases.small_cases() if case.reason != "bomb"]
    assert [case for case in KEPT if case.reason != "bomb"] == made


def mutated(raw, chance):
    """`raw` with one to three small accidents or attacks, never the same as before."""
    out = bytearray(raw)
    while bytes(out) == raw:
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(out) + 1)
            what = chance.randrange(6)
            if what == 0 and at < len(out):
                out[at] ^= 1 << chance.randrange(8)
            elif what == 1:
                out[at : at + chance.randrange(1, 40)] = b""
            elif what == 2:
                out[at:at] = chance.randbytes(chance.randrange(1, 40))
            elif what == 3:
                out[at : at + 8] = chance.randbytes(8)
            elif what == 4:
                source = chance.randrange(len(out) + 1)
                out[at:at] = out[source : source + chance.randrange(1, 80)]
            else:
                out = out[: max(at, 1)]
    return bytes(out)


def mutate(count, seed):
    """(accepted, by reason) of `count` mutations of right messages."""
    print("seed", seed)
    chance = random.Random(seed)
    accepted, by_reason = [], {}
    for _ in range(count):
        kind = chance.choice(wire.KINDS)
        raw = mutated(RIGHT[kind], chance)
        try:
            take(kind, raw)
            accepted.append(raw)
        except WireError as error:
            by_reason[error.reason] = by_reason.get(error.reason, 0) + 1
    return accepted, by_reason


def test_no_mutation_is_accepted_quick():
    """2,000 seeded mutations of right messages: none is accepted, each is refused as a frame or a signature."""
    accepted, by_reason = mutate(2_000, 20261122)
    assert not accepted
    assert set(by_reason) == {"frame", "signature"}


@pytest.mark.full
def test_no_mutation_is_accepted_full():
    """10,000 seeded mutations of right messages: none is accepted."""
    accepted, _ = mutate(10_000, 7)
    assert not accepted


def test_without_the_signature_mutations_would_pass(monkeypatch):
    """Negative control: with the signature check taken out, some of the same mutations are accepted."""

    class Blind:
        def verify(self, *_):
            return None

    monkeypatch.setattr(signing.Ed25519PublicKey, "from_public_bytes", lambda _: Blind())
    accepted, _ = mutate(500, 20261122)
    assert accepted


def test_signed_nonsense_gives_a_reason_or_a_value():
    """2,000 mutated payloads, rightly signed as by a manager gone wrong: a value or a WireError, nothing else."""
    chance = random.Random(3)
    reasons = set()
    for _ in range(2_000):
        kind = chance.choice(wire.KINDS)
        key = world.MANAGER_KEY if kind in DOWN else world.DEVICE_KEY
        payload = wire.cut_frame(RIGHT[kind]).payload
        if kind in wire.SEALED_KINDS and chance.random() < 0.5:
            writes, reads = (world.EDGE_TRUST, world.CLOUD_TRUST)[:: -1 if kind in DOWN else 1]
            text = wire_cases.opened(wire.decode(payload)["sealed"], reads, kind)
            payload = wire_cases.around(wire_cases.sealed(mutated(text, chance), writes, kind), kind)
        else:
            payload = mutated(payload, chance)
        try:
            take(kind, wire_cases.signed(payload, kind, key))
        except WireError as error:
            reasons.add(error.reason)
    assert {"malformed", "unknown-key", "trailing", "kind", "foreign-site", "foreign-controller", "sealed"} <= reasons


# --- parts of a policy --------------------------------------------------------------------------------------------

MANY = [*world.POLICY_ROWS, *world.credentials(6_000)]


def parts_of(packed, to=8, **more):
    return signing.encode_policy_parts(packed, to, world.CLOUD_TRUST, world.MANAGER_KEY, **more)


def test_parts_in_any_order_make_one_snapshot():
    """Shuffled and repeated parts give the whole set of rows once, and nothing before the last one is there."""
    raws = parts_of(MANY)
    assert len(raws) > 5
    assert max(map(len, raws)) <= wire.MAX_PART
    chance = random.Random(1)
    for _ in range(5):
        order = raws * 2
        chance.shuffle(order)
        collector = policy_parts.PolicyParts()
        deltas = [delta for raw in order if (delta := collector.add(raw, world.EDGE_TRUST, 7))]
        assert len(deltas) == 1
        assert deltas[0].rows == tuple(sorted(MANY))
        assert deltas[0][:5] == (world.SITE_UID, world.EDGE_TRUST.controller, world.EPOCH, 0, 8)
        assert deltas[0].digest == signing.policy_digest(MANY)


def test_without_one_part_there_is_no_policy():
    """Whichever part is missing, nothing is handed out, and `waiting` says so."""
    raws = parts_of(MANY)
    for missing in range(len(raws)):
        collector = policy_parts.PolicyParts()
        given = [collector.add(raw, world.EDGE_TRUST, 7) for i, raw in enumerate(raws) if i != missing]
        assert not any(given)
        assert collector.waiting == 1
        assert collector.add(raws[missing], world.EDGE_TRUST, 7)
        assert collector.waiting == 0


def test_parts_of_two_versions_never_mix():
    """A newer version replaces a half-received one, and the older one's parts are refused from then on."""
    old, new = parts_of(MANY, 8), parts_of(MANY[:-1], 9)
    collector = policy_parts.PolicyParts()
    for raw in old[:-1]:
        collector.add(raw, world.EDGE_TRUST, 7)
    collector.add(new[0], world.EDGE_TRUST, 7)
    with pytest.raises(WireError, match="version: "):
        collector.add(old[-1], world.EDGE_TRUST, 7)
    deltas = [collector.add(raw, world.EDGE_TRUST, 7) for raw in new[1:]]
    assert deltas[-1].to_revision == 9
    assert len(deltas[-1].rows) == len(MANY) - 1


def test_a_change_carries_rows_and_keys():
    """A change from the revision in force sets rows and names keys that go, in as many parts as it takes."""
    gone = [rows.key_of(row) for row in world.credentials(9_000, seed=5)]
    digest = signing.policy_digest(MANY)
    raws = parts_of(MANY[5:1500], 9, from_revision=7, gone=gone, digest=digest)
    assert max(map(len, raws)) <= wire.MAX_PART
    collector = policy_parts.PolicyParts()
    delta = [collector.add(raw, world.EDGE_TRUST, 7) for raw in raws][-1]
    assert (delta.from_revision, delta.to_revision, delta.digest) == (7, 9, digest)
    assert (set(delta.rows), delta.gone) == (set(MANY[5:1500]), tuple(gone))
    with pytest.raises(WireError, match="asks for a snapshot"):
        policy_parts.PolicyParts().add(raws[0], world.EDGE_TRUST, 6)


def test_an_empty_change_and_an_empty_policy_are_one_part():
    """Nothing to say is still said, signed."""
    assert len(parts_of([])) == 1
    assert len(parts_of([], 8, from_revision=7, digest=bytes(32))) == 1


def test_the_version_in_force_is_not_staged_again():
    """A part that a broker delivers once more after its version took force is counted, not refused, not staged."""
    collector = policy_parts.PolicyParts()
    raws = parts_of(MANY)
    for raw in raws:
        collector.add(raw, world.EDGE_TRUST, 7)
    assert collector.add(raws[0], world.EDGE_TRUST, 7) is None  # handed out, the store is at it
    collector.settle(8)
    assert collector.add(raws[0], world.EDGE_TRUST, 8) is None
    assert (collector.repeated, collector.waiting) == (2, 0)


def test_a_version_that_the_store_refused_may_come_again():
    """After `settle` with the old revision the same parts make the same change once more."""
    collector = policy_parts.PolicyParts()
    (raw,) = parts_of(world.POLICY_ROWS)
    assert collector.add(raw, world.EDGE_TRUST, 7)
    collector.settle(7)
    assert collector.add(raw, world.EDGE_TRUST, 7)


def test_what_is_staged_is_bounded(monkeypatch):
    """More rows than the bound drop the whole version."""
    monkeypatch.setattr(policy_parts, "MAX_STAGED", 70_000)
    collector = policy_parts.PolicyParts()
    first, second = parts_of(MANY)[:2]
    assert collector.add(first, world.EDGE_TRUST, 7) is None
    with pytest.raises(WireError, match="oversized: "):
        collector.add(second, world.EDGE_TRUST, 7)
    assert collector.waiting == 0


def test_a_wrong_row_in_one_part_drops_the_version():
    """A row that cannot be, in the second part: refused by its table's name, and the first part is forgotten."""
    right = messages.PolicyPart(0, 8, 0, 2, tuple(world.POLICY_ROWS), (), bytes(32))
    wrong = right._replace(part=1, rows=(world.POLICY_ROWS[1] + b"\0",))
    collector = policy_parts.PolicyParts()
    for part, is_right in ((right, True), (wrong, False)):
        raw = signing.sign("policy", messages.policy_body(part), world.CLOUD_TRUST, world.MANAGER_KEY)
        if is_right:
            assert collector.add(raw, world.EDGE_TRUST, 7) is None
        else:
            with pytest.raises(WireError, match="malformed: a row of table 6: Door row has 1 bytes too many"):
                collector.add(raw, world.EDGE_TRUST, 7)
    assert collector.waiting == 0


def test_rows_that_do_not_fit_are_said_at_the_sender():
    """A single row larger than a message is an error where the policy is made, not on the way."""
    large = rows.pack(rows.Site(random.Random(9).randbytes(62_000), "", False, 1))
    with pytest.raises(WireError, match="oversized: a row"):
        parts_of([*world.POLICY_ROWS, large])
    with pytest.raises(ValueError, match="digest"):
        parts_of([], 8, from_revision=7)
