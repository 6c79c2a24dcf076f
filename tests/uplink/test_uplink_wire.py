"""The frame, strict CBOR, bounded inflating; literal messages and the CDDL file."""

import json
from pathlib import Path

import cbor2
import pycddl
import pytest
import uplink_world as world
import wire_cases

from edge.uplink import fields, signing, wire
from edge.uplink.wire import WireError

ROOT = Path(__file__).resolve().parents[2]
CDDL = (ROOT / "docs" / "wire.cddl").read_text()
ACCEPTED = {
    name: bytes.fromhex(raw)
    for name, raw in json.loads((ROOT / "tests/vectors/wire/accepted.json").read_text()).items()
}


def schema(start):
    return pycddl.Schema(f"start = {start}\n{CDDL}")


def payload_of(raw):
    return wire.cut_frame(raw).payload


def body_of(kind, raw):
    """What follows the envelope, or is sealed behind it, in CBOR, opened by code that has nothing from ours."""
    payload = wire.decode(payload_of(raw))
    if "sealed" not in payload:
        return cbor2.dumps({key: value for key, value in payload.items() if key not in fields.ENVELOPE})
    reads = world.CLOUD_TRUST if kind in ("events", "notice", "reply") else world.EDGE_TRUST
    return wire_cases.opened(payload["sealed"], reads, kind)


def reason_of(call, *arguments):
    with pytest.raises(WireError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_hello_is_these_bytes():
    """A hello is byte for byte what RFC 9052 and docs/wire.cddl say, written out here by hand."""
    payload = bytes.fromhex(
        "af"  # map of 15
        "646b696e64 6568656c6c6f"  # "kind": "hello"
        "6473697465 50 00112233445566778899aabbccddeeff"
        "6a636f6e74726f6c6c6572 50 56475aa75463474c0285df5dbf2bcab7"
        "6565706f6368 03"
        "687265766973696f6e 07"
        "66646967657374 5820 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "636c6f67 50 0f0e0d0c0b0a09080706050403020100"
        "646c617374 1904d2"  # 1234
        "6561636b6564 1904b0"  # 1200
        "6468656164 5820 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
        "65626567616e 82 1903e9 5850"
        + "00"
        * 80  # [1001, 80 bytes]
        + "6773657373696f6e 48 73657373696f6e31"
        "6473616964 05"
        "64626f6f74 6462376431"  # "b7d1"
        "68736f667477617265 6d 76616e7461696c20302e312e30"
    )
    size = len(payload).to_bytes(2, "big")
    covered = bytes.fromhex("84 6a 5369676e617475726531 43a10127 45 68656c6c6f 59") + size + payload
    message = bytes.fromhex("d2 84 43a10127 a0 59") + size + payload + bytes.fromhex("5840")
    assert wire.signed_bytes("hello", payload) == covered
    assert ACCEPTED["hello"] == message + world.DEVICE_KEY.sign(covered)
    assert signing.encode_hello(world.HELLO, world.EDGE_TRUST, world.DEVICE_KEY) == ACCEPTED["hello"]


def test_the_kept_messages_mean_what_they_meant():
    """The literal message of each kind decodes to the values that it was made from."""
    assert signing.verify_hello(ACCEPTED["hello"], world.CLOUD_TRUST) == world.HELLO
    assert signing.verify_ack(ACCEPTED["ack"], world.EDGE_TRUST) == (world.LOG_ID, 44, bytes(range(32)))
    batch = signing.verify_events(ACCEPTED["events"], world.CLOUD_TRUST)
    assert (*batch[:2], batch.events) == (world.LOG_ID, 41, world.FEW_EVENTS)
    chained = signing.verify_events(ACCEPTED["chained"], world.CLOUD_TRUST)
    assert chained == (world.LOG_ID, 41, world.FEW_CHAINED._replace(heads=world.FEW_CHAINED.heads[-1:]))
    part = signing.verify_policy_part(ACCEPTED["policy"], world.EDGE_TRUST)
    digest = signing.policy_digest(world.POLICY_ROWS)
    assert signing.verify_notice(ACCEPTED["notice"], world.CLOUD_TRUST) == world.NOTICE
    assert signing.verify_challenge(ACCEPTED["challenge"], world.EDGE_TRUST) == world.COMMAND.request
    assert signing.verify_command(ACCEPTED["command"], world.EDGE_TRUST) == world.COMMAND
    assert signing.verify_reply(ACCEPTED["reply"], world.CLOUD_TRUST) == world.REPLY
    assert part == (0, 8, 0, 1, tuple(world.POLICY_ROWS), (), digest)


def test_what_needs_no_deflate_is_made_again_byte_for_byte():
    """The same values give the same ack, challenge and policy bytes as are kept: Ed25519 has no chance in it."""
    ack = signing.encode_ack(world.LOG_ID, 44, world.CLOUD_TRUST, world.MANAGER_KEY, bytes(range(32)))
    assert ack == ACCEPTED["ack"]
    asked = signing.encode_challenge(world.COMMAND.request, world.CLOUD_TRUST, world.MANAGER_KEY)
    assert asked == ACCEPTED["challenge"]
    assert wire_cases.policy() == ACCEPTED["policy"]


def test_what_is_sealed_by_us_is_opened_by_others():
    """A sealed message of ours is read by an implementation of its own, and no two of the same content are alike."""
    one, other = (signing.encode_command(world.COMMAND, world.CLOUD_TRUST, world.MANAGER_KEY) for _ in range(2))
    assert one != other
    assert body_of("command", one) == body_of("command", other) == body_of("command", ACCEPTED["command"])


@pytest.mark.parametrize("kind", sorted(wire.SEALED_KINDS))
def test_what_is_sealed_says_nothing_to_others(kind):
    """Neither a name nor a number of what is sealed is in the message; and only the other side can open it."""
    raw = ACCEPTED[kind]
    assert b"Martin" not in raw
    assert b"hall" not in raw
    ends = [world.EDGE_TRUST, world.CLOUD_TRUST]
    keys = {"policy": 0, "command": 0, "events": 1, "notice": 1, "reply": 1}
    reader, writer = ends[keys[kind]], ends[1 - keys[kind]]
    signing.verify(kind, raw, reader)
    assert reason_of(signing.verify, kind, raw, reader._replace(unseal=writer.unseal)) == "sealed"
    assert reason_of(signing.verify, kind, raw, reader._replace(unseal=b"")) == "sealed"


def test_nothing_is_sealed_to_nobody():
    """Without the other side's seal key there is no message, rather than one in clear."""
    blind = world.EDGE_TRUST._replace(seal_to=b"")
    assert reason_of(signing.encode_notice, world.NOTICE, blind, world.DEVICE_KEY) == "sealed"


@pytest.mark.parametrize("kind", wire.KINDS)
def test_every_kind_obeys_the_cddl(kind):
    """The frame and the payload of each kind are valid by docs/wire.cddl, which names exactly the keys we send."""
    raw = ACCEPTED[kind]
    pycddl.Schema(CDDL).validate_cbor(raw)
    schema("payload").validate_cbor(payload_of(raw))
    schema(kind).validate_cbor(payload_of(raw))
    body = body_of(kind, raw)
    schema(f"{kind}-body" if kind in wire.SEALED_KINDS else kind).validate_cbor(
        body if kind in wire.SEALED_KINDS else payload_of(raw)
    )
    assert list(wire.decode(body)) == list(fields.BODIES[kind])


def test_what_is_deflated_obeys_the_cddl():
    """Columns and rows, inflated, are valid by docs/wire.cddl, also where places take two bytes."""
    many = world.day_of_events(640, residents=10_000)
    raw, _ = signing.encode_events(world.LOG_ID, many, world.EDGE_TRUST, world.DEVICE_KEY)
    for message in (ACCEPTED["events"], ACCEPTED["chained"], raw):
        schema("events-body").validate_cbor(body_of("events", message))
        schema("columns").validate_cbor(wire.inflate(wire.decode(body_of("events", message))["columns"]))
    schema("rows").validate_cbor(wire.inflate(wire.decode(body_of("policy", ACCEPTED["policy"]))["rows"]))


@pytest.mark.parametrize("kind", wire.KINDS)
def test_the_cddl_is_closed(kind):
    """An unknown key is refused by the CDDL file too, in every map, and so is a missing one."""
    maps = [(kind, wire.decode(payload_of(ACCEPTED[kind])))]
    if kind in wire.SEALED_KINDS:
        maps.append((f"{kind}-body", wire.decode(body_of(kind, ACCEPTED[kind]))))
    for name, right in maps:
        closed = schema(name)
        closed.validate_cbor(cbor2.dumps(right))
        with pytest.raises(pycddl.ValidationError):
            closed.validate_cbor(cbor2.dumps({**right, "extra": 1}))
        for key in right:
            with pytest.raises(pycddl.ValidationError):
                closed.validate_cbor(cbor2.dumps({k: v for k, v in right.items() if k != key}))


def test_the_cddl_closes_the_columns():
    """An unknown column is refused by the CDDL file."""
    columns = wire.decode(wire.inflate(wire.decode(body_of("events", ACCEPTED["events"]))["columns"]))
    schema("columns").validate_cbor(cbor2.dumps(columns))
    with pytest.raises(pycddl.ValidationError):
        schema("columns").validate_cbor(cbor2.dumps({**columns, "extra": b""}))


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 65_000])
def test_a_frame_is_cut_where_it_was_joined(size):
    """Payloads around every length's own head survive, and each byte less is no frame any more."""
    payload = bytes(size)
    raw = wire.join_frame(payload, bytes(64))
    assert wire.cut_frame(raw) == (payload, bytes(64))
    for end in (*range(min(len(raw), 100)), len(raw) - 1):
        assert reason_of(wire.cut_frame, raw[:end]) == "frame"


def test_our_frame_is_cose():
    """An independent parser reads the frame as a tagged COSE_Sign1 (RFC 9052) with alg EdDSA."""
    tagged = cbor2.loads(ACCEPTED["ack"])
    protected, unprotected, payload, signature = tagged.value
    assert (tagged.tag, cbor2.loads(protected), unprotected) == (18, {1: -8}, {})
    covered = cbor2.dumps(["Signature1", protected, b"ack", payload])
    world.MANAGER_KEY.public_key().verify(signature, covered)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a2616101616102", "duplicate-key"),
        ("0102", "trailing"),
        ("9f01ff", "malformed"),  # indefinite array
        ("5f4101ff", "malformed"),  # indefinite byte string
        ("7f6161ff", "malformed"),
        ("bf616101ff", "malformed"),
        ("a10101", "malformed"),  # a key that is no text
        ("62c328", "malformed"),  # not UTF-8
        ("18", "malformed"),
        ("", "malformed"),
        ("ff", "malformed"),
        ("1c", "malformed"),  # reserved
        ("9b7fffffffffffffff", "malformed"),
        ("bb7fffffffffffffff", "malformed"),
        ("5b7fffffffffffffff", "malformed"),
        ("81" * 17 + "00", "too-deep"),
        ("a16161" * 40 + "00", "too-deep"),
        ("81" * 60_000 + "00", "too-deep"),
    ],
)
def test_cbor_is_strict(data, reason):
    """What RFC 8949 leaves open is closed: one item, definite lengths, text keys, each once, at most 16 deep."""
    assert reason_of(wire.decode, bytes.fromhex(data)) == reason


def test_no_tag_is_decoded():
    """Every tag is refused before its content means anything: dates, bignums, regular expressions, sharing."""
    for tag in (*range(1200), 43000, 55799, 65535, 1 << 32):
        head = b"\xdb" + tag.to_bytes(8, "big")
        for content in (1, "a+", b"\x01", [1, 2]):
            assert reason_of(wire.decode, head + cbor2.dumps(content)) == "malformed", tag


def test_inflating_is_bounded():
    """Up to the limit it inflates, one byte more is a bomb, and trailing or missing bytes are refused."""
    full = bytes(wire.MAX_INFLATED)
    assert wire.inflate(wire.deflate(full)) == full
    assert reason_of(wire.inflate, wire.deflate(full + b"\0")) == "bomb"
    assert reason_of(wire.inflate, wire.deflate(b"abc") + b"\0") == "trailing"
    assert reason_of(wire.inflate, wire.deflate(b"abcdef")[:-1]) == "malformed"
    assert reason_of(wire.inflate, b"") == "malformed"


@pytest.mark.parametrize("split", [0, 1, 500, 1000])
def test_a_split_changes_no_content(split):
    """Wherever the code tables change, the same bytes come out."""
    data = bytes(range(250)) * 4
    assert wire.inflate(wire.deflate(data, split)) == data
