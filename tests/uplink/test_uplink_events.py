"""Batches of events: what goes in comes out, how small it is, and what a wrong column gives."""

import random

import pytest
import uplink_world as world
import wire_cases

from edge.decision import chain
from edge.decision.model import Event
from edge.uplink import signing, wire
from edge.uplink.columns import pack_columns, unpack_columns
from edge.uplink.wire import WireError


def encoded(events):
    return signing.encode_events(world.LOG_ID, events, world.EDGE_TRUST, world.DEVICE_KEY)


def test_640_realistic_events_take_at_most_6_bytes_each():
    """Row P5's goal of 6 bytes an event on the wire, envelope and signature counted, over 10 seeded days."""
    sizes = []
    for seed in range(10):
        raw, count = encoded(world.day_of_events(640, seed))
        assert count == 640
        sizes.append(len(raw) / count)
    print("bytes an event:", " ".join(f"{size:.2f}" for size in sizes))
    assert max(sizes) <= 6


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 639, 640])
def test_events_come_out_as_they_went_in(count):
    """Every field of every event survives, whatever the number of events and of distinct credentials."""
    for residents in (1, 300, 100_000):
        events = world.day_of_events(count, seed=count, residents=residents)
        raw, taken = encoded(events)
        batch = signing.verify_events(raw, world.CLOUD_TRUST)
        assert (taken, batch.first_seq, list(batch.events)) == (count, 1, events)


def test_wild_events_come_out_as_they_went_in():
    """Random fields at their limits: times before 1970, 64-bit numbers, changing revisions, any text."""
    chance = random.Random(11)
    words = ["", "é", "a" * 200, "漢字", "\n", '"']
    for _ in range(30):
        first = chance.choice((1, 2**63, 2**64 - 200))
        events = [
            (
                first + i,
                chance.random() < 0.5,
                chance.choice((0, 1, 2**64 - 1)),
                Event(
                    chance.choice((0, -(2**60), 2**60, chance.randrange(2**45))),
                    chance.random() < 0.5,
                    *chance.choices(words, k=3),
                    chance.choice((None, 0, 1, 2**64 - 1, chance.randrange(2**64))),
                    chance.choice(("open", "denied", "alarm", "info")),
                    *chance.choices(words, k=3),
                ),
            )
            for i in range(chance.randrange(1, 100))
        ]
        assert list(unpack_columns(pack_columns(chain.plain(events)), first).events) == events


def test_a_batch_takes_what_fits():
    """Events too large for one message are cut into several, none above 32 KiB, in order, without loss."""
    chance = random.Random(4)
    events = [
        (
            i + 1,
            False,
            1,
            Event(
                i,
                True,
                "d",
                "r",
                "badge",
                i,
                "info",
                "x",
                "",
                "".join(chr(chance.randrange(0x4E00, 0x9F00)) for _ in range(80)),
            ),
        )
        for i in range(500)
    ]
    got = []
    while len(got) < len(events):
        raw, _ = encoded(events[len(got) :])
        assert len(raw) <= wire.MAX_BATCH
        got += signing.verify_events(raw, world.CLOUD_TRUST).events
    assert got == events


def test_more_than_640_are_cut():
    """A batch holds at most 640 events."""
    _, count = encoded(world.day_of_events(700))
    assert count == 640


def test_an_overlong_text_is_cut_rather_than_stuck():
    """One event with a huge or broken text must not hold up all that follow it."""
    event = Event(1, True, "d", "r", "badge", 1, "info", "x", "", "y" * 100_000 + "\udc80")
    broken = event._replace(detail="\udc80")
    raw, _ = encoded([(1, False, 1, event), (2, False, 1, broken)])
    first, second = signing.verify_events(raw, world.CLOUD_TRUST).events
    assert (first[3].detail, second[3].detail) == ("y" * 200, "?")


def test_a_hole_or_nothing_is_the_senders_mistake():
    """Only contiguous events make a batch."""
    events = world.day_of_events(3)
    for wrong in ([], [events[0], events[2]], [events[1], events[0]]):
        with pytest.raises(ValueError):
            encoded(wrong)


WRONG = {
    "no events": {"at_sizes": b"", "shape": b"", "who": b"", "detail": b"", "policy": [], "at": b""},
    "a shape too few": {"shape": b"\0\0\0"},
    "a place too far": {"shape": b"\0\x01\x02\x09"},
    "a credential too far": {"who": b"\x09\0\0\0"},
    "a detail too far": {"detail": b"\xff\0\0\0"},
    "a text that is none": {"texts": [1]},
    "a text too long": {"texts": ["a" * 201]},
    "a shape of no list": {"shapes": [1]},
    "a shape too short": {"shapes": [[0, 0]]},
    "flags that are not": {"shapes": [[4, 0, 0, 0, 0, 0, 0]]},
    "a true place": {"shapes": [[0, True, 0, 0, 0, 0, 0]]},
    "a negative place": {"shapes": [[0, -1, 0, 0, 0, 0, 0]]},
    "a result that is none": {"texts": ["maybe"], "shapes": [[0, 0, 0, 0, 0, 0, 0]]},
    "sizes without bytes": {"at_sizes": b"\x08\x08\x08\x08"},
    "a size of nine": {"at_sizes": b"\x09\0\0\0", "at": bytes(9)},
    "a time out of range": {"at_sizes": b"\x08\0\0\0", "at": b"\xff" * 8},
    "a credential twice": {"number_sizes": b"\x01\0", "numbers": b"\x01"},
    "a credential too large": {"number_sizes": b"\x08\x08", "numbers": b"\xff" * 16},
    "revisions for too few": {"policy": [[3, 7]]},
    "revisions for too many": {"policy": [[5, 7]]},
    "revisions for none": {"policy": [[0, 7], [4, 7]]},
    "a revision of no pair": {"policy": [4]},
    "a negative revision": {"policy": [[4, -1]]},
    "a list for bytes": {"at": [1, 2, 3, 4]},
    "boots for too few": {"boots": [[3, 0]]},
    "a boot too far": {"boots": [[4, 99]]},
    "a proof too far": {"proofs": [[4, bytes(16)]]},
    "proofs that do not rise": {"proofs": [[1, bytes(32)], [1, bytes(32)]]},
    "a proof of another size": {"proofs": [[0, bytes(20)]]},
    "a commitment beside the person": {"proofs": [[0, bytes(16)]]},
    "a note of three": {"notes": [[40, 1, 2]]},
    "a note of no kind": {"notes": [[40, 9, 1, 2]]},
    "a note behind the end": {"notes": [[44, 1, 1, 2]]},
    "notes that fall": {"notes": [[42, 1, 1, 2], [41, 1, 1, 2]]},
    "a negative note": {"notes": [[-1, 1, 1, 2]]},
    "too many notes": {"notes": [[40, 1, 1, 2]] * 2001},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_column_is_malformed(name):
    """Each contradiction between columns is refused, however rightly it is signed."""
    columns = wire.decode(wire.inflate(pack_columns(chain.plain(world.FEW_EVENTS))))
    assert unpack_columns(wire_cases.stored(wire.encode(columns)), 41).events == world.FEW_EVENTS
    with pytest.raises(WireError) as caught:
        unpack_columns(wire_cases.stored(wire.encode({**columns, **WRONG[name]})), 41)
    assert caught.value.reason == "malformed"


def test_columns_are_closed_and_bounded():
    """An unknown column, 501 events, a seq of 0 and a bomb are refused."""
    columns = wire.decode(wire.inflate(pack_columns(chain.plain(world.FEW_EVENTS))))
    for changed, first, reason in (
        ({**columns, "extra": 1}, 41, "unknown-key"),
        (columns, 0, "malformed"),
        (columns, 2**64 - 3, "malformed"),
        ({**columns, "at_sizes": bytes(501), "at": b""}, 1, "malformed"),
    ):
        with pytest.raises(WireError) as caught:
            unpack_columns(wire_cases.stored(wire.encode(changed)), first)
        assert caught.value.reason == reason
    with pytest.raises(WireError, match="bomb: "):
        unpack_columns(wire_cases.bomb(), 1)
