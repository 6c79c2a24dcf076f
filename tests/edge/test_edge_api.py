"""The local API: one JSON object a line, whoever asks what; and one agent a socket."""

import asyncio
import json
import socket
import stat

import pytest

from edge.console import api
from edge.console.api import ApiError, ApiServer, BadRequestError, call

DEADLINE_S = 20


async def echo(request):
    return {"echo": dict(request)}


async def refuse(request):
    raise BadRequestError("unknown filter colour; known are door, reader")


async def break_down(request):
    raise RuntimeError("a wheel came off")


async def long_answer(request):
    return {"text": "x" * 2_000_000}


HANDLERS = {"echo": echo, "refuse": refuse, "break": break_down, "long": long_answer}


def serving(folder, work):
    """Run `work(path)` in a thread while a server answers at `path`."""
    path = folder / "api"

    async def play():
        server = ApiServer(path, HANDLERS)
        await server.start()
        try:
            return await asyncio.wait_for(asyncio.to_thread(work, path), DEADLINE_S)
        finally:
            await server.stop()

    return asyncio.run(play())


def say(path, *lines):
    """Raw lines on one connection, and the answers to them; fewer where it was closed."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DEADLINE_S)
        connection.connect(str(path))
        answers = []
        with connection.makefile("rwb") as file:
            for line in lines:
                file.write(line + b"\n")
                file.flush()
                answer = file.readline()
                if not answer:
                    break
                answers.append(json.loads(answer))
        return answers


def test_arguments_go_there_and_the_answer_comes_back(folder):
    """Also letters beyond ASCII."""
    answer = serving(folder, lambda path: call(path, "echo", door="hall-a", text="Noël"))
    assert answer == {"ok": True, "echo": {"op": "echo", "door": "hall-a", "text": "Noël"}}


def test_long_answers_come_whole(folder):
    """Two megabytes, many times what one read gives."""
    assert len(serving(folder, lambda path: call(path, "long"))["text"]) == 2_000_000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"open the door", "Expecting value"),
        (b"", "Expecting value"),
        (b"\xff\xfe", "decode"),
        (b"[1, 2]", "one JSON object"),
        (b"{}", "unknown op; known are"),
        (b'{"op": "format the disk"}', "unknown op; known are break, echo, long, refuse"),
        (b'{"op": ["echo"]}', "unknown op"),
        (b'{"op": "refuse"}', "unknown filter colour"),
        (b'{"op": "break"}', "RuntimeError: a wheel came off"),
    ],
)
def test_what_makes_no_sense_is_answered_and_harms_nobody(folder, line, said):
    """An error in words, and the same connection goes on."""
    first, second = serving(folder, lambda path: say(path, line, b'{"op": "ping"}'))
    assert first["ok"] is False
    assert said in first["error"]
    assert second == {"ok": True}


def test_a_line_that_is_too_long_ends_that_connection_only(folder):
    """Its asker is dropped; the next one is answered."""

    def work(path):
        try:
            answers = say(path, b'{"op": "echo", "text": "' + b"x" * (2 * api.MAX_REQUEST) + b'"}')
        except (BrokenPipeError, ConnectionResetError):
            answers = []
        return answers, call(path, "ping")

    assert serving(folder, work) == ([], {"ok": True})


def test_an_error_of_the_agent_becomes_one_of_the_asker(folder):
    """The caller gets the agent's own words."""
    with pytest.raises(ApiError, match=r"^unknown filter colour; known are door, reader$"):
        serving(folder, lambda path: call(path, "refuse"))


def test_only_owner_and_group_may_ask(folder):
    """The socket is 0660."""
    mode = serving(folder, lambda path: stat.S_IMODE(path.stat().st_mode))
    assert mode == 0o660


def test_second_agent_at_one_socket_is_refused(folder):
    """The first goes on answering."""

    def work(path):
        async def second():
            await ApiServer(path, HANDLERS).start()

        with pytest.raises(ApiError, match="another agent is running here; stop it first"):
            asyncio.run(second())
        return call(path, "ping")

    assert serving(folder, work) == {"ok": True}


def test_socket_left_behind_is_taken_over(folder):
    """After a power cut the file is still there, with nobody behind it."""
    path = folder / "api"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.exists()
    assert serving(folder, lambda path: call(path, "ping")) == {"ok": True}
    assert not path.exists()


def test_no_agent_says_how_to_start_one(folder):
    """Neither a missing nor a dead socket is a stack of calls."""
    with pytest.raises(ApiError, match=r"no agent answers at .*; start it with: vantail run"):
        call(folder / "api", "status")


def test_agent_that_says_nothing_is_given_up(folder):
    """A deadline of the asker's choice."""

    async def silent(reader, writer):
        await reader.read()

    async def play():
        server = await asyncio.start_unix_server(silent, folder / "api")
        try:
            with pytest.raises(ApiError, match="does not answer"):
                await asyncio.to_thread(call, folder / "api", "status", 0.2)
        finally:
            server.close()

    asyncio.run(play())
