"""The bus against libosdp's reader, a stack that we did not write, on a pty (row R1), and without a key (row R2)."""

from collections.abc import Callable
from typing import Any

import osdp
import pytest
from osdp_peer import SCBK, PtyLine
from osdp_scene import BAUD, Scene, play

from edge.decision.indications import TABLE, Signal
from edge.reader import card_format, keypad
from edge.reader.inputs import CardRead, KeysPressed, LineDown, LineUp, PowerSeen, Suspicion, TamperSeen
from edge.reader.osdp import frame, messages
from edge.reader.osdp.bus import Bus, BusError, BusReader, buzzer_command, led_command
from edge.reader.osdp.secure import SCBK_D, SecureError

OTHER_KEY = bytes.fromhex("a91d04fe7730c2685b1fe9034dcc8276")


def with_one_reader(act: Callable[[Scene], Any], **device: Any) -> None:
    """Run `act` on a line with one reader, made with `device` (see PtyLine.add)."""
    with PtyLine() as line:
        line.add(**device)
        play(act, line, BusReader("lobby", 1, SCBK))


async def up(scene: Scene, count: int = 1) -> None:
    await scene.first(LineUp, count)


def test_secure_channel_card_and_keys() -> None:
    """libosdp's reader, which enforces it, gets a secure channel; its card and keys arrive as secure."""

    async def act(scene: Scene) -> None:
        await up(scene)
        assert scene.line.peers[0].secure()
        scene.line.peers[0].card(*card_format.encode(4_640_221_337))
        scene.line.peers[0].keys(b"4711\r")
        scene.line.peers[0].keys(b"1\x7f")
        await scene.until(lambda: len(scene.of(KeysPressed)) == 2, "keys")
        (card,) = scene.of(CardRead)
        assert card.secure
        assert card_format.number_of(card.bits, card.data) == 4_640_221_337
        assert [keys.text for keys in scene.of(KeysPressed)] == ["4711#", "1*"]
        assert all(keys.secure for keys in scene.of(KeysPressed))
        assert keypad.Keypad().feed(scene.of(KeysPressed)[0].text, 0) == ["4711"]
        assert "4711" not in repr(scene.got)
        (status,) = scene.bus.status()
        assert status["secure"]
        assert (status["firmware"], status["model"], status["bad_frames"]) == ("1.2.3", "2.1", 0)

    with_one_reader(act, flags=[osdp.LibFlag.EnforceSecure])


def test_lights_tones_and_outputs() -> None:
    """What libosdp's reader was told is what the signals say, in tenths of a second."""

    async def act(scene: Scene) -> None:
        await up(scene)
        scene.bus.indicate("lobby", TABLE["idle"])
        scene.bus.indicate("lobby", TABLE["denied"])
        assert scene.bus.set_output("lobby", 1, 4950)
        assert scene.bus.set_output("lobby", 2, 0)
        assert scene.bus.set_output("lobby", 3, -1)
        await scene.until(lambda: len(scene.told(osdp.Command.Output)) == 3, "three outputs")
        lasting, passing = scene.told(osdp.Command.LED)
        assert (lasting["temporary"], lasting["on_color"], lasting["on_count"]) == (False, 1, 10)
        assert (passing["temporary"], passing["on_color"], passing["off_color"]) == (True, 1, 0)
        assert (passing["on_count"], passing["off_count"], passing["timer_count"]) == (2, 2, 16)
        (tone,) = scene.told(osdp.Command.Buzzer)
        assert (tone["control_code"], tone["on_count"], tone["off_count"], tone["rep_count"]) == (2, 1, 1, 3)
        outputs = scene.told(osdp.Command.Output)
        assert [(each["output_no"], each["control_code"], each["timer_count"]) for each in outputs] == [
            (1, 5, 50), (2, 1, 0), (3, 2, 0),
        ]  # fmt: skip

    with_one_reader(act)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_signal_is_a_command_that_fits(name: str) -> None:
    """Every signal of the table packs, with times that are not both zero (section 6.10)."""
    signal: Signal = TABLE[name]
    led = led_command(signal)
    messages.pack_command(led)
    assert led.on_100ms + led.off_100ms + led.lasting_on_100ms + led.lasting_off_100ms > 0
    if signal.beeps:
        assert messages.pack_command(buzzer_command(signal))[1][2] > 0


def test_tamper_and_power() -> None:
    """A tamper switch and a power failure, and their ends."""

    async def act(scene: Scene) -> None:
        await up(scene)
        for tamper, power in ((1, 0), (0, 0), (0, 1), (0, 0)):
            scene.line.peers[0].local_status(tamper, power)
        await scene.until(lambda: len(scene.of(PowerSeen)) == 2, "power failed and back")
        assert scene.of(TamperSeen) == [TamperSeen("lobby", True), TamperSeen("lobby", False)]
        assert scene.of(PowerSeen) == [PowerSeen("lobby", True), PowerSeen("lobby", False)]

    with_one_reader(act)


def test_a_reader_that_restarts_works_again_within_five_seconds() -> None:
    """The reader loses its power and its session: down, up, a card, and its lasting light is set again."""

    async def act(scene: Scene) -> None:
        await up(scene)
        scene.bus.indicate("lobby", TABLE["idle"])
        await scene.until(lambda: scene.told(osdp.Command.LED), "the light")
        scene.line.peers.clear()
        scene.line.add()  # another one in its place, without the session
        await scene.until(lambda: len(scene.of(LineUp)) == 2, "the reader's return", 5)
        assert len(scene.of(LineDown)) == 1
        await scene.until(lambda: scene.told(osdp.Command.LED), "the light again", 5)
        scene.line.peers[0].card(26, b"\x12\x34\x56\x40")
        await scene.until(lambda: scene.of(CardRead), "a card", 5)

    with_one_reader(act)


def test_a_cut_cable_and_a_card_from_then() -> None:
    """The cable is cut for 3 s: one loss, back within 5 s, a card read meanwhile is not delivered, passing lights
    are not shown later."""

    async def act(scene: Scene) -> None:
        await up(scene)
        scene.line.is_cut = True
        await scene.until(lambda: scene.of(LineDown), "the loss")
        scene.line.peers[0].card(26, b"\x12\x34\x56\x40")
        scene.bus.indicate("lobby", TABLE["lockdown"])
        scene.bus.indicate("lobby", TABLE["granted"])
        assert not scene.bus.set_output("lobby", 0, 5000)
        polls = scene.bus.status()[0]["time_outs"]
        await scene.until(lambda: scene.bus.status()[0]["time_outs"] > polls + 2, "some probes")
        scene.line.is_cut = False
        await scene.until(lambda: len(scene.of(LineUp)) == 2, "the return", 5)
        await scene.until(lambda: scene.told(osdp.Command.LED), "the lasting light", 5)
        scene.line.peers[0].card(26, b"\x00\x00\x00\x40")
        await scene.until(lambda: scene.of(CardRead), "the new card")
        assert [card.data for card in scene.of(CardRead)] == [b"\x00\x00\x00\x40"]
        assert scene.bus.status()[0]["stale_reads"] == 1
        assert [each["temporary"] for each in scene.told(osdp.Command.LED)] == [False]
        assert not scene.told(osdp.Command.Output)

    with_one_reader(act)


def test_several_readers_share_the_line_and_a_dead_one_is_told_once() -> None:
    """Three readers of which one is not there: two work, each with its own card, and one is down."""

    async def act(scene: Scene) -> None:
        await up(scene, 2)
        await scene.until(lambda: scene.of(LineDown), "the absent one's loss")
        assert scene.of(LineDown) == [LineDown("absent", "no answer")]
        scene.line.peers[0].card(26, b"\x00\x00\x00\x40")
        scene.line.peers[1].card(26, b"\xff\x00\x00\x40")
        await scene.until(lambda: len(scene.of(CardRead)) == 2, "two cards")
        assert {card.reader: card.data[0] for card in scene.of(CardRead)} == {"front": 0, "back": 255}
        before = [status["polls"] for status in scene.bus.status()]
        probes = scene.bus.status()[2]["time_outs"]
        await scene.until(lambda: scene.bus.status()[2]["time_outs"] >= probes + 3, "three probes")
        after = [status["polls"] for status in scene.bus.status()]
        for number in (0, 1):  # the dead one took less than half of the line
            assert after[number] - before[number] > 100

    keys = [bytes((number,)) + SCBK[1:] for number in range(3)]
    with PtyLine() as line:
        line.add(1, keys[0])
        line.add(2, keys[1])
        play(act, line, *(BusReader(name, at + 1, keys[at]) for at, name in enumerate(("front", "back", "absent"))))


# --- row R2 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scbk", [None, OTHER_KEY])
def test_a_reader_without_our_key_opens_nothing(scbk: bytes | None) -> None:
    """A reader without a key (in install mode), or with another: suspicion, never on line, its card not secure."""

    async def act(scene: Scene) -> None:
        await scene.until(lambda: scene.of(Suspicion), "the suspicion")
        await scene.until(lambda: scene.bus.status()[0]["state"] == "clear", "polls in the clear")
        scene.line.peers[0].card(26, b"\x12\x34\x56\x40")
        await scene.until(lambda: scene.of(CardRead), "the card")
        assert scene.of(CardRead) == [CardRead("lobby", 26, b"\x12\x34\x56\x40", False)]
        assert len(scene.of(LineDown)) == 1
        assert len(scene.of(Suspicion)) == 1
        assert not scene.of(LineUp)
        assert not scene.told(osdp.Command.Keyset)

    with_one_reader(act, scbk=scbk)


def test_a_reader_that_drops_the_session_says_so_in_the_clear() -> None:
    """One command spoiled on the way (its CRC repaired): libosdp drops the session with a clear NAK 6; a new one."""

    async def act(scene: Scene) -> None:
        await up(scene)

        def spoil_once(command: bytes) -> bytes:
            scene.line.change_command = lambda command: command
            return frame.finish(bytearray(command[:-3] + bytes((command[-3] ^ 1,))))

        scene.line.change_command = spoil_once
        await scene.until(lambda: len(scene.of(LineUp)) == 2, "a new session", 5)
        assert scene.of(LineDown) == [LineDown("lobby", "the reader ended the session")]
        assert not scene.of(Suspicion)

    with_one_reader(act)


def test_a_line_that_spoils_every_answer_is_down_and_comes_back() -> None:
    """Only zeros come back: down; answers come through again: up within 5 s."""

    async def act(scene: Scene) -> None:
        await up(scene)
        scene.line.change_reply = lambda reply: bytes(len(reply))
        await scene.until(lambda: scene.of(LineDown), "the loss")
        scene.line.change_reply = lambda reply: reply
        await scene.until(lambda: len(scene.of(LineUp)) == 2, "the return", 5)

    with_one_reader(act)


def test_clear_text_of_another_device_is_refused() -> None:
    """Somebody on the line answers each poll with a card in the clear: never a card as secure, a suspicion."""

    async def act(scene: Scene) -> None:
        await up(scene)

        def forge(reply: bytes) -> bytes:
            sequence = reply[reply.index(0x53) + 4] & 3
            return frame.encode(1, sequence, 0x50, bytes.fromhex("00011a0012345640"), b"", True) + reply

        scene.line.change_reply = forge
        await scene.until(lambda: scene.of(Suspicion), "the suspicion")
        polls = scene.bus.status()[0]["polls"]
        await scene.until(lambda: scene.bus.status()[0]["polls"] > polls + 50, "polls go on")
        assert not scene.of(CardRead)
        assert not scene.of(LineDown)
        assert len(scene.of(Suspicion)) == 1

    with_one_reader(act)


def test_weak_and_shared_keys_are_refused_before_the_port_is_opened() -> None:
    """The default key, a constant one, one key for two readers, one address for two: no bus."""
    for key in (SCBK_D, bytes(16), b"\x11" * 16):
        with pytest.raises(SecureError, match="refused"):
            Bus("/dev/null", BAUD, [BusReader("lobby", 1, key)], print)
    with pytest.raises(BusError, match="one key"):
        Bus("/dev/null", BAUD, [BusReader("a", 1, SCBK), BusReader("b", 2, SCBK)], print)
    with pytest.raises(BusError, match="one address"):
        Bus("/dev/null", BAUD, [BusReader("a", 1, SCBK), BusReader("b", 1, OTHER_KEY)], print)
    with pytest.raises(BusError, match="outside"):
        Bus("/dev/null", BAUD, [BusReader("a", 127, SCBK)], print)
    assert SCBK.hex() not in repr(BusReader("a", 1, SCBK)) + str(SCBK in repr(BusReader("a", 1, SCBK)).encode())


# --- a hostile line, through the real port --------------------------------------------------------------------------


def test_noise_before_every_answer_costs_nothing() -> None:
    """Twenty cards, noise with a start byte in it before each answer: twenty cards, in order, nothing else."""

    async def act(scene: Scene) -> None:
        await up(scene)
        scene.line.change_reply = lambda reply: b"\x00\x53\x11\xff" + reply
        for number in range(20):
            scene.line.peers[0].card(26, bytes((number, 0, 0, 0x40)))
        await scene.until(lambda: len(scene.of(CardRead)) == 20, "twenty cards", 20)
        assert [card.data[0] for card in scene.of(CardRead)] == list(range(20))
        assert not scene.of(LineDown)
        assert scene.bus.status()[0]["bad_frames"] > 0
        assert scene.bus.status()[0]["time_outs"] == 0

    with_one_reader(act)


def test_an_answer_cut_short_is_asked_for_again() -> None:
    """One answer loses its end: a time-out, the command again, and the reader works within 5 s. (This libosdp
    drops its session when a command is repeated; a later one repeats its answer.)"""

    async def act(scene: Scene) -> None:
        await up(scene)

        def cut_once(reply: bytes) -> bytes:
            scene.line.change_reply = lambda reply: reply
            return reply[:-3]

        scene.line.change_reply = cut_once
        await scene.until(lambda: scene.bus.status()[0]["time_outs"] > 0, "the time-out")
        polls = scene.bus.status()[0]["polls"]
        await scene.until(lambda: scene.bus.status()[0]["polls"] > polls + 20, "polls in a session", 5)
        scene.line.peers[0].card(26, bytes(4))
        await scene.until(lambda: scene.of(CardRead), "a card", 5)

    with_one_reader(act)
