"""Frames against literal bytes, and the framer on a hostile line."""

import binascii
import random

import pytest

from edge.reader.osdp import frame
from edge.reader.osdp.frame import FrameError, Framer, encode

# SIA OSDP, annex E: the CRC and checksum examples; then frames that libosdp's tests hold for address 0x65.
LITERALS = [
    (encode(0x7F, 0, 0x6E, bytes.fromhex("0080250000")), "53 7f 0d 00 04 6e 00 80 25 00 00 6e 38"),
    (encode(0, 0, 0x61, b"\0"), "53 00 09 00 04 61 00 c0 66"),
    (encode(0x7F, 0, 0x6E, bytes.fromhex("0080250000"), uses_crc=False), "53 7f 0c 00 00 6e 00 80 25 00 00 0f"),
    (encode(0, 0, 0x61, b"\0", uses_crc=False), "53 00 08 00 00 61 00 44"),
    (encode(0x65, 0, 0x60), "53 65 08 00 04 60 60 90"),
    (encode(0x65, 0, 0x61, b"\0"), "53 65 09 00 04 61 00 d9 7a"),
    (encode(0x65, 2, 0x40, is_reply=True), "53 e5 08 00 06 40 b0 f0"),
    (encode(0x65, 1, 0x46, b"\x04\x04\x01", is_reply=True), "53 e5 0b 00 05 46 04 04 01 b3 ec"),
    (encode(0x65, 1, 0x41, b"\x01", is_reply=True), "53 e5 09 00 05 41 01 0e 8f"),
    (encode(0x65, 0, 0x60, uses_crc=False), "53 65 07 00 00 60 e1"),
]
ACK = bytes.fromhex("53e508000640b0f0")
CARD = encode(1, 3, 0x50, bytes.fromhex("00011a0012345640"), is_reply=True)


@pytest.mark.parametrize(("built", "literal"), LITERALS)
def test_frames_equal_the_literals_of_the_specification(built: bytes, literal: str) -> None:
    """Every literal frame is built byte for byte, and read back."""
    assert built == bytes.fromhex(literal)
    (read,) = Framer().feed(built)
    assert read.raw == built


def test_crc_in_c_is_the_same_function() -> None:
    """binascii.crc_hqx started with 0x1D0F equals the portable table."""
    draw = random.Random(1)
    for size in range(200):
        data = draw.randbytes(size)
        assert frame.crc16(data) == binascii.crc_hqx(data, 0x1D0F)


def test_a_frame_tells_its_parts() -> None:
    """Address, direction, sequence, security block, code and data are where section 5.9 puts them."""
    sent = encode(5, 2, 0x76, b"\x01\x02", b"\x12\x01", True)
    (read,) = Framer().feed(sent)
    assert read == (5, True, 2, True, b"\x12\x01", 0x76, b"\x01\x02", sent)


def test_one_byte_at_a_time() -> None:
    """However the line cuts, the frames are the same."""
    framer = Framer()
    frames = [found for byte in ACK + b"\xff" + CARD for found in framer.feed(bytes((byte,)))]
    assert [found.raw for found in frames] == [ACK, CARD]
    assert framer.bad_frames == 0
    assert framer.noise == 0


def test_noise_before_a_frame_is_skipped_and_counted() -> None:
    """Noise that holds a start byte costs nothing but itself."""
    framer = Framer()
    noise = b"\x00\x53\x01\xff\xff\x10\x53\x00\x03\x00"
    assert [found.raw for found in framer.feed(noise + ACK)] == [ACK]
    assert framer.bad_frames == 2
    assert framer.noise == 6


def test_a_bad_crc_is_no_frame_and_hides_none() -> None:
    """A frame with one wrong bit is dropped, and one that follows at once is found."""
    for bit in range(8, len(CARD) * 8):
        framer = Framer()
        wrong = bytearray(CARD)
        wrong[bit // 8] ^= 1 << bit % 8
        found = framer.feed(bytes(wrong) + ACK + bytes(frame.LARGEST))
        assert [each.raw for each in found] == [ACK], f"bit {bit}"
        assert framer.bad_frames >= 1


def test_a_truncated_frame_gives_nothing_until_reset() -> None:
    """Half a frame is kept, and forgotten when the next exchange begins."""
    framer = Framer()
    assert framer.feed(CARD[:-3]) == []
    assert framer.is_inside()
    framer.reset()
    assert [found.raw for found in framer.feed(ACK)] == [ACK]


def test_the_buffer_is_bounded() -> None:
    """A babbling line never makes the framer keep more than the largest frame."""
    framer = Framer()
    draw = random.Random(2)
    for _ in range(2000):
        framer.feed(bytes(draw.choice((0x53, 0x00, 0x01, draw.randrange(256))) for _ in range(50)))
        assert len(framer._kept) <= frame.LARGEST


def test_security_blocks_that_do_not_fit_are_no_frames() -> None:
    """A security block that is empty or runs past the frame is refused, CRC right or not."""
    for length in (0, 1, 4, 200, 255):
        out = frame.begin(1, 0, b"\x12", 0x76, b"", 0, True)
        out[5] = length
        framer = Framer()
        assert framer.feed(frame.finish(out)) == []
        assert framer.bad_frames == 1


def test_addresses_and_sequences_out_of_range_are_refused() -> None:
    """What cannot be sent is not built."""
    with pytest.raises(FrameError, match="out of range"):
        encode(128, 0, 0x60)
    with pytest.raises(FrameError, match="out of range"):
        encode(1, 4, 0x60)
