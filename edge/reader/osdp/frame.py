"""OSDP frames: bytes in any cut to frames, and frames to bytes.

Portable: runs on CPython and MicroPython. Source: SIA OSDP 2.2, section 5 (message structure): SOM, address,
length (little-endian, of the whole frame), control, an optional security block, the code, its data, and two
bytes of CRC or one of checksum. The mark byte 0xFF that may precede a frame is no part of it.
"""

from collections import namedtuple

SOM = 0x53
MARK = 0xFF
REPLY_BIT = 0x80  # of the address: a reply, from the reader
BROADCAST = 0x7F

SEQUENCE_BITS = 0x03
CRC_BIT = 0x04
SECURITY_BIT = 0x08

HEADER_SIZE = 5
MAC_SIZE = 4
SMALLEST = HEADER_SIZE + 2  # a code and a checksum
# A reader must accept 128 bytes and may send as many as we accept (section 5). The longest reply that we know,
# a card of 1,024 bits in the secure channel, takes 155; a longer length is noise, and would hold the line up.
LARGEST = 512

_CRC_START = 0x1D0F


class FrameError(ValueError):
    """A frame that cannot be built. The message says which part is out of range."""


class Frame(namedtuple("Frame", ("address", "is_reply", "sequence", "uses_crc", "security", "code", "data", "raw"))):
    """One frame whose check characters were right. address: 0-127. sequence: 0-3. security: the security block
    without its length byte (block type first), empty where there is none. data: what follows the code, the four
    MAC bytes of a secured frame included. raw: the whole frame."""

    __slots__ = ()
    address: int
    is_reply: bool
    sequence: int
    uses_crc: bool
    security: bytes
    code: int
    data: bytes
    raw: bytes


def _build_table():
    table = []
    for value in range(256):
        crc = value << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        table.append(crc & 0xFFFF)
    return tuple(table)


_TABLE = _build_table()


def crc16(data):
    """The CRC of section 5 (polynomial 0x1021, start 0x1D0F). `binascii.crc_hqx(data, 0x1D0F)` is the same."""
    crc = _CRC_START
    table = _TABLE
    for byte in data:
        crc = ((crc << 8) & 0xFFFF) ^ table[(crc >> 8) ^ byte]
    return crc


def checksum(data):
    """The checksum of section 5: the two's complement of the sum, one byte."""
    return -sum(data) & 0xFF


def begin(address, sequence, security, code, data, trailer=0, is_reply=False, uses_crc=True):
    """A frame up to its data, as a bytearray whose length field already counts `trailer` bytes (a MAC) and the
    check characters that are still to come: the MAC of a secured frame covers that field."""
    if not 0 <= address <= BROADCAST or not 0 <= sequence <= 3:
        raise FrameError("address %d or sequence %d is out of range" % (address, sequence))
    length = HEADER_SIZE + 1 + len(data) + trailer + (2 if uses_crc else 1)
    control = sequence | (CRC_BIT if uses_crc else 0)
    if security:
        length += 1 + len(security)
        control |= SECURITY_BIT
    out = bytearray((SOM, address | (REPLY_BIT if is_reply else 0), length & 0xFF, length >> 8, control))
    if security:
        out.append(1 + len(security))
        out.extend(security)
    out.append(code)
    out.extend(data)
    return out


def finish(out, crc=crc16):
    """The bytes to send: `out` of `begin`, with its MAC if it has one, and the check characters."""
    if out[4] & CRC_BIT:
        value = crc(out)
        out.append(value & 0xFF)
        out.append(value >> 8)
    else:
        out.append(checksum(out))
    return bytes(out)


def encode(address, sequence, code, data=b"", security=b"", is_reply=False, uses_crc=True, crc=crc16):
    """The bytes of a frame without a MAC."""
    return finish(begin(address, sequence, security, code, data, 0, is_reply, uses_crc), crc)


class Framer:
    """Takes what the line gives, in any cut, and returns the frames in it; finds its feet again after noise.

    `crc` may be a faster function of the same result. `bad_frames` counts what began like a frame and was none;
    `noise` counts bytes outside frames. At most LARGEST bytes are kept.
    """

    def __init__(self, crc=crc16):
        self._crc = crc
        self._kept = b""
        self.bad_frames = 0
        self.noise = 0

    def reset(self):
        """Forget the beginning of a frame: what comes next belongs to another exchange."""
        self._kept = b""

    def is_inside(self):
        """Whether part of a frame has come."""
        return len(self._kept) > 0

    def feed(self, data):
        """The frames that `data` completes, as a list."""
        kept = self._kept + bytes(data)
        frames = []
        at = 0
        while True:
            start = kept.find(b"\x53", at)
            if start < 0:
                self.noise += len(kept) - at - kept[at:].count(b"\xff")
                at = len(kept)
                break
            if start > at:
                self.noise += start - at - kept[at:start].count(b"\xff")
            at = start
            size = self._size(kept, start)
            if size == 0:  # more must come
                break
            if size > 0:
                frame = self._read(kept[start : start + size])
                if frame is not None:
                    frames.append(frame)
                    at = start + size
                    continue
            # Not a frame: its first byte may have been data, so look on right behind it.
            self.bad_frames += 1
            at = start + 1
        self._kept = kept[at:]
        return frames

    def _size(self, kept, start):
        """The length of the frame at `start` if all of it is there, 0 if more must come, -1 if it is none."""
        have = len(kept) - start
        if have < 4:
            return 0
        size = kept[start + 2] | kept[start + 3] << 8
        if size < SMALLEST or size > LARGEST:
            return -1
        return size if have >= size else 0

    def _read(self, raw):
        control = raw[4]
        uses_crc = control & CRC_BIT != 0
        end = len(raw) - (2 if uses_crc else 1)
        if uses_crc:
            if self._crc(raw[:end]) != raw[end] | raw[end + 1] << 8:
                return None
        elif checksum(raw[:end]) != raw[end]:
            return None
        at = HEADER_SIZE
        security = b""
        if control & SECURITY_BIT:
            block = raw[at]
            if block < 2 or at + block >= end:
                return None
            security = raw[at + 1 : at + block]
            at += block
        if at >= end:
            return None
        address = raw[1]
        return Frame(
            address & 0x7F, address & REPLY_BIT != 0, control & SEQUENCE_BITS, uses_crc, security,
            raw[at], raw[at + 1 : end], raw,
        )  # fmt: skip
