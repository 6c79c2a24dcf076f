"""Row R8, end to end: keypads, remotes and telephones through the real agent, from the wire to the strike."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest
from scenario_lines import (
    BCD_CODE,
    CALL_CODE,
    CALLER,
    CODE,
    NUMBERS,
    OPEN_KEY,
    REMOTE,
    RESIDENT,
    STRANGER,
    WRONG_CODE,
    AtWork,
    at_work,
    callee,
    write_box,
)
from scenario_processes import short_folder

from edge.reader.keypad import BETWEEN_KEYS_MS
from firmware_sim.gsm_network import RING_MS

OPEN, DENIED = ("open", ""), ("denied", "unknown")


def play(script: Callable[[AtWork], Awaitable[None]]) -> None:
    async def run() -> None:
        async with at_work(box) as work:
            await script(work)

    with short_folder() as folder:
        box = write_box(folder)
        asyncio.run(run())


class Later:
    """The module time, on which `later_ns` have passed."""

    def __init__(self, later_ns: int) -> None:
        self._later_ns = later_ns

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._later_ns

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


# --- keypads on two wires -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reader", "right", "wrong"),
    [
        ("four-in", CODE + "#", WRONG_CODE + "#"),
        ("eight-in", CODE + "#", WRONG_CODE + "#"),
        ("binary-in", CODE, WRONG_CODE),
        ("bcd-in", BCD_CODE, "111111"),
    ],
)
def test_a_code_on_each_kind_of_keypad(reader: str, right: str, wrong: str) -> None:
    """The right code releases that door's strike and no other, a wrong one none; and a card on the same wires does."""
    door = reader.removesuffix("-in")

    async def script(work: AtWork) -> None:
        hardware = work.hardware
        assert await work.decided(1, lambda: hardware.type(reader, wrong)) == [(door, *DENIED)]
        assert hardware.activations() == []
        assert await work.decided(1, lambda: hardware.type(reader, right)) == [(door, *OPEN)]
        await work.until(lambda: hardware.unlocked() == {(door, "door")}, "the strike")
        await work.pulses_over()
        assert await work.decided(1, lambda: hardware.card(reader, RESIDENT)) == [(door, *OPEN)]
        await work.until(lambda: hardware.activations() == [(door, "door")] * 2, "the strike again")

    play(script)


def test_the_end_key_and_the_clear_key() -> None:
    """A code counts when its end key comes, not before; the clear key takes back what was keyed."""

    async def script(work: AtWork) -> None:
        hardware = work.hardware
        hardware.type("four-in", CODE)
        hardware.type("eight-in", "999*")
        assert await work.decided(1, lambda: hardware.type("eight-in", CODE + "#")) == [("eight", *OPEN)]
        assert await work.decided(1, lambda: hardware.type("four-in", "#")) == [("four", *OPEN)]
        hardware.type("four-in", "#*#")  # nothing was keyed
        assert await work.decided(1, lambda: hardware.type("eight-in", WRONG_CODE + "#")) == [("eight", *DENIED)]

    play(script)


def test_half_a_code_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits that were keyed longer ago than a person takes belong to no code: the rest alone is wrong."""

    async def script(work: AtWork) -> None:
        hardware = work.hardware
        hardware.type("four-in", CODE[:3])
        await work.until(lambda: hardware_keys(work) == 3, "three keys")
        await work.settle()
        later_ns = (BETWEEN_KEYS_MS + 1) * 1_000_000
        monkeypatch.setattr("edge.agent.time", Later(later_ns))
        assert await work.decided(1, lambda: hardware.type("four-in", CODE[3:] + "#")) == [("four", *DENIED)]
        monkeypatch.undo()
        assert hardware.activations() == []

    def hardware_keys(work: AtWork) -> int:
        readers = work.agent.hardware.gpio.status()["readers"]
        return next(reader["keys"] for reader in readers if reader["reader"] == "four-in")

    play(script)


def test_an_osdp_keypad_and_card() -> None:
    """libosdp's reader over the secure channel: keys one by one and buffered, and a card; its own output moves."""

    async def script(work: AtWork) -> None:
        reader = work.hardware.reader
        assert await work.decided(1, lambda: reader.press(WRONG_CODE + "#")) == [("cellar", *DENIED)]
        assert await work.decided(1, lambda: reader.press(CODE + "#")) == [("cellar", *OPEN)]
        await work.until(lambda: work.hardware.unlocked() == {("cellar", "door")}, "its output")
        assert await work.decided(1, lambda: reader.press(CODE + "#", buffered=True)) == [("cellar", *OPEN)]
        assert await work.decided(1, lambda: work.hardware.osdp_card(STRANGER)) == [("cellar", *DENIED)]
        assert await work.decided(1, lambda: work.hardware.osdp_card(RESIDENT)) == [("cellar", *OPEN)]

    play(script)


# --- remotes --------------------------------------------------------------------------------------------------------


def test_each_button_of_a_remote() -> None:
    """Buttons 1 to 3 move their outputs, button 4 none; held down it counts once; a foreign remote does nothing."""

    async def script(work: AtWork) -> None:
        hardware = work.hardware
        for button, output in enumerate(("door", "aux1", "aux2"), 1):
            assert await work.decided(1, lambda: hardware.remote(REMOTE, button)) == [("gate", *OPEN)]  # noqa: B023
            await work.until(lambda: hardware.unlocked() == {("gate", output)}, f"output {output}")  # noqa: B023
            await work.pulses_over()
        assert await work.decided(1, lambda: hardware.remote(REMOTE, 4)) == [("gate", "denied", "no-access")]
        assert await work.decided(1, lambda: hardware.remote(REMOTE + 1, 1)) == [("gate", *DENIED)]
        assert hardware.activations() == [("gate", "door"), ("gate", "aux1"), ("gate", "aux2")]
        assert await work.decided(1, lambda: [hardware.remote(REMOTE, 1) for _ in range(4)]) == [("gate", *OPEN)]
        assert hardware.activations()[3:] == [("gate", "door")]

    play(script)


# --- the telephone --------------------------------------------------------------------------------------------------


def test_who_calls_is_matched_and_hung_up_within_one_ring() -> None:
    """A resident's call opens and ends before its second ring, unanswered, so it costs nothing; a stranger's call and
    a withheld number are hung up as soon, and open nothing."""

    async def script(work: AtWork) -> None:
        network = work.hardware.modem.network
        calls = []
        for number, expected in ((CALLER, OPEN), ("4799999999", DENIED), (None, DENIED)):
            shown = None if number is None else f"+{number}"
            assert await work.decided(1, lambda: calls.append(network.call_in(shown))) == [("porch", *expected)]  # noqa: B023
            call = calls[-1]
            await work.until(lambda: call.ended_ms, "hung up")  # noqa: B023
            assert (call.ended_by, call.talked_ms, call.rings) == ("door", 0, 1)
            assert call.ended_ms - call.began_ms < RING_MS
        await work.until(lambda: work.hardware.activations() == [("porch", "door")], "one strike")

    play(script)


@contextlib.contextmanager
def answering(work: AtWork, who: int, keys: str = OPEN_KEY):
    """Of a flat's numbers, the first ones ring in vain and `who` answers and presses `keys`."""
    callees = work.hardware.modem.network.callees
    for at, number in enumerate(NUMBERS):
        callees[f"+{number}"] = callees[number] = callee("answers" if at == who else "silent", keys=keys)
    yield
    callees.clear()


async def dialled(work: AtWork, count: int) -> list[str]:
    """The numbers that were called, once there are `count`."""

    def told() -> list[str]:
        commands = work.hardware.modem.commands
        return [command[3:].strip("+;") for command in commands if command.startswith("ATD")]

    await work.until(lambda: len(told()) >= count, f"{count} numbers dialled: {told()}")
    return told()


@pytest.mark.parametrize("who", [pytest.param(0, marks=pytest.mark.full), pytest.param(1, marks=pytest.mark.full), 2])
def test_residents_are_called_in_turn(who: int) -> None:
    """Each number rings for 20 s, not less; then the next; whoever answers and presses the key opens the door."""

    async def script(work: AtWork) -> None:
        with answering(work, who):
            assert work.hardware.board.call("porch", CALL_CODE)
            for at in range(who):
                assert await dialled(work, at + 1) == list(NUMBERS[: at + 1])
                await work.pass_time(19_999)
                assert work.hardware.activations() == []
                assert len(await dialled(work, at + 1)) == at + 1
                await work.pass_time(1)
            assert await dialled(work, who + 1) == list(NUMBERS[: who + 1])
            await work.until(lambda: work.hardware.unlocked() == {("porch", "door")}, "the strike")
            opened = [event for event in await work.events() if event["result"] == "open"]
            assert [(event["door"], event["medium"]) for event in opened] == [("porch", "call")]
            await work.until(lambda: not work.hardware.modem.network.running, "hung up")

    play(script)


def test_nobody_answers_or_presses_another_key() -> None:
    """After the third number the call has failed; another key opens nothing."""

    async def script(work: AtWork) -> None:
        with answering(work, who=-1):
            work.hardware.board.call("porch", CALL_CODE)
            for at in range(3):
                await dialled(work, at + 1)
                await work.pass_time(20_000)
            denied = [event for event in await work.events() if event["result"] == "denied"]
            assert [event["reason"] for event in denied] == ["not-completed"]
        await work.until(lambda: not work.hardware.modem.network.running, "hung up")
        with answering(work, who=0, keys="1"):
            work.hardware.board.call("porch", CALL_CODE)
            await work.until(lambda: any(call.keys for call in work.hardware.modem.network.running), "a key")
            await work.pass_time(120_000)
        assert work.hardware.activations() == []

    play(script)
