"""Row R3: the published attacks on OSDP, each tried for ten minutes of the line's time: no KEYSET, nothing that
counts as secure, one alarm a minute at most."""

import random
from itertools import pairwise

import pytest
from osdp_device import OTHER_KEY, SCBK, Device, Wire, make_link

from edge.reader.osdp import frame, messages, secure
from edge.reader.osdp.bus import Bus, BusError, BusReader
from edge.reader.osdp.facts import Card, Keys, NotPaired, Offline, Online, Paired, Suspect
from edge.reader.osdp.native import aes_ecb, crc16

NEW_KEY = bytes.fromhex("c3519a07e8642fbd10953ecc77a4081f")
CARD = messages.Raw(0, 1, 26, b"\x12\x34\x56\x40")
TEN_MINUTES_MS = 600_000
WEAK_KEYS = [
    *[bytes((value,)) * 16 for value in range(256)],
    *[bytes((start + at) & 0xFF for at in range(16)) for start in range(0, 256, 16)],
    *[bytes((start - at) & 0xFF for at in range(16)) for start in range(0, 256, 16)],
    secure.SCBK_D,
]


class Tapped(Wire):
    """A wire with somebody on it who hears every command and may put another answer in place of the reader's."""

    def __init__(self, link, device) -> None:
        super().__init__(link, device)
        self.heard: list[frame.Frame] = []
        self.replies: list[bytes] = []
        answer = device.answer

        def tap(command: bytes) -> bytes:
            (asked,) = frame.Framer().feed(command)
            self.heard.append(asked)
            self.replies.append(answer(command))
            return self.replies[-1]

        device.answer = tap

    @property
    def keysets(self) -> list[frame.Frame]:
        """KEYSET commands that were on the wire; the code of a frame is never encrypted."""
        return [asked for asked in self.heard if asked.code == messages.KEYSET]


def decided(wire: Wire) -> list:
    """What would be decided upon."""
    return [fact for _, fact in wire.said if isinstance(fact, Card | Keys) and fact.secure]


def check_held(wire: Tapped) -> None:
    """0 KEYSET, 0 decisions, no session, and the alarm: once as such, once as a loss, again each minute only."""
    assert not wire.keysets
    assert not decided(wire)
    assert not wire.of(Online)
    assert len(wire.of(Offline)) == 1
    assert wire.of(Suspect)
    assert wire.said[0][1] == wire.of(Suspect)[0]
    moments = [at for at, fact in wire.said if isinstance(fact, Suspect)]
    assert moments[0] < 10_000
    assert all(later - at >= 60_000 for at, later in pairwise(moments))


def attacked(device: Device, scbk: bytes | None = SCBK, change=None) -> Tapped:
    """Ten minutes of a link with this device on the wire, which keeps showing cards."""
    wire = Tapped(make_link(scbk=scbk), device)
    wire.change = change or wire.change
    while wire.now_ms < TEN_MINUTES_MS:
        device.queue = [CARD, messages.Keypad(0, b"12")]
        wire.step()
    return wire


def replaced(reply: bytes, code: int, value: object) -> bytes:
    """The reply with another value in place of one of `code`, its CRC right."""
    (spoken,) = frame.Framer().feed(reply)
    if spoken.code != code:
        return reply
    new_code, data = messages.pack_reply(value)
    return frame.encode(spoken.address, spoken.sequence, new_code, data, b"", True)


def test_the_negative_control() -> None:
    """The same wire without an attack: on line, its card counts, no alarm."""
    wire = Tapped(make_link(), Device())
    wire.run(2000)
    wire.device.queue = [CARD]
    wire.run(2100)
    assert decided(wire) == [Card(26, b"\x12\x34\x56\x40", True)]
    assert not wire.of(Suspect)


@pytest.mark.parametrize("kind", [0, 3, 5, 6, 9])
def test_attack_no_encryption(kind: int) -> None:
    """A rogue speaks in the clear only: it refuses the challenge, each way there is, and shows cards."""

    def refuse(reply: bytes) -> bytes:
        return replaced(reply, messages.CCRYPT, messages.Nak(kind, b""))

    check_held(attacked(Device(), change=refuse))


@pytest.mark.parametrize("capabilities", [bytes((4, 1, 1, 9, 0, 0)), bytes((4, 1, 1)), b""])
def test_attack_capability_downgrade(capabilities: bytes) -> None:
    """Somebody between makes the real reader's capabilities say that it has no secure channel, or say nothing."""

    def weaken(reply: bytes) -> bytes:
        return replaced(reply, 0x46, messages.Capabilities(capabilities))

    check_held(attacked(Device(), change=weaken))


def test_attack_install_mode() -> None:
    """A rogue knows the default key only, as a reader in install mode does."""
    check_held(attacked(Device(scbk=None)))


def test_attack_install_mode_that_claims_our_key() -> None:
    """The same, and it sets the mark that says that the cryptogram is under our key."""
    check_held(attacked(Device(scbk=secure.SCBK_D)))


def test_attack_weak_keys_guessed() -> None:
    """A rogue tries every constant, rising and falling key against a link with a key of its own: never a session."""
    for key in WEAK_KEYS:
        wire = Tapped(make_link(), Device(scbk=key))
        wire.device.queue = [CARD]
        wire.run(3000)
        check_held(wire)


def test_attack_weak_keys_configured() -> None:
    """A link with a constant, rising, falling or the default key is not made; nor a line with one key twice."""
    for key in WEAK_KEYS:
        with pytest.raises(secure.SecureError, match="refused"):
            make_link(scbk=key)
        with pytest.raises(secure.SecureError, match="refused"):
            make_link(candidate=key)
    for first, second in (
        ((SCBK, None), (SCBK, None)),
        ((SCBK, NEW_KEY), (NEW_KEY, None)),
        ((None, SCBK), (SCBK, None)),
    ):
        with pytest.raises(BusError, match="one key"):
            Bus("/dev/null", 9600, [BusReader("a", 1, *first), BusReader("b", 2, *second)], print)


def test_attack_key_capture_by_asking() -> None:
    """A rogue, in place of the reader, says that it lost its key, in every way there is: it is sent none."""
    for kind in range(10):
        for has_session in (False, True):
            wire = Tapped(make_link(), Device(scbk=SCBK if has_session else None))
            wire.run(2000 if has_session else 0)

            def ask(reply: bytes, kind: int = kind) -> bytes:
                (spoken,) = frame.Framer().feed(reply)
                return frame.encode(1, spoken.sequence, messages.NAK, bytes((kind,)), b"", True)

            wire.change = ask
            wire.run(wire.now_ms + 60_000)
            assert not wire.keysets
            assert not decided(wire)
            assert len(wire.of(Offline)) == 1


def test_attack_key_capture_from_a_reader_that_has_none() -> None:
    """No key is configured yet: a rogue in install mode is sent none, for ten minutes, without a window."""
    wire = attacked(Device(scbk=None), scbk=None)
    assert not wire.keysets
    assert not decided(wire)
    assert wire.of(Offline) == [Offline("not paired: it has no key yet")]
    assert messages.CHLNG not in [asked.code for asked in wire.heard]


def test_attack_key_capture_between_during_a_rekey() -> None:
    """Somebody between hears a rekey: the key is not in what he hears; a KEYSET that he changes, or an answer that he
    makes up, gives no new key and one alarm."""
    wire = Tapped(make_link(), Device())
    wire.run(2000)
    wire.link.rekey(NEW_KEY)
    wire.run(3000)
    assert wire.of(Paired) == [Paired()]
    assert len(wire.keysets) == 1
    assert all(NEW_KEY not in asked.raw for asked in wire.heard)
    assert wire.device.keysets == [NEW_KEY]  # who has the old key gets it
    for forged in (False, True):
        wire = Tapped(make_link(), Device())
        wire.run(2000)

        def make_up(reply: bytes, wire: Tapped = wire, forged: bool = forged) -> bytes:
            if not wire.keysets:
                return reply
            sequence = wire.heard[-1].sequence
            if not forged:
                return frame.encode(1, sequence, messages.ACK, b"", b"", True)
            out = frame.begin(1, sequence, bytes((secure.SCS_16,)), messages.ACK, b"", 4, True)
            out.extend(b"\x12\x34\x56\x78")
            return frame.finish(out)

        def deaf(asked: frame.Frame, data: bytes, wire: Tapped = wire) -> bytes:
            return wire.device.seal(asked.sequence, messages.Ack())

        wire.device._take_key = deaf  # the command is held up on the way to the reader
        wire.change = make_up
        wire.link.rekey(NEW_KEY)
        wire.run(10_000)
        assert not wire.of(Paired)
        assert not decided(wire)
        assert len(wire.of(Suspect)) == forged  # an unproved yes in the clear is not even an alarm: it changes nothing
        assert len(wire.of(Offline)) == 1


def test_attack_key_capture_by_waiting_for_the_window_to_close() -> None:
    """A rogue in install mode answers the default challenge only when the window is closed: no KEYSET; nor is a
    KEYSET repeated after it."""
    for silent_at in (messages.CHLNG, messages.SCRYPT, messages.KEYSET):
        wire = Tapped(make_link(scbk=None), Device(scbk=None))
        wire.link.open_pairing(NEW_KEY, 1000, 0)

        def hold_back(reply: bytes, wire: Tapped = wire, silent_at: int = silent_at) -> bytes:
            is_silent = wire.heard[-1].code == silent_at or wire.keysets
            return b"" if is_silent and wire.now_ms < 1000 else reply

        wire.change = hold_back
        late = []
        while wire.now_ms < 8_000:
            before = len(wire.keysets)
            opened = wire.now_ms < 1000
            wire.step()
            if not opened:
                late += wire.keysets[before:]
        assert not late
        assert not wire.of(Paired)
        assert len(wire.of(NotPaired)) == 1
        assert not decided(wire)


def test_attack_key_capture_in_the_window_ends_with_it() -> None:
    """A rogue in install mode takes the reader's place while the window is open: it gets this one key (the default key
    proves nothing), it does not get the real reader a session, and nothing more after the window."""
    wire = Tapped(make_link(scbk=SCBK), Device(scbk=None))
    wire.link.open_pairing(NEW_KEY, 300_000, 0)
    wire.run(5000)
    assert wire.of(Paired) == [Paired()]
    taken = len(wire.keysets)
    real = Tapped(wire.link, Device(scbk=SCBK))
    real.now_ms = wire.now_ms
    real.run(TEN_MINUTES_MS)
    assert taken == 1
    assert not real.keysets
    assert not decided(real)
    assert real.of(Suspect)  # the real reader has another key: somebody must come and look


def test_attack_key_capture_by_listening_to_a_pairing() -> None:
    """What the specification has no remedy for, shown: who records the line while a reader is paired can work out the
    key. So: at the desk, on a cable in sight. A recording of a rekey gives nothing away without the old key."""
    for scbk, works in ((None, True), (SCBK, False)):
        wire = Tapped(make_link(scbk=scbk), Device(scbk=scbk))
        if scbk is None:
            wire.link.open_pairing(NEW_KEY, 300_000, 0)
        else:
            wire.run(2000)
            wire.link.rekey(NEW_KEY)
        wire.run(wire.now_ms + 3000)
        assert wire.of(Paired)
        assert (worked_out(wire) == NEW_KEY) == works


def worked_out(wire: Tapped) -> bytes:
    """The key that a recording gives away under the default key, or b""."""
    session = secure.DefaultKeySession(aes_ecb, bytes(8), crc16)
    for asked, reply in zip(wire.heard, wire.replies, strict=True):
        (spoken,) = frame.Framer().feed(reply)
        try:
            if asked.code == messages.CHLNG:
                session = secure.DefaultKeySession(aes_ecb, asked.data, crc16)
            elif asked.code == messages.SCRYPT:
                session.start(asked.data)
            elif asked.code == messages.KEYSET:
                return session.open(asked)[1][2:]
            elif asked.security:
                session.open(asked)
            if spoken.security and spoken.security[0] >= secure.SCS_15:
                session.open(spoken)
        except secure.SecureError:
            continue
    return b""


def test_no_downgrade_of_a_session_under_way() -> None:
    """A session runs; then a rogue takes over with each trick at random: 0 KEYSET, 0 cards of his, alarms bounded."""
    seed = 44
    print(f"seed {seed}")
    draw = random.Random(seed)
    wire = Tapped(make_link(), Device())
    wire.run(2000)
    tricks = [
        lambda reply: b"",
        lambda reply: frame.encode(1, draw.randrange(4), 0x50, bytes.fromhex("00011a0012345640"), b"", True),
        lambda reply: frame.encode(1, wire.heard[-1].sequence, messages.NAK, bytes((draw.randrange(10),)), b"", True),
        lambda reply: replaced(reply, 0x46, messages.Capabilities(b"")),
        lambda reply: frame.encode(1, wire.heard[-1].sequence, messages.ACK, b"", b"", True),
    ]
    wire.change = lambda reply: draw.choice(tricks)(reply)
    wire.run(TEN_MINUTES_MS)
    assert not wire.keysets
    assert not decided(wire)
    kinds = len({fact.detail for fact in wire.of(Suspect)})
    assert 1 <= len(wire.of(Suspect)) <= 10 * kinds


def test_another_key_never_becomes_ours() -> None:
    """A reader with another key, and a window that closes again: the keys are what they were."""
    wire = Tapped(make_link(), Device(scbk=OTHER_KEY))
    wire.link.open_pairing(NEW_KEY, 5000, 0)
    wire.run(20_000)
    assert len(wire.of(NotPaired)) == 1
    assert wire.link.keys.ours == (SCBK,)
    wire.device.scbk = SCBK
    wire.run(30_000)
    assert wire.of(Online)
