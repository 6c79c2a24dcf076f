"""The simulated line board and the agent's end of it, both ways, with loss, nonsense and reconnection."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sim_panel import until

from edge.decision.model import HOLD, LOCK, CallProgress, CallStarted, Contact, ExitPressed, Tamper
from edge.lines.simulated import Barrier, LinePresented, SimulatedBoard
from firmware_sim.board_words import LINE_BYTES
from firmware_sim.line_board import LineBoard


class Agent:
    """An agent's end with its task: keeps what was delivered and answers barriers unless told not to."""

    def __init__(self, path: Path) -> None:
        self.delivered: list[object] = []
        self.links: list[bool] = []
        self.answers_barriers = True
        self.lines = SimulatedBoard(str(path), self._deliver, self.links.append)
        self.task = asyncio.get_running_loop().create_task(self.lines.run())

    def _deliver(self, value: object) -> None:
        self.delivered.append(value)
        if isinstance(value, Barrier) and self.answers_barriers:
            self.lines.answer_barrier(value.number)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def play(tmp_path: Path, script: Callable[[LineBoard, Agent], Awaitable[None]]) -> None:
    async def run() -> None:
        board = LineBoard(tmp_path / "board.sock")
        await board.start()
        agent = Agent(board.path)
        await board.wait_connected(10)
        await script(board, agent)
        await agent.stop()
        await board.stop()

    asyncio.run(run())


def test_inputs_reach_the_agent_as_values(tmp_path: Path) -> None:
    """Everything that can happen at a door arrives as the core's value, in order."""

    async def script(board: LineBoard, agent: Agent) -> None:
        board.contact("hall", True)
        board.press_exit("hall")
        board.tamper("", "hall", True)
        board.present("hall-in", "code", "86861")
        board.present("gate-radio", "remote", "3695843697", 2)
        board.call("hall", "12")
        board.call_progress("hall", "key", "1")
        await board.barrier(10)
        assert agent.delivered == [
            Contact("hall", True),
            ExitPressed("hall"),
            Tamper("", "hall", True),
            LinePresented("hall-in", "code", "86861", 0),
            LinePresented("gate-radio", "remote", "3695843697", 2),
            CallStarted("hall", "12"),
            CallProgress("hall", "key", "1"),
            Barrier(1),
        ]
        assert [type(value) for value in agent.delivered[:3]] == [Contact, ExitPressed, Tamper]

    play(tmp_path, script)


def test_code_digits_are_not_shown(tmp_path: Path) -> None:
    """The value that carries a code keeps its digits out of its repr, where logs would find them."""
    assert "86861" not in repr(LinePresented("hall-in", "code", "86861", 0))
    assert "3695843697" in repr(LinePresented("gate-radio", "remote", "3695843697", 1))


def test_outputs_reach_the_board(tmp_path: Path) -> None:
    """Strikes, indications, calls and hang-ups arrive with the moment of their arrival, in order."""

    async def script(board: LineBoard, agent: Agent) -> None:
        changes: list[object] = []
        board.on_change = changes.append
        assert agent.lines.strike("hall", "door", 5000)
        assert agent.lines.indicate("hall-in", "granted")
        assert agent.lines.dial("hall", "panel-a", "33612345670", 20)
        assert agent.lines.hang_up("hall", "panel-a")
        await board.barrier(10)
        assert [type(change).__name__ for change in changes] == [
            "StrikeSeen", "RelayChange", "Indicated", "Dialled", "HungUp",
        ]  # fmt: skip
        assert changes[0].at_ns <= changes[1].at_ns <= changes[2].at_ns
        assert (board.strikes[0].door, board.strikes[0].output, board.strikes[0].ms) == ("hall", "door", 5000)
        assert board.is_unlocked("hall", "door")
        assert not board.is_unlocked("hall", "aux1")
        assert (board.calls[0].number, board.calls[0].delay_s) == ("33612345670", 20)

    play(tmp_path, script)


def test_relay_follows_pulse_lock_and_hold(tmp_path: Path) -> None:
    """A pulse ends by itself, a LOCK ends it early, a HOLD has no end."""

    async def script(board: LineBoard, agent: Agent) -> None:
        agent.lines.strike("hall", "door", 30)
        await until(lambda: board.history and not board.history[-1].is_unlocked)
        agent.lines.strike("hall", "door", 60_000)
        agent.lines.strike("hall", "door", LOCK)
        agent.lines.strike("hall", "aux1", HOLD)
        agent.lines.strike("hall", "aux1", 60_000)
        agent.lines.strike("hall", "aux1", HOLD)
        await board.barrier(10)
        assert [(change.output, change.is_unlocked, change.cause) for change in board.history] == [
            ("door", True, "pulse"),
            ("door", False, "timer"),
            ("door", True, "pulse"),
            ("door", False, "lock"),
            ("aux1", True, "hold"),
        ]
        assert board.is_unlocked("hall", "aux1")
        assert len(board.strikes) == 6

    play(tmp_path, script)


def test_relays_drop_when_the_agent_is_lost(tmp_path: Path) -> None:
    """Every relay is locked as soon as the agent's connection ends, held ones too; strikes then are counted."""

    async def script(board: LineBoard, agent: Agent) -> None:
        agent.lines.strike("hall", "door", 60_000)
        agent.lines.strike("cellar", "door", HOLD)
        await board.barrier(10)
        assert board.is_unlocked("hall", "door")
        assert board.is_unlocked("cellar", "door")
        await agent.stop()
        await until(lambda: not board.is_connected)
        assert not board.is_unlocked("hall", "door")
        assert not board.is_unlocked("cellar", "door")
        assert [change.cause for change in list(board.history)[-2:]] == ["connection lost"] * 2
        assert not agent.lines.strike("hall", "door", 5000)
        assert agent.lines.status()["dropped_outputs"] == 1
        assert not board.press_exit("hall")
        assert board.lost_inputs == 1

    play(tmp_path, script)


def test_agent_connects_again_and_learns_the_levels(tmp_path: Path) -> None:
    """After the board was away the agent is back by itself and hears where leaves and switches stand."""

    async def script(board: LineBoard, agent: Agent) -> None:
        board.contact("hall", True)
        board.contact("hall", False)
        board.tamper("", "hall", True)
        await board.stop()
        await until(lambda: agent.links == [True, False])
        agent.delivered.clear()
        await board.start()
        await board.wait_connected(10)
        await board.barrier(10)
        assert agent.delivered[:-1] == [Contact("hall", False), Tamper("", "hall", True)]
        assert agent.links == [True, False, True]
        assert agent.lines.status()["connections"] == 2

    play(tmp_path, script)


def test_a_second_agent_takes_over(tmp_path: Path) -> None:
    """The newest connection is the controller's; the older one is closed and its relays drop."""

    async def script(board: LineBoard, agent: Agent) -> None:
        agent.lines.strike("hall", "door", HOLD)
        await board.barrier(10)
        _reader, writer = await asyncio.open_unix_connection(str(board.path))
        await until(lambda: board.connections >= 2)
        assert not board.is_unlocked("hall", "door")
        await until(lambda: False in agent.links)
        writer.close()

    play(tmp_path, script)


MALFORMED = {
    b"nonsense": "not one JSON object",
    b"\xff\xfe": "not one JSON object",
    b"[" * 3000: "not one JSON object",
    b"[]": "one key",
    b"{}": "one key",
    b'{"strike": 1}': "strike takes door, output, ms",
    b'{"open": {"door": "hall"}}': "unknown word",
    b'{"strike": {"door": "hall", "output": "door"}}': "strike takes door, output, ms",
    b'{"strike": {"door": "hall", "output": "door", "ms": true}}': "ms must be int",
    b'{"strike": {"door": "hall", "output": "door", "ms": -2}}': "ms must be -1",
    b'{"strike": {"door": "hall", "output": "door", "ms": 1e9}}': "ms must be int",
    b'{"strike": {"door": 7, "output": "door", "ms": 1}}': "door must be str",
    b'{"barrier": "1"}': "number must be int",
    b'{"indicate": {"reader": "' + b"r" * 300 + b'", "outcome": "granted"}}': "longer than 200",
    b"x" * (LINE_BYTES + 1): "more than 4096 bytes",
    b"x" * (5 * LINE_BYTES): "more than 4096 bytes",
}


def test_malformed_lines_are_counted_and_answered(tmp_path: Path) -> None:
    """Each line that the board cannot take gets one clear error, moves no relay, and the next good line works."""

    async def run() -> None:
        board = LineBoard(tmp_path / "board.sock")
        await board.start()
        reader, writer = await asyncio.open_unix_connection(str(board.path))
        for count, (line, said) in enumerate(MALFORMED.items(), 1):
            writer.write(line + b"\n")
            answer = json.loads(await asyncio.wait_for(reader.readline(), 10))
            assert said in answer["error"], line[:60]
            assert board.bad_lines == count
        assert not board.strikes
        writer.write(b'{"strike": {"door": "hall", "output": "door", "ms": 5000}}\n')
        await until(lambda: board.is_unlocked("hall", "door"))
        writer.close()
        await board.stop()

    asyncio.run(run())


SAID_BY_A_BROKEN_BOARD = [
    b"nonsense\n",
    b'{"contact": {"door": "hall"}}\n',
    b'{"contact": {"door": "hall", "open": 1}}\n',
    b'{"explode": {}}\n',
    b'{"error": "no"}\n',
    b"[]\n",
    b'{"a": 1, "b": 2}\n',
]


def test_agent_counts_what_a_broken_board_says(tmp_path: Path) -> None:
    """Lines that the agent cannot read are counted; an over-long one costs the connection, not the agent."""

    async def run() -> None:
        connections: list[asyncio.StreamWriter] = []
        server = await asyncio.start_unix_server(
            lambda _, writer: connections.append(writer), str(tmp_path / "board.sock")
        )
        agent = Agent(tmp_path / "board.sock")
        await until(lambda: connections)
        for line in SAID_BY_A_BROKEN_BOARD:
            connections[0].write(line)
        connections[0].write(b'{"exit":{"door":"hall"}}\n')
        await until(lambda: agent.delivered)
        assert agent.delivered == [ExitPressed("hall")]
        assert agent.lines.status()["bad_lines"] == len(SAID_BY_A_BROKEN_BOARD)
        connections[0].write(b"x" * 2 * LINE_BYTES)
        await until(lambda: len(connections) == 2)
        connections[1].write(b'{"exit":{"door":"cellar"}}\n')
        await until(lambda: len(agent.delivered) == 2)
        await agent.stop()
        server.close()

    asyncio.run(run())


def test_barrier_fails_without_an_agent(tmp_path: Path) -> None:
    """A barrier that nobody can answer says so instead of waiting: no agent, a lost one, a silent one."""

    async def script(board: LineBoard, agent: Agent) -> None:
        agent.answers_barriers = False
        with pytest.raises(TimeoutError):
            await board.barrier(0.05)
        waiting = asyncio.get_running_loop().create_task(board.barrier(60))
        await until(lambda: Barrier(2) in agent.delivered)
        await agent.stop()
        with pytest.raises(ConnectionError, match="went away"):
            await waiting
        with pytest.raises(ConnectionError, match="no agent is connected"):
            await board.barrier(60)

    play(tmp_path, script)


def test_agent_waits_for_a_board_that_is_not_there(tmp_path: Path) -> None:
    """Without a board the agent goes on trying, says what is missing, and connects when it comes."""

    async def run() -> None:
        agent = Agent(tmp_path / "board.sock")
        await until(lambda: agent.lines.status()["last_error"])
        assert "is the simulator running?" in agent.lines.status()["last_error"]
        board = LineBoard(tmp_path / "board.sock")
        await board.start()
        await board.wait_connected(10)
        await agent.stop()
        await board.stop()

    asyncio.run(run())
