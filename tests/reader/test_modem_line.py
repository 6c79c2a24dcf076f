"""A modem on a real pty: messages, its line and its faults, its SIM and the PIN."""

import asyncio
import dataclasses
from pathlib import Path

import pytest
from modem_world import CALLER, DOOR, FIRST, MAKERS, READER, THREE, World, play, policy_of, progress

from edge.decision import model
from edge.reader.inputs import LineDown, LineUp
from edge.reader.modem_line import Ringing, TextReceived
from firmware_sim.gsm_network import RING_MS, Callee

# --- messages ---------------------------------------------------------------------------------------------------


def test_a_message_is_read_and_deleted(tmp_path: Path) -> None:
    """A text comes as a value, from the store, which is empty afterwards; a burst is bounded and counted."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.receive_text("+33612000001", "test Héé @1")
        await world.advance(1000)
        assert world.seen[-1] == TextReceived(READER, "33612000001", "test Héé @1")
        for number in range(15):
            world.sim.receive_text("0612000001", f"nº {number} €")
        await world.advance(30_000)
        texts = [value for value in world.seen if isinstance(value, TextReceived)]
        assert texts[1:] == [TextReceived(READER, "33612000001", f"nº {number} €") for number in range(10)]
        assert not world.sim.store
        assert world.sim.lost_messages == 5

    play(World(tmp_path), scene)


def test_a_message_cannot_ring(tmp_path: Path) -> None:
    """A text that holds a caller's lines opens nothing, as messages are read in PDU form; in text form it would."""

    async def scene(world: World) -> None:
        await world.ready()
        world.decide(policy_of((), (CALLER,)))
        attack = f'hello\r\nOK\r\nRING\r\n+CLIP: "+{CALLER}",145\r\n'
        for text_mode in (False, True):
            assert not world.opened()
            world.sim._text_mode = text_mode  # negative control: somebody changes the modem's mode
            world.sim.receive_text("+33699999999", attack)
            await world.advance(10_000)
        assert world.opened()

    play(World(tmp_path), scene)


# --- the modem and its line -------------------------------------------------------------------------------------


def test_a_modem_that_never_answers(tmp_path: Path) -> None:
    """Silence is told once, a call ends at once, tries go on with longer pauses; when it speaks it is back."""

    async def scene(world: World) -> None:
        await world.advance(600_000)
        assert world.kinds() == [LineDown]
        assert "does not answer" in world.modem.status()["trouble"]
        tries = world.modem.bytes_out
        assert tries < 20 * len("AT\rAT+CMEE?\rAT+CMEE?\r")
        world.modem.dial(DOOR, FIRST, 20)
        assert world.seen[-1] == model.CallProgress(DOOR, "ended", "")
        world.sim.is_mute = False
        await world.ready()
        assert world.kinds().count(LineUp) == 1

    world = World(tmp_path)
    world.sim.is_mute = True
    play(world, scene)


def test_a_modem_that_falls_silent_in_a_call(tmp_path: Path) -> None:
    """The call is told as ended, so the core goes on; the line as down."""

    async def scene(world: World) -> None:
        await world.ready()
        world.decide(policy_of(THREE))
        world.handle(model.CallStarted(DOOR, "A3"))
        await world.advance(5000)
        world.sim.is_mute = True
        await world.advance(60_000)
        assert world.kinds().count(LineDown) == 1
        assert world.events[-1].reason == "not-completed"

    play(World(tmp_path), scene)


def test_slow_answers_are_never_taken_for_others(tmp_path: Path) -> None:
    """Every answer comes later than its command is waited for: nothing is told that did not happen."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.callees[f"+{FIRST}"] = Callee("answers", 6000)
        world.sim.answer_ms = 5000
        world.modem.dial(DOOR, FIRST, 60)
        await world.advance(60_000)
        assert ("refused", "") not in progress(world)
        assert progress(world).count(("answered", "")) <= 1
        world.modem.hang_up(DOOR)
        world.sim.answer_ms = 0
        await world.advance(60_000)
        assert not world.sim.network.running
        assert world.modem.status()["time_outs"] > 0
        await world.ready()

    play(World(tmp_path), scene)


@pytest.mark.parametrize("says_so", [True, False])
def test_a_modem_that_starts_anew_is_set_up_again(tmp_path: Path, says_so: bool) -> None:
    """After a reset, told (RDY) or not, the next caller is hung up and told as before."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.reboot(says_so)
        await world.advance(60_000)
        await world.ready()
        assert world.modem.status()["restarts"] >= 1
        world.sim.network.call_in(f"+{CALLER}")
        await world.advance(RING_MS)
        assert Ringing(READER, CALLER) in world.seen
        assert LineDown not in world.kinds()

    play(World(tmp_path), scene)


def test_an_adapter_pulled_and_put_back(tmp_path: Path) -> None:
    """The port vanishes in a call: down and ended; put back, up again, and the next caller is heard."""

    async def scene(world: World) -> None:
        await world.ready()
        world.modem.dial(DOOR, FIRST, 20)
        await world.advance(3000)
        world.sim.close()
        await world.until(lambda: LineDown in world.kinds())
        assert world.seen[-2:] == [model.CallProgress(DOOR, "ended", ""), world.seen[-1]]
        world.plug()
        await world.until(lambda: world.modem.status()["state"] != "closed")
        await world.ready()
        assert not world.sim.network.running
        world.sim.network.call_in(f"+{CALLER}")
        await world.advance(RING_MS)
        assert Ringing(READER, CALLER) in world.seen

    play(World(tmp_path), scene)


def test_a_port_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    """Without a port the line is down, once, with advice; when it appears the modem is set up."""

    async def scene(world: World) -> None:
        await world.until(lambda: world.seen)
        await asyncio.sleep(0)
        [down] = world.seen
        assert isinstance(down, LineDown)
        assert "check `port`" in down.detail
        world.plug()
        await world.until(lambda: world.modem.status()["state"] != "closed")
        await world.ready()
        assert world.kinds() == [LineDown, LineUp]

    play(World(tmp_path), scene, is_plugged=False)


def test_the_network_goes_and_comes(tmp_path: Path) -> None:
    """A short loss is no alarm, a long one is told once; calls end at once while there is none."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.register(2)
        await world.advance(20_000)
        world.sim.register(1)
        await world.advance(20_000)
        assert LineDown not in world.kinds()
        world.sim.register(3)
        await world.advance(31_000)
        assert world.seen[-1] == LineDown(READER, "no network: the network refuses the SIM")
        world.modem.dial(DOOR, FIRST, 20)
        assert world.seen[-1] == model.CallProgress(DOOR, "ended", "")
        world.sim.register(5)
        await world.advance(1000)
        assert world.seen[-1] == LineUp(READER, "simcom modem, roaming")

    play(World(tmp_path), scene)


# --- the SIM ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
def test_a_pin_is_entered(tmp_path: Path, maker: str) -> None:
    """A SIM that asks for its PIN gets it once, and again after the modem lost its power."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.reboot()
        await world.advance(60_000)
        await world.ready()
        assert sum(command.startswith("AT+CPIN=") for command in world.sim.commands) == 2
        assert world.sim.tries == 3

    play(World(tmp_path, maker, "4821", pin="4821"), scene)


def test_a_wrong_pin_costs_one_try_in_all(tmp_path: Path) -> None:
    """A wrong PIN is tried once: not again in an hour, not after a reset, not by a program started anew."""

    async def scene(world: World) -> None:
        await world.advance(3_600_000)
        world.sim.reboot()
        await world.advance(3_600_000)
        assert world.sim.tries == 2
        assert world.kinds() == [LineDown]
        assert "PIN" in world.modem.status()["trouble"]

    world = World(tmp_path, "sim800", "1111", pin="4821")
    play(world, scene)
    again = World(tmp_path, "sim800", "1111", pin="4821")
    again.sim.tries = world.sim.tries
    play(again, scene)
    assert again.sim.tries == 2


def test_a_modem_that_hides_the_tries_gets_no_pin(tmp_path: Path) -> None:
    """Where the tries left cannot be read, the PIN is not risked, and the message says what to do."""

    async def scene(world: World) -> None:
        await world.advance(120_000)
        assert not any(command.startswith("AT+CPIN=") for command in world.sim.commands)
        assert "take the PIN off" in world.modem.status()["trouble"]

    world = World(tmp_path, "sim800", "4821", pin="4821")
    world.sim.maker = dataclasses.replace(world.sim.maker, tries="+NONE")
    play(world, scene)


@pytest.mark.parametrize(
    ("pin", "has_sim", "said"), [("", False, "no SIM"), ("4821", True, "put it into the key file")]
)
def test_a_sim_that_cannot_be_used(tmp_path: Path, pin: str, has_sim: bool, said: str) -> None:
    """No SIM, or one that asks for a PIN that nobody gave: down, with what to do; up when it is there."""

    async def scene(world: World) -> None:
        await world.advance(40_000)
        [down] = world.seen
        assert isinstance(down, LineDown)
        assert said in down.detail
        world.sim.has_sim, world.sim._is_unlocked = True, True
        await world.ready()

    play(World(tmp_path, pin=pin, has_sim=has_sim), scene)
