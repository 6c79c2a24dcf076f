"""`vantail learn` at a real agent: what it says, how it ends; and a whole change of manager with the real clock, the
process started again as systemd does."""

import argparse
import asyncio
import json
import os
import sys
import time

import pytest
from edge_controller import DEADLINE_S, RESIDENT_B, Made, answers, ask, until
from onsite_controller import CODE, HALL, KEY, NUMBER, PASSWORD, SIDE, Commissioned

from edge import onsite
from edge.commands import learn
from edge.console.api import ApiError
from edge.decision.model import LOCK
from edge.failures import CommandError
from edge.service import RESTART
from firmware_sim.line_board import LineBoard


@pytest.fixture
def at(folder, monkeypatch) -> Commissioned:
    monkeypatch.setattr(onsite, "GREEN_S", 0.3)
    monkeypatch.setattr(learn, "LOOK_S", 0.02)
    made = Commissioned(folder)
    for name, content in (("secret", PASSWORD.encode()), ("wrong", b"000000"), ("handover", made.handover())):
        (folder / name).touch(0o600)
        (folder / name).write_bytes(content)
    return made


def run_learn(made: Made, *arguments: object) -> int:
    """The command, as `vantail` runs it."""
    parser = argparse.ArgumentParser()
    learn.add(parser.add_subparsers())
    options = parser.parse_args(["learn", "--config", str(made.config), *map(str, arguments)])
    return int(options.run(options))


def test_it_brings_the_hand_over_and_follows_to_the_end(at: Commissioned, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step as a JSON object; exit code 0 where the manager is bound."""
    words = ("--handover", at.made.folder / "handover", "--password-file", at.made.folder / "secret", "--json")

    async def play() -> int:
        async with at.running() as hall:
            asked = ("--manager", NUMBER, "--reader", HALL, "--countdown", 60, *words)
            running = asyncio.create_task(asyncio.to_thread(run_learn, at.made, *asked))
            learning = hall.agent.onsite._procedure.learning
            await until(lambda: learning.state == "armed", "it is armed")
            said = []
            for ms in (30_000, 30_000):
                await until(lambda: _grown(said, capsys), "it is said")
                await hall.wait(ms)
            await until(lambda: _grown(said, capsys), "it is said")
            assert not await hall.opens("badge", KEY, HALL)
            await hall.wait(2_000)
            code = await running
            said += capsys.readouterr().out.splitlines()
            states = [json.loads(line)["state"] for line in said]
            assert [state for state in states if state not in ("holding", "binding")] == [
                "deposited", "armed", "armed", "presenting", "done",
            ]  # fmt: skip
            assert json.loads(said[1]) == {"state": "armed", "reader": HALL, "left_s": 60}
            return code

    assert asyncio.run(play()) == os.EX_OK


def _grown(said: list[str], capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether a step of the procedure was told since."""
    said += (new := capsys.readouterr().out.splitlines())
    return any('"left_s"' in line for line in new)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--manager", 78, "--reader", HALL), os.EX_DATAERR, "number"),
        (("--manager", NUMBER, "--reader", "nowhere"), os.EX_TEMPFAIL, "does not answer"),
        (("--manager", NUMBER, "--reader", HALL, "--countdown", 5), os.EX_USAGE, "10 to 600"),
        (("--manager", NUMBER, "--reader", HALL, "--handover", "secret"), os.EX_DATAERR, "not signed"),
        (("--manager", NUMBER, "--reader", HALL, "--password-file", "wrong"), os.EX_NOPERM, "not the controller's"),
        (("--manager", NUMBER), os.EX_USAGE, "--reader ID"),
    ],
)
def test_what_is_refused_says_how_to_go_on(at: Commissioned, words: tuple, code: int, said: str) -> None:
    """One line, and an exit code for scripts."""
    paths = [at.made.folder / word if word in ("secret", "wrong") else word for word in words]
    more = () if "--password-file" in words else ("--password-file", at.made.folder / "secret")

    async def play() -> CommandError:
        async with at.running() as hall:
            assert await hall.deposit(at.handover()) == ""
            with pytest.raises(CommandError) as caught:
                await asyncio.to_thread(run_learn, at.made, *paths, *more)
            return caught.value

    error = asyncio.run(play())
    assert (error.code, said in str(error)) == (code, True), error


def test_without_an_agent_it_says_so(at: Commissioned) -> None:
    """As every command that asks the agent."""
    with pytest.raises(ApiError, match="vantail run"):
        run_learn(at.made, "--manager", NUMBER, "--reader", HALL, "--password-file", at.made.folder / "secret")


@pytest.mark.full
def test_a_change_of_manager_with_the_process_started_again(at: Commissioned) -> None:
    """Passes are presented all along at the other reader; the process leaves with 75 and is started again. None of what
    it took was refused; what it was away for is printed."""
    counts = {"tried": 0, "refused": 0}
    away_s: list[float] = []

    async def serve() -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.cli", "run", "--config", str(at.made.config),
                stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
            if code != RESTART:
                return
            away_s.append(-time.monotonic())

    async def storm(board: LineBoard) -> None:
        while True:
            for medium, value in (("badge", RESIDENT_B), ("code", CODE)):
                await board.wait_connected(DEADLINE_S)
                if away_s and away_s[-1] < 0:
                    away_s[-1] += time.monotonic()
                before = sum(strike.ms != LOCK for strike in board.strikes)
                try:
                    board.present(SIDE, medium, value)
                    await board.barrier(DEADLINE_S)
                except ConnectionError:
                    continue  # it was away
                counts["tried"] += 1
                counts["refused"] += sum(strike.ms != LOCK for strike in board.strikes) == before
            await asyncio.sleep(0.02)

    async def play() -> None:
        board = LineBoard(at.made.board)
        await board.start()
        serving = asyncio.create_task(serve())
        storming = asyncio.create_task(storm(board))
        try:
            await until(lambda: answers(at.made), "the agent answers")
            now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at.clock.utc_ms // 1000))
            files = ("--handover", at.made.folder / "handover", "--password-file", at.made.folder / "secret")
            asked = ("--manager", NUMBER, "--reader", HALL, "--countdown", 10, "--time", now, *files)
            learning = asyncio.create_task(asyncio.to_thread(run_learn, at.made, *asked))
            await until(lambda: board.indicated and _light(board) == "learning-present", "it asks for the key")
            board.present(HALL, "badge", str(KEY))
            assert await learning == os.EX_OK
            await until(lambda: away_s and away_s[-1] >= 0, "it is back")
            tried = counts["tried"]
            await until(lambda: counts["tried"] >= tried + 20, "it goes on")
            assert (await ask(at.made, "commission-view"))["epoch"] == 2
            alarms = (await ask(at.made, "events", result="alarm"))["events"]
            assert [alarm["reason"] for alarm in alarms if alarm["reason"] in ("agent", "log")] == []
        finally:
            for task in (storming, serving):
                task.cancel()
            ended = await asyncio.gather(storming, serving, return_exceptions=True)
            await board.stop()
        assert [type(one) for one in ended] == [asyncio.CancelledError] * 2

    asyncio.run(play())
    print(f"{counts['tried']} presentations, {counts['refused']} refused; away for {away_s[0]:.2f} s")
    assert counts["refused"] == 0
    assert counts["tried"] > 100


def _light(board: LineBoard) -> str:
    return next((one.outcome for one in reversed(board.indicated) if one.reader == HALL), "")
