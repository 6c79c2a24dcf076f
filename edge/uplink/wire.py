"""Bytes of the wire: the signed frame, strict CBOR, bounded inflating. The only file that names cbor2.

Every message is a tagged COSE_Sign1 (RFC 9052, section 4.2) with one fixed shape, so that it is cut by hand and no
parser sees a byte before the signature was checked:

    D2 84 43 A1 01 27 A0 | byte string: payload | 58 40 | 64 bytes of Ed25519 signature

docs/sync-protocol.md describes the whole, docs/wire.cddl the payloads.
"""

import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple, NoReturn

import cbor2

MAX_RAW = 65_536  # bytes of a message on the wire
MAX_PART = 61_440  # what we make of a policy part: room for a broker's own overhead below 64 KiB
MAX_BATCH = 32_768  # what we make of an events batch
MAX_BATCH_EVENTS = 640  # with the seal, 500 would be just over 6 bytes an event
MAX_INFLATED = 1_048_576
MAX_DEPTH = 16

HELLO = "hello"
POLICY = "policy"
EVENTS = "events"
ACK = "ack"
NOTICE = "notice"
CHALLENGE = "challenge"
COMMAND = "command"
REPLY = "reply"
KINDS = (HELLO, POLICY, EVENTS, ACK, NOTICE, CHALLENGE, COMMAND, REPLY)
SEALED_KINDS = frozenset((POLICY, EVENTS, NOTICE, COMMAND, REPLY))  # what says who may come in, and who came

OVERSIZED = "oversized"
FRAME = "frame"
SIGNATURE = "signature"
KIND = "kind"
FOREIGN_SITE = "foreign-site"
FOREIGN_CONTROLLER = "foreign-controller"
EPOCH = "epoch"
MALFORMED = "malformed"
UNKNOWN_KEY = "unknown-key"
TOO_DEEP = "too-deep"
TRAILING = "trailing"
DUPLICATE_KEY = "duplicate-key"
SEALED = "sealed"
BOMB = "bomb"
VERSION = "version"

REASONS = (
    OVERSIZED, FRAME, SIGNATURE, KIND, FOREIGN_SITE, FOREIGN_CONTROLLER, EPOCH, MALFORMED, UNKNOWN_KEY, TOO_DEEP,
    TRAILING, DUPLICATE_KEY, SEALED, BOMB, VERSION,
)  # fmt: skip
HEAD = "head"  # no reason of a message by itself: it acknowledges other events than those that are recorded here

# RFC 9052: tag 18, array of 4, protected header {1: -8} (alg: EdDSA, RFC 9053 section 2.2), no unprotected header.
_PROTECTED = bytes.fromhex("43a10127")
_HEAD = b"\xd2\x84" + _PROTECTED + b"\xa0"
_SIGNATURE_HEAD = b"\x58\x40"
_SIGNATURE_SIZE = 64
_SIG_STRUCTURE = b"\x84\x6aSignature1" + _PROTECTED


class WireError(ValueError):
    """A message that is refused. `reason`: one of REASONS or HEAD, stable; the text says what was seen, in one line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class Frame(NamedTuple):
    """A message cut in two, nothing of it believed yet."""

    payload: bytes
    signature: bytes


def join_frame(payload: bytes, signature: bytes) -> bytes:
    """The bytes of a message. WireError `oversized` above MAX_RAW."""
    raw = _HEAD + _byte_string_head(len(payload)) + payload + _SIGNATURE_HEAD + signature
    _check_size(raw)
    return raw


def cut_frame(raw: bytes) -> Frame:
    """Payload and signature of a message. WireError `oversized` or `frame`; lengths must be minimal and exact."""
    _check_size(raw)
    if not raw.startswith(_HEAD):
        raise WireError(FRAME, "it does not begin like a signed message of version 1")
    at = len(_HEAD)
    room = len(raw) - at - len(_SIGNATURE_HEAD) - _SIGNATURE_SIZE
    for width in (1, 2, 3):  # the head of a byte string below 64 KiB
        size = room - width
        if size >= 0 and raw[at : at + width] == _byte_string_head(size):
            payload = raw[at + width : at + width + size]
            if raw[at + width + size : -_SIGNATURE_SIZE] != _SIGNATURE_HEAD:
                break
            return Frame(payload, raw[-_SIGNATURE_SIZE:])
    raise WireError(FRAME, f"{len(raw)} bytes are not one payload and one signature")


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """What the signature covers: Sig_structure (RFC 9052, section 4.4) with the kind as external_aad."""
    aad = kind.encode("ascii")
    return _SIG_STRUCTURE + _byte_string_head(len(aad)) + aad + _byte_string_head(len(payload)) + payload


def encode(value: object) -> bytes:
    """CBOR of plain values, maps in the order given, lengths definite."""
    return cbor2.dumps(value)


def decode(data: bytes) -> Any:
    """The one CBOR item that `data` is: ints, bytes, texts, lists, maps, bools, floats, None. WireError `too-deep`,
    `duplicate-key`, `trailing`, `malformed` (also indefinite lengths and every tag)."""
    stream = BytesIO(data)
    try:
        value = _load(stream)
    except _REFUSALS as error:
        raise _named(error) from None
    if stream.tell() != len(data):
        raise WireError(TRAILING, f"{len(data) - stream.tell()} bytes follow the value")
    return value


def decode_first(data: bytes) -> tuple[Any, int] | None:
    """(the item with which `data` begins, its size in bytes), of a CBOR sequence (RFC 8742); None where `data` ends
    before the item does. WireError as `decode`, and where the item is not written in the shortest way."""
    stream = BytesIO(data)
    try:
        value = _load(stream)
    except cbor2.CBORDecodeEOF:
        return None
    except _REFUSALS as error:
        raise _named(error) from None
    size = stream.tell()
    if encode(value) != data[:size]:
        raise WireError(MALFORMED, "not written in the shortest way")
    return value, size


def _load(stream: BytesIO) -> Any:
    return cbor2.load(
        stream,
        tag_hook=_refuse_tag,
        semantic_decoders=_NO_TAGS,
        max_depth=MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )


def deflate(data: bytes, split: int = 0) -> bytes:
    """Raw deflate (RFC 1951): the signature covers integrity, so no checksum goes along. What follows byte `split`
    gets code tables of its own (section 3.2.3: a new block), for data whose two halves look different."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = machine.compress(data[:split]) + machine.flush(zlib.Z_BLOCK) if split else b""
    return out + machine.compress(data[split:]) + machine.flush()


def inflate(data: bytes) -> bytes:
    """The inverse, never more than MAX_INFLATED bytes. WireError `bomb`, `trailing`, `malformed`."""
    machine = zlib.decompressobj(-15)
    try:
        out = machine.decompress(data, MAX_INFLATED + 1)
    except zlib.error:
        raise WireError(MALFORMED, "the deflated part is damaged") from None
    if len(out) > MAX_INFLATED:
        raise WireError(BOMB, f"{len(data)} bytes inflate to more than {MAX_INFLATED}")
    if not machine.eof:
        raise WireError(MALFORMED, "the deflated part is cut short")
    if machine.unused_data:
        raise WireError(TRAILING, f"{len(machine.unused_data)} bytes follow the deflated part")
    return out


def require_keys(found: object, wanted: Sequence[str], what: str) -> dict[str, Any]:
    """`found` as a map with exactly the keys `wanted`. WireError `malformed` or `unknown-key`."""
    if type(found) is not dict:
        raise WireError(MALFORMED, f"{what} is not a map")
    for key in found:
        if key not in wanted:
            raise WireError(UNKNOWN_KEY, f"{what} has a key {str(key)[:40]!r} that this version does not know")
    for key in wanted:
        if key not in found:
            raise WireError(MALFORMED, f"{what} has no {key!r}")
    return found


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_RAW:
        raise WireError(OVERSIZED, f"a message of {len(raw)} bytes; at most {MAX_RAW} are allowed")


def _byte_string_head(size: int) -> bytes:
    """The shortest head of a CBOR byte string below 64 KiB (RFC 8949, section 3)."""
    if size < 24:
        return bytes((0x40 + size,))
    if size < 256:
        return bytes((0x58, size))
    if size < 65_536:
        return b"\x59" + size.to_bytes(2, "big")
    raise WireError(OVERSIZED, f"a payload of {size} bytes; a message holds at most {MAX_RAW}")


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("a tag where only plain values may be")


# Every tag that cbor2 6 decodes by itself (dates, bignums, fractions, regular expressions, sharing, addresses …).
_NO_TAGS = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 43, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse_tag
)


_REFUSALS = (cbor2.CBORError, ValueError, TypeError, OverflowError, MemoryError, RecursionError)


def _named(error: Exception) -> WireError:
    """cbor2 tells its refusals apart only by their text; tests/uplink pins each of them."""
    text = str(error)
    if "nesting depth" in text or isinstance(error, RecursionError):
        return WireError(TOO_DEEP, f"nested more than {MAX_DEPTH} deep")
    if "Duplicate map key" in text:
        return WireError(DUPLICATE_KEY, "a map has one key twice")
    return WireError(MALFORMED, "not one plain CBOR value")
