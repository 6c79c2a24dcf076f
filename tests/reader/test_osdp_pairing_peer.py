"""Pairing and key rotation with libosdp's reader, a stack that we did not write, on a pty."""

import osdp
import pytest
from osdp_peer import SCBK, PtyLine
from osdp_scene import BAUD, Scene, play

from edge.reader.inputs import (
    CardRead,
    InputsSeen,
    LineDown,
    LineUp,
    NotPaired,
    OutputsSeen,
    Paired,
    ReaderMoved,
    Suspicion,
)
from edge.reader.osdp.bus import BusReader
from edge.reader.osdp.key_change import PairingError
from edge.reader.osdp.secure import SCBK_D, SecureError

NEW_KEY = bytes.fromhex("c3519a07e8642fbd10953ecc77a4081f")
OTHER_KEY = bytes.fromhex("a91d04fe7730c2685b1fe9034dcc8276")
CARD = (26, b"\x12\x34\x56\x40")


def keysets(scene: Scene, at: int = 0) -> list[bytes]:
    return [command["data"] for command in scene.told(osdp.Command.Keyset, at)]


async def proves_itself(scene: Scene, count: int = 1) -> None:
    """The reader is on line, and a card of it arrives as secure."""
    await scene.first(LineUp, count)
    before = len(scene.of(CardRead))
    scene.line.peers[0].card(*CARD)
    assert (await scene.first(CardRead, before + 1)).secure


def test_a_reader_in_install_mode_is_paired() -> None:
    """No session before; in the window one KEYSET, a handshake with the new key, Paired, and its card is secure; the
    next bus, which knows the new key only, is on line with it."""

    async def act(scene: Scene) -> None:
        await scene.first(LineDown)
        assert scene.of(LineDown) == [LineDown("lobby", "not paired: it has no key yet")]
        assert not scene.bus.status()[0]["paired"]
        assert not keysets(scene)
        scene.bus.open_pairing("lobby", NEW_KEY, 60_000)
        assert scene.bus.pairing == "lobby"
        await scene.first(Paired)
        assert keysets(scene) == [NEW_KEY]
        assert scene.bus.pairing == ""
        await proves_itself(scene)
        assert not scene.of(Suspicion)
        assert NEW_KEY.hex() not in repr(scene.got) + repr(scene.bus.status())

    async def again(scene: Scene) -> None:
        await proves_itself(scene)

    with PtyLine() as line:
        line.add(scbk=None)
        play(act, line, BusReader("lobby", 1, None))
        play(again, line, BusReader("lobby", 1, NEW_KEY))


def test_a_reader_that_lost_its_key_is_paired_again() -> None:
    """A reader that was reset at the site: a suspicion and no session until a window is opened for it."""

    async def act(scene: Scene) -> None:
        await scene.first(Suspicion)
        scene.bus.open_pairing("lobby", NEW_KEY)
        await scene.first(Paired)
        await proves_itself(scene)
        assert len(scene.of(Suspicion)) == 1

    with PtyLine() as line:
        line.add(scbk=None)
        play(act, line, BusReader("lobby", 1, SCBK))


@pytest.mark.parametrize("lost", ["first", "all"])
def test_a_lost_yes_to_the_key_is_made_up_for_by_the_proof(lost: str) -> None:
    """The reader took the key, and its ACK is lost, once or each time: it proves the key, that is what counts."""

    async def act(scene: Scene) -> None:
        def lose(reply: bytes) -> bytes:
            if keysets(scene) and (lost == "first" or not scene.line.peers[0].secure()):
                scene.line.change_reply = lambda reply: reply
                return b""
            return reply

        scene.line.change_reply = lose
        scene.bus.open_pairing("lobby", NEW_KEY)
        await scene.first(Paired)
        await proves_itself(scene)

    with PtyLine() as line:
        line.add(scbk=None)
        play(act, line, BusReader("lobby", 1, None))


def test_an_empty_window_closes_and_says_why() -> None:
    """A short window without a reader, one with a reader that is not in install mode, one closed by hand: the
    reason, and nothing changed."""

    async def act(scene: Scene) -> None:
        scene.line.is_cut = True
        scene.bus.open_pairing("lobby", NEW_KEY, 300)
        assert (await scene.first(NotPaired)).detail == "time is up: the reader did not answer"
        scene.line.is_cut = False
        scene.bus.open_pairing("lobby", NEW_KEY, 60_000)
        scene.bus.close_pairing("lobby")
        assert (await scene.first(NotPaired, 2)).detail == "the pairing window was closed"
        scene.bus.open_pairing("lobby", NEW_KEY, 1_500)
        said = (await scene.first(NotPaired, 3)).detail
        assert said.startswith("time is up: no secure channel")
        assert not keysets(scene)
        assert scene.bus.status()[0]["key_change"] is None

    with PtyLine() as line:
        line.add(scbk=OTHER_KEY, flags=[osdp.LibFlag.EnforceSecure])
        play(act, line, BusReader("lobby", 1, None))


def test_a_key_is_changed_inside_the_session() -> None:
    """Rekey: KEYSET in the session of the old key, then the new one is proved; no loss, no alarm; the old is over."""

    async def act(scene: Scene) -> None:
        await scene.first(LineUp)
        scene.bus.rekey("lobby", NEW_KEY)
        await scene.first(Paired)
        await proves_itself(scene, 2)
        assert keysets(scene) == [NEW_KEY]
        assert not scene.of(LineDown)
        assert not scene.of(Suspicion)

    async def with_the_old_one(scene: Scene) -> None:
        await scene.first(Suspicion)
        assert not scene.of(LineUp)

    with PtyLine() as line:
        line.add()
        play(act, line, BusReader("lobby", 1, SCBK))
        play(with_the_old_one, line, BusReader("lobby", 1, SCBK))


@pytest.mark.parametrize("reader_has", [SCBK, NEW_KEY])
def test_a_power_cut_in_a_rekey_leaves_a_reader_that_works(reader_has: bytes) -> None:
    """The agent restarts with both keys: whichever the reader has is proved, told, and the only one from then on."""

    async def act(scene: Scene) -> None:
        await proves_itself(scene)
        if reader_has == NEW_KEY:
            assert scene.of(Paired) == [Paired("lobby")]
        else:
            assert scene.of(NotPaired) == [NotPaired("lobby", "the reader still has its old key")]
        assert not keysets(scene)
        assert not scene.of(Suspicion)
        assert scene.bus.pairing == ""
        scene.line.peers.clear()  # another device in its place, which has the key that was given up
        scene.line.add(scbk=SCBK if reader_has == NEW_KEY else NEW_KEY)
        await scene.first(Suspicion)
        assert len(scene.of(LineUp)) == 1

    with PtyLine() as line:
        line.add(scbk=reader_has)
        play(act, line, BusReader("lobby", 1, SCBK, NEW_KEY))


def test_the_cable_is_pulled_while_the_key_is_on_its_way() -> None:
    """KEYSET reached the reader, then the line is cut, and put back: it proves the new key."""

    async def act(scene: Scene) -> None:
        await scene.first(LineUp)

        def cut(reply: bytes) -> bytes:
            if keysets(scene):
                scene.line.is_cut = True
            return reply

        scene.line.change_reply = cut
        scene.bus.rekey("lobby", NEW_KEY)
        await scene.first(LineDown)
        assert scene.bus.status()[0]["key_change"] == "proving the new key"
        scene.line.change_reply = lambda reply: reply
        scene.line.is_cut = False
        await scene.first(Paired)
        await proves_itself(scene, 2)

    with PtyLine() as line:
        line.add()
        play(act, line, BusReader("lobby", 1, SCBK))


def test_what_a_key_change_refuses_to_begin() -> None:
    """Weak, present and another reader's keys, a window too long, two at once, on line, off line: refused, and
    nothing is sent."""

    async def act(scene: Scene) -> None:
        await scene.first(LineUp)
        for weak in (SCBK_D, bytes(16), b"\x22" * 16, bytes(range(16)), bytes(range(16, 0, -1)), b"short"):
            with pytest.raises(SecureError, match="refused"):
                scene.bus.rekey("lobby", weak)
            with pytest.raises(SecureError, match="refused"):
                scene.bus.open_pairing("absent", weak)
        with pytest.raises(PairingError, match="present one"):
            scene.bus.rekey("lobby", SCBK)
        with pytest.raises(PairingError, match="another reader's"):
            scene.bus.rekey("lobby", OTHER_KEY)
        with pytest.raises(PairingError, match="lasts 1 to 300 s"):
            scene.bus.open_pairing("absent", NEW_KEY, 300_001)
        with pytest.raises(PairingError, match="rekey"):
            scene.bus.open_pairing("lobby", NEW_KEY)
        with pytest.raises(PairingError, match="not on line"):
            scene.bus.rekey("absent", NEW_KEY)
        with pytest.raises(KeyError):
            scene.bus.rekey("nobody", NEW_KEY)
        scene.bus.open_pairing("absent", NEW_KEY)
        with pytest.raises(PairingError, match="one at a time"):
            scene.bus.rekey("lobby", bytes.fromhex("0a6f2277cd1b903e5584e1f8b6329dc0"))
        assert not keysets(scene)

    with PtyLine() as line:
        line.add()
        play(act, line, BusReader("lobby", 1, SCBK), BusReader("absent", 2, OTHER_KEY))


def test_the_window_is_for_its_own_reader_only() -> None:
    """Two readers in install mode, a window for one of them: the other is sent no key and no default challenge."""

    async def act(scene: Scene) -> None:
        await scene.first(Suspicion)
        scene.bus.open_pairing("lobby", NEW_KEY)
        await scene.first(Paired)
        await scene.first(LineUp)
        polls = scene.bus.status()[1]["polls"]
        await scene.until(lambda: scene.bus.status()[1]["polls"] > polls + 20, "polls of the other")
        assert not keysets(scene, 1)
        assert not scene.line.peers[1].secure()

    with PtyLine() as line:
        line.add(1, None)
        line.add(2, None)
        play(act, line, BusReader("lobby", 1, None), BusReader("yard", 2, OTHER_KEY))


def test_text_questions_a_new_address_and_a_reset() -> None:
    """libosdp's reader shows a text, reports inputs and outputs, takes another address and works there; a reset of the
    session is no loss."""

    async def act(scene: Scene) -> None:
        await scene.first(LineUp)
        assert scene.bus.show_text("lobby", "Entrez", 5)
        for what in ("identity", "capabilities", "status", "inputs", "outputs"):
            assert scene.bus.ask("lobby", what)
        (text,) = await scene.until(lambda: scene.told(osdp.Command.Text), "the text")
        assert (text["control_code"], text["temp_time"], text["data"]) == (3, 5, "Entrez")
        kinds = {osdp.StatusReportType.Local, osdp.StatusReportType.Input, osdp.StatusReportType.Output}
        await scene.until(lambda: {asked["type"] for asked in scene.told(osdp.Command.Status)} == kinds, "questions")
        scene.line.peers[0].status(osdp.StatusReportType.Input, bytes((1, 0)))
        scene.line.peers[0].status(osdp.StatusReportType.Output, bytes((1, 0, 1, 0)))
        assert (await scene.first(InputsSeen)).states == (True, False)
        assert (await scene.first(OutputsSeen)).states == (True, False, True, False)
        assert scene.bus.move("lobby", 7, BAUD)
        assert (await scene.first(ReaderMoved)) == ReaderMoved("lobby", 7, BAUD)
        await proves_itself(scene, 2)
        assert scene.bus.status()[0]["address"] == 7
        scene.bus.reset("lobby")
        await proves_itself(scene, 3)
        assert not scene.of(LineDown)

    with PtyLine() as line:
        line.add()
        play(act, line, BusReader("lobby", 1, SCBK))
