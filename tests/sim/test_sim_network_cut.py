"""The network between two ends can be cut and restored."""

import asyncio

import pytest
from sim_panel import until

from firmware_sim.network_cut import NetworkCut


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def _says_back(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.readexactly(len(data)), 10)
    writer.close()
    return answer


def test_cut_drops_and_refuses_until_restored() -> None:
    """A cut ends open connections at once and refuses new ones; restored, the same port forwards again."""

    async def play() -> None:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        cut = NetworkCut()
        port = await cut.start(server.sockets[0].getsockname()[1])
        assert await _says_back(port, b"x" * 500_000) == b"x" * 500_000

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        cut.cut()
        assert cut.is_cut
        try:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        except ConnectionResetError:
            pass
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        cut.cut()  # cutting twice is no mistake

        await cut.restore()
        await cut.restore()
        assert await _says_back(port, b"again") == b"again"
        await cut.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        server.close()

    asyncio.run(play())


def test_a_target_that_is_away_closes_the_connection() -> None:
    """With nothing at the far end a connection ends instead of hanging, and works when it is there again."""

    async def play() -> None:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        target_port = server.sockets[0].getsockname()[1]
        cut = NetworkCut()
        port = await cut.start(target_port)
        server.close()
        await server.wait_closed()
        reader, _writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        except ConnectionResetError:
            pass
        server = await asyncio.start_server(_echo, "127.0.0.1", target_port)
        assert await _says_back(port, b"back") == b"back"
        await until(lambda: cut.connections == 2)
        await cut.stop()
        server.close()

    asyncio.run(play())
