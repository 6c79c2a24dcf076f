"""The network between agents and broker, with a switch: a TCP proxy on loopback that can be cut."""

import asyncio
import socket

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NetworkCut:
    """Forwards connections to a port on loopback until it is cut."""

    def __init__(self) -> None:
        self.connections = 0
        self.dropped = 0
        self._port = 0
        self._target_port = 0
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def is_cut(self) -> bool:
        return self._server is None

    async def start(self, target_port: int) -> int:
        """Forward to `target_port` and return the port to connect to."""
        self._target_port = target_port
        self._placeholder = _bind(0)
        self._port = self._placeholder.getsockname()[1]
        await self.restore()
        return self._port

    def cut(self) -> None:
        """Drop every connection and refuse new ones. The port stays ours: bound, but not listening."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._placeholder = _bind(self._port)
        self.dropped += self._abort_all() // 2

    async def restore(self) -> None:
        """Take connections again."""
        if self._placeholder is not None:
            listener, self._placeholder = self._placeholder, None
            self._server = await asyncio.start_server(self._forward, sock=listener)

    async def stop(self) -> None:
        """End for good."""
        self.cut()
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def _abort_all(self) -> int:
        ends = list(self._open)
        for end in ends:
            end.transport.abort()
        return len(ends)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        if self.is_cut:  # while we connected
            writer.transport.abort()
            far_writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        await self._carry((reader, writer), (far_reader, far_writer))
        self._open -= {writer, far_writer}

    async def _carry(self, near: Streams, far: Streams) -> None:
        """Both ways, until both are over."""
        await asyncio.gather(self._pump(near[0], far[1]), self._pump(far[0], near[1]))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
