"""The secure channel against SIA OSDP annex E, and against tampering."""

import pytest
from osdp_device import OTHER_KEY, SCBK

from edge.reader.osdp import frame, secure
from edge.reader.osdp.native import aes_ecb
from edge.reader.osdp.secure import SecureError, Session, is_equal, weakness

CP_RANDOM = bytes.fromhex("b0b1b2b3b4b5b6b7")
PD_RANDOM = bytes.fromhex("a0a1a2a3a4a5a6a7")


class DefaultKeySession(Session):
    """Annex E uses the published default key, which Session refuses."""

    def __init__(self) -> None:
        self._setup(aes_ecb, secure.SCBK_D, CP_RANDOM, frame.crc16)


def pair() -> tuple[Session, Session]:
    panel, reader = (Session(aes_ecb, SCBK, CP_RANDOM) for _ in range(2))
    cryptogram = panel.server_cryptogram(PD_RANDOM)
    panel.start(cryptogram)
    reader.start(cryptogram)
    return panel, reader


def only(data: bytes) -> frame.Frame:
    (found,) = frame.Framer().feed(data)
    return found


def test_annex_e() -> None:
    """Cryptograms and RMAC-I of the specification's own example."""
    session = DefaultKeySession()
    assert session.client_cryptogram(PD_RANDOM).hex() == "fde5d2f428ec16312471ea3c02bd7796"
    cryptogram = session.server_cryptogram(PD_RANDOM)
    assert cryptogram.hex() == "26d3356e07762d262801fc8e6665a891"
    assert session.start(cryptogram).hex() == "b2a30057eb98ba2229ec1f875662b524"


def test_annex_e_session_keys() -> None:
    """S-ENC, S-MAC1 and S-MAC2 of the specification's own example, seen through a recording AES."""
    keys = []

    def recording(key: bytes) -> tuple:
        keys.append(key.hex())
        return aes_ecb(key)

    Session._setup(Session.__new__(Session), recording, secure.SCBK_D, CP_RANDOM, frame.crc16)
    assert keys == [
        secure.SCBK_D.hex(), "bf8dc2a8329acb8c67c6d0cd9a451682",
        "5e86c676603bdee2d8beafe178637332", "6fda86e857777e81132035758239172e",
    ]  # fmt: skip


def test_every_length_goes_both_ways() -> None:
    """0 to 70 bytes of data, commands and replies in turn: what is sealed opens, encrypted where there is any."""
    panel, reader = pair()
    for size in range(71):
        data = bytes(range(1, size + 1))
        command = only(panel.seal(3, size % 4, 0x69, data))
        assert command.security == bytes((secure.SCS_17 if size else secure.SCS_15,))
        assert not size or data not in command.raw or size < 4
        assert reader.open(command) == (0x69, data)
        reply = only(reader.seal(3, size % 4, 0x50, data, True))
        assert panel.open(reply) == (0x50, data)


def test_every_flipped_bit_is_refused() -> None:
    """Any bit of a secured reply changed, its CRC repaired: refused, and the true reply still opens."""
    panel, reader = pair()
    reader.open(only(panel.seal(1, 1, 0x60)))
    sealed = reader.seal(1, 1, 0x50, b"card data", True)
    for bit in range(4 * 8, (len(sealed) - 2) * 8):  # behind the length
        wrong = bytearray(sealed[:-2])
        wrong[bit // 8] ^= 1 << bit % 8
        found = frame.Framer().feed(frame.finish(wrong))
        for each in found:
            with pytest.raises(SecureError):
                panel.open(each)
    assert panel.open(only(sealed)) == (0x50, b"card data")


def test_a_reply_opens_once_and_in_order() -> None:
    """A reply heard before is refused after the next command, in this session and in a new one."""
    panel, reader = pair()
    reader.open(only(panel.seal(1, 1, 0x60)))
    sealed = only(reader.seal(1, 1, 0x50, b"card", True))
    panel.open(sealed)
    panel.seal(1, 2, 0x60)
    with pytest.raises(SecureError, match="MAC"):
        panel.open(sealed)
    other = Session(aes_ecb, SCBK, b"another!")
    other.start(other.server_cryptogram(PD_RANDOM))
    other.seal(1, 1, 0x60)
    with pytest.raises(SecureError, match="MAC"):
        other.open(sealed)


def test_nothing_opens_before_the_handshake_is_done() -> None:
    """A session that has not started opens no frame and seals none."""
    panel, reader = pair()
    reader.open(only(panel.seal(1, 1, 0x60)))
    fresh = Session(aes_ecb, SCBK, CP_RANDOM)
    with pytest.raises(SecureError, match="not begun"):
        fresh.open(only(reader.seal(1, 1, 0x40, b"", True)))
    with pytest.raises(SecureError, match="not begun"):
        fresh.seal(1, 1, 0x60)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (secure.SCBK_D, "default key"),
        (bytes(16), "all the same"),
        (b"\xff" * 16, "all the same"),
        (bytes(range(16)), "rise or fall"),
        (bytes(range(200, 184, -1)), "rise or fall"),
        (bytes(range(250, 256)) + bytes(range(10)), "rise or fall"),
        (bytes(range(0, 32, 2)), "rise or fall"),
        (b"abab" * 4, "few different"),
        (b"short", "5 bytes"),
    ],
)
def test_weak_keys_are_refused(key: bytes, why: str) -> None:
    """Published, constant, rising, falling and patterned keys make no session, and the message shows no key."""
    assert why in weakness(key)
    with pytest.raises(SecureError, match=why) as caught:
        Session(aes_ecb, key, CP_RANDOM)
    assert key.hex() not in str(caught.value)
    assert weakness(SCBK) == ""
    assert weakness(OTHER_KEY) == ""


def test_comparison() -> None:
    """Equal is equal in content and length."""
    assert is_equal(b"1234", b"1234")
    assert not is_equal(b"1234", b"1235")
    assert not is_equal(b"1234", b"123")
