"""Pairing, rekeying and the inputs of OSDP readers through the whole agent; the reader is libosdp's, on a pty."""

import asyncio
import contextlib
import stat
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import osdp
import pytest
from edge_controller import NEVER_AUTO, NOW_MS, RESIDENT_B, make, running, until
from osdp_peer import SCBK, PtyLine

from edge import keyring
from edge.agent import Agent
from edge.answering import Answers
from edge.config import load
from edge.console.api import BadRequestError
from edge.decision import model
from edge.reader.card_format import encode
from firmware_sim.driven_clock import DrivenClock

OTHER = bytes.fromhex("a91d04fe7730c2685b1fe9034dcc8276")
CONFIG = """\
controller = "hall-b"
api = "api"

[[bus]]
port = "{port}"
baud = 115200
readers = [{{ id = "hall-b-in", address = 1 }}]

[[door]]
id = "hall-b"
outputs = {{ door = "osdp:hall-b-in:0" }}
contact = "osdp:hall-b-in:0"
exit = "osdp:hall-b-in:1"
"""


class Hall:
    """The agent in this process and the reader on its line."""

    def __init__(self, agent: Agent, line: PtyLine, clock: DrivenClock, made: Any) -> None:
        self.agent, self.line, self.clock, self.made = agent, line, clock, made
        self._ops = Answers(agent).by_op()

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        return await self._ops[op]({"op": op, **arguments})

    async def events(self, **filters: Any) -> list[dict[str, Any]]:
        await self.agent.settle()
        return (await self.ask("events", limit=100, **filters))["events"]

    async def until_paired(self) -> None:
        async with asyncio.timeout(30):
            while not (await self.ask("pairing", reader="hall-b-in"))["outcome"]:
                await asyncio.sleep(0.01)

    async def until_secure(self) -> None:
        await until(lambda: self.agent.hardware.buses[0].status()[0]["ready"], "the session")

    async def until_leaf(self, is_open: bool) -> None:
        door = self.agent.controller.doors["hall-b"]
        await until(lambda: door.leaf_open is is_open, "the leaf")

    async def present(self, number: str) -> dict[str, Any]:
        """Hold a badge to the reader; what was recorded of it."""
        decisions = self.agent.decisions
        self.line.peers[0].card(*encode(int(number), "37"))
        await until(lambda: self.agent.decisions > decisions, "a decision")
        return (await self.events(medium="badge"))[-1]

    def inputs(self, *states: int) -> None:
        self.line.peers[0].status(osdp.StatusReportType.Input, bytes(states))

    def strike_commands(self) -> list[dict[str, Any]]:
        return [told for told in self.line.peers[0].commands if told["command"] == osdp.Command.Output]


@contextlib.asynccontextmanager
async def at_work(made: Any, line: PtyLine) -> AsyncIterator[Hall]:
    config = load(made.config)
    clock = DrivenClock(NOW_MS)
    agent = await Agent.start(config, keyring.load(config), clock)
    running = asyncio.ensure_future(agent.run())
    try:
        await agent.settle()
        yield Hall(agent, line, clock, made)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def hall(folder: Path, line: PtyLine, key: bytes | None = None, settings: str = CONFIG) -> Any:
    made = make(folder, changes=(NEVER_AUTO,))
    made.config.write_text(settings.format(port=line.port))
    if key is not None:
        path = made.keys / "osdp.toml"
        path.touch(0o600)
        path.write_text(f'hall-b-in = "{key.hex()}"\n')
    return made


def play(
    folder: Path, act: Callable[[Hall], Any], key: bytes | None = SCBK, has: bytes | None = SCBK, settings: str = CONFIG
) -> tuple[Any, list[Any]]:
    """Run `act` in the hall, where the agent has `key` for a reader that has another perhaps. Returns what was made,
    and the KEYSETs that the reader was sent."""
    with PtyLine() as line:
        peer = line.add(scbk=has)
        made = hall(folder, line, key, settings)

        async def run() -> None:
            async with at_work(made, line) as it:
                await act(it)

        asyncio.run(run())
    return made, [told for told in peer.commands if told["command"] == osdp.Command.Keyset]


def keys_in(made: Any) -> dict[str, Any]:
    return tomllib.loads((made.keys / "osdp.toml").read_text())


def test_a_reader_is_paired_on_site_and_opens_from_then_on(folder) -> None:
    """Without a key nothing opens and no key is sent; in the window it gets its own, kept for the next start."""
    with PtyLine() as line:
        peer = line.add(scbk=None)
        made = hall(folder, line)

        async def first() -> None:
            async with at_work(made, line) as it:
                await until(lambda: it.agent.hardware.buses[0].status()[0]["online"], "the reader")
                assert not [told for told in peer.commands if told["command"] == osdp.Command.Keyset]
                answer = await it.ask("pair", reader="hall-b-in", window_s=60)
                assert answer["window_s"] == 60
                await it.until_paired()
                await it.until_secure()
                assert (await it.present(RESIDENT_B))["result"] == "open"
                await until(it.strike_commands, "the strike")
                said = [event["reason"] for event in await it.events(result="info", reader="hall-b-in")]
                assert said.index("pairing-opened") < said.index("reader-paired")
                assert keys_in(made)["hall-b-in"] not in repr(await it.ask("status")) + repr(await it.events())

        async def again() -> None:
            async with at_work(made, line) as it:
                await it.until_secure()
                assert (await it.present(RESIDENT_B))["result"] == "open"

        asyncio.run(first())
        found = keys_in(made)
        assert set(found) == {"hall-b-in"}
        assert stat.S_IMODE((made.keys / "osdp.toml").stat().st_mode) == 0o600
        asyncio.run(again())
        keysets = [told for told in peer.commands if told["command"] == osdp.Command.Keyset]
        assert [told["data"].hex() for told in keysets] == [found["hall-b-in"]]


def test_a_reader_is_given_another_key_in_its_session(folder) -> None:
    """`rekey`: the file has the new key once the reader has proved it, and the old one no more."""

    async def act(it: Hall) -> None:
        await it.until_secure()
        await it.ask("rekey", reader="hall-b-in")
        await it.until_paired()
        await it.until_secure()
        assert (await it.present(RESIDENT_B))["result"] == "open"

    made, _ = play(folder, act)
    assert SCBK.hex() not in (made.keys / "osdp.toml").read_text()
    assert set(keys_in(made)) == {"hall-b-in"}


def test_a_window_that_nobody_used_leaves_everything_as_it_was(folder) -> None:
    """Closed before its time with a reader that has a key already: no key is sent, none is left in the file."""

    async def act(it: Hall) -> None:
        await until(lambda: it.agent.hardware.buses[0].status()[0]["online"], "the reader")
        await it.ask("pair", reader="hall-b-in", window_s=60)
        with pytest.raises(BadRequestError, match="one at a time"):
            await it.ask("pair", reader="hall-b-in", window_s=60)
        await it.ask("pair-close", reader="hall-b-in")
        await it.until_paired()
        outcome = (await it.ask("pairing", reader="hall-b-in"))["outcome"]
        assert outcome == "not paired: the pairing window was closed"
        assert [event["reason"] for event in await it.events(reason="reader-not-paired")]

    made, keysets = play(folder, act, key=None)
    assert keys_in(made) == {}
    assert not keysets


@pytest.mark.parametrize(
    ("op", "arguments", "words"),
    [
        ("pair", {"reader": "nobody"}, "no OSDP reader 'nobody'; known are hall-b-in"),
        ("pair", {"reader": "hall-b-in", "window_s": 301}, "give 5 to 300 s"),
        ("rekey", {"reader": "hall-b-in"}, "reader hall-b-in: "),
    ],
)
def test_what_cannot_begin_says_why(folder, op, arguments, words) -> None:
    """And leaves no key behind."""

    async def act(it: Hall) -> None:
        with pytest.raises(BadRequestError, match=words):
            await it.ask(op, **arguments)

    made, _ = play(folder, act, key=None, has=OTHER)
    assert not (made.keys / "osdp.toml").exists() or keys_in(made) == {}


def test_a_key_that_cannot_be_written_down_is_not_sent(folder) -> None:
    """The disk comes first: a reader with a key that nobody knows would be lost."""

    async def act(it: Hall) -> None:
        (it.made.keys / "osdp.toml").mkdir(0o700)
        with pytest.raises(BadRequestError, match=r"osdp\.toml"):
            await it.ask("pair", reader="hall-b-in")
        assert it.agent.hardware.buses[0].pairing == ""

    _, keysets = play(folder, act, key=None, has=None)
    assert not keysets


def test_the_commands_pair_rekey_and_move_a_reader(folder) -> None:
    """As an installer types them beside the door, against the agent as a process; each says what came of it."""
    with PtyLine() as line:
        line.add(scbk=None)
        made = hall(folder, line)

        async def command(*words: str) -> str:
            done = await asyncio.to_thread(made.run, "reader", *words, "--config", str(made.config))
            return done.stdout + done.stderr

        async def play() -> None:
            async with running(made):
                assert await command("rekey", "hall-b-in") == (
                    "vantail: reader hall-b-in: the reader is not on line: "
                    "a key is changed inside a session with the old one only\n"
                )
                assert await command("pair", "nobody") == (
                    "vantail: there is no OSDP reader 'nobody'; known are hall-b-in\n"
                )
                assert await command("pair", "hall-b-in") == "hall-b-in: has its new key, and proved it\n"
                first = keys_in(made)["hall-b-in"]
                assert '"paired": true' in await command("rekey", "hall-b-in", "--json")
                assert keys_in(made)["hall-b-in"] not in ("", first)
                assert await command("move", "hall-b-in", "--address", "9") == (
                    "hall-b-in: address 9, 115200 baud from now on; write that into agent.toml before the next start\n"
                )
                assert "at most 5" in await command("pair", "hall-b-in", "--minutes", "6")

        asyncio.run(play())


def test_contact_and_exit_button_on_the_readers_inputs(folder) -> None:
    """An open circuit is an open leaf; a button held at the start opens nothing, a press does; a leaf that opens then
    is not forced, one that opens unasked is."""

    async def act(it: Hall) -> None:
        await it.until_secure()
        it.inputs(1, 1)  # the leaf is closed, the button is held
        await it.until_leaf(False)
        assert not await it.events(medium="exit")
        it.inputs(1, 0)
        it.inputs(1, 1)
        await until(it.strike_commands, "the strike")
        it.inputs(0, 0)
        await it.until_leaf(True)
        assert not await it.events(reason="forced")
        it.inputs(1, 0)
        await it.until_leaf(False)
        it.clock.move_by(60_000)
        it.agent.submit(model.Tick())
        await it.agent.settle()
        it.inputs(0, 0)
        await it.until_leaf(True)
        assert await it.events(reason="forced")

    play(folder, act)


def test_an_input_that_the_reader_has_not(folder) -> None:
    """Is an alarm, once, and presses nothing."""

    async def act(it: Hall) -> None:
        await it.until_secure()
        for _ in range(3):
            it.inputs(1, 1)
            it.inputs(0, 0)
        await it.until_leaf(True)
        alarms = await it.events(reason="line")
        assert [event["detail"] for event in alarms] == ["hall-b-in has 2 inputs, agent.toml asks for input 7"]
        assert not await it.events(medium="exit")

    play(folder, act, settings=CONFIG.replace("osdp:hall-b-in:1", "osdp:hall-b-in:7"))


def test_a_press_from_before_the_session_opens_nothing(folder) -> None:
    """The cable is cut, somebody presses and lets go; when the line is back, what the reader kept of it is no press."""

    async def act(it: Hall) -> None:
        await it.until_secure()
        it.inputs(1, 0)
        await it.until_leaf(False)
        it.line.is_cut = True
        await until(lambda: not it.agent.hardware.buses[0].status()[0]["secure"], "the loss")
        for states in ((1, 1), (1, 0), (1, 1), (1, 0)):
            it.inputs(*states)
        it.line.is_cut = False
        await it.until_secure()
        it.inputs(0, 0)  # the leaf opens: what came before it has been read
        await it.until_leaf(True)
        assert not await it.events(medium="exit")
        assert await it.events(reason="forced")

    play(folder, act)
