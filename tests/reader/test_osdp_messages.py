"""Commands and replies against literal bytes, and round trips."""

import random

import pytest

from edge.reader.osdp import messages
from edge.reader.osdp.messages import MessageError, pack_command, pack_reply, unpack_command, unpack_reply

COMMANDS = [
    (messages.Poll(), 0x60, ""),
    (messages.AskId(0), 0x61, "00"),
    (messages.Output(1, 5, 50), 0x68, "01 05 32 00"),
    (messages.Led(0, 0, 2, 10, 0, 2, 0, 20, 0, 0, 0, 0, 0), 0x69, "00 00 02 0a 00 02 00 14 00 00 00 00 00 00"),
    (messages.Led(0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 5, 1, 0), 0x69, "00 00 00 00 00 00 00 00 00 01 05 05 01 00"),
    (messages.Buzzer(0, 2, 1, 1, 3), 0x6A, "00 02 01 01 03"),
    (messages.Text(0, 1, 0, 1, 1, b"Bonjour"), 0x6B, "00 01 00 01 01 07 42 6f 6e 6a 6f 75 72"),
    (messages.SetCommunication(0, 9600), 0x6E, "00 80 25 00 00"),  # annex E
    (messages.Challenge(bytes(range(8))), 0x76, "00 01 02 03 04 05 06 07"),
]
REPLIES = [
    (messages.Ack(), 0x40, ""),
    (messages.Nak(6, b""), 0x41, "06"),
    (messages.Identity(b"\xa1\xa2\xa3", 0xB1, 0xC1, 0xD4D3D2D1, b"\xe1\xe2\xe3"), 0x45, "a1a2a3b1c1d1d2d3d4e1e2e3"),
    (messages.Capabilities(b"\x04\x04\x01"), 0x46, "04 04 01"),
    (messages.LocalStatus(1, 0), 0x48, "01 00"),
    (messages.Raw(0, 1, 26, b"\x12\x34\x56\x40"), 0x50, "00 01 1a 00 12 34 56 40"),
    (messages.Keypad(0, b"12\r"), 0x53, "00 03 31 32 0d"),
    (messages.Communication(1, 115200), 0x54, "01 00 c2 01 00"),
    (messages.Busy(), 0x79, ""),
]


@pytest.mark.parametrize(("value", "code", "literal"), COMMANDS)
def test_commands_equal_their_literals(value: object, code: int, literal: str) -> None:
    """Each command packs to the specification's bytes and back."""
    assert pack_command(value) == (code, bytes.fromhex(literal))
    assert unpack_command(code, bytes.fromhex(literal)) == value


@pytest.mark.parametrize(("value", "code", "literal"), REPLIES)
def test_replies_equal_their_literals(value: object, code: int, literal: str) -> None:
    """Each reply unpacks from the specification's bytes and back."""
    assert unpack_reply(code, bytes.fromhex(literal)) == value
    assert pack_reply(value) == (code, bytes.fromhex(literal))


def test_a_reply_of_the_wrong_length_is_refused() -> None:
    """A byte too few or too many is an error for every reply of fixed or counted length."""
    for value, code, literal in REPLIES:
        data = bytes.fromhex(literal)
        if isinstance(value, messages.Nak | messages.Capabilities):
            continue  # these run to the end of the frame
        with pytest.raises(MessageError, match="too many"):
            unpack_reply(code, data + b"\0")
        for size in range(len(data)):
            with pytest.raises(MessageError, match=r"short|too many"):
                unpack_reply(code, data[:size])


def test_random_data_never_does_worse_than_an_error() -> None:
    """100,000 random replies: a value that packs to the same bytes, or MessageError."""
    draw = random.Random(3)
    read = 0
    for _ in range(100_000):
        code, data = draw.randrange(0x40, 0x80), draw.randbytes(draw.randrange(20))
        try:
            value = unpack_reply(code, data)
        except MessageError:
            continue
        read += 1
        assert pack_reply(value) == (code, data)
    assert read > 1000


def test_fields_that_do_not_fit_are_refused() -> None:
    """A number or text too large for its field is an error, not another number."""
    for value in (messages.Output(256, 1, 0), messages.Output(0, 1, -1), messages.Challenge(b"short")):
        with pytest.raises(MessageError):
            pack_command(value)
    with pytest.raises(MessageError, match="too many"):
        pack_command(messages.Text(0, 1, 0, 1, 1, bytes(256)))


def test_capabilities_are_found_by_function() -> None:
    """Level and count of a function, None where the reader does not name it."""
    value = messages.Capabilities(bytes((4, 1, 2, 9, 1, 0)))
    assert messages.capability(value, messages.CAP_LED) == (1, 2)
    assert messages.capability(value, messages.CAP_SECURITY) == (1, 0)
    assert messages.capability(value, messages.CAP_SOUND) is None
