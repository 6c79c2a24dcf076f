"""The local API: one JSON object a line over a Unix socket, answered by one JSON object a line.

Request {"op": str, …arguments}; answer {"ok": true, …} or {"ok": false, "error": str}. The socket is 0660: who may
open it may ask. Everything that looks at the agent's files asks here, because the agent holds their only connection.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

MAX_REQUEST = 131_072  # a message of the wire as base64, and the words around it
ANSWER_LIMIT = 64 * 1024 * 1024
Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class ApiError(Exception):
    """The agent cannot be asked, or said no; one line."""


class BadRequestError(ValueError):
    """A handler's word for arguments that make no sense; the message goes back to who asked."""


class ApiServer:
    """Serves `handlers` ({op: async function of the request}) at a socket path."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listen. OSError where the path cannot be used; ApiError where another agent listens there."""
        if self._path.exists():
            if not self._path.is_socket():
                raise ApiError(f"{self._path}: is there and is no socket; give another path as api in agent.toml")
            if await asyncio.to_thread(_is_answered, self._path):
                raise ApiError(f"{self._path}: another agent is running here; stop it first")
            self._path.unlink(missing_ok=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_REQUEST)
        os.chmod(self._path, 0o660)
        self._inode = self._path.stat().st_ino

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:  # else it is another's by now
                    self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line), ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line over the limit
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise BadRequestError("a request is one JSON object")
            if request.get("op") == "ping":
                return {"ok": True}
            handler = self._handlers.get(str(request.get("op")))
            if handler is None:
                raise BadRequestError(f"unknown op; known are {', '.join(sorted(self._handlers))}")
            return {"ok": True, **await handler(request)}
        except (ValueError, TypeError) as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def call(path: Path, op: str, timeout_s: float = 10.0, **arguments: object) -> dict[str, Any]:
    """Ask the agent at a socket. ApiError where it cannot be reached or says no."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            answer = json.loads(_read_line(connection))
    except (FileNotFoundError, ConnectionRefusedError):
        raise ApiError(f"no agent answers at {path}; start it with: vantail run") from None
    except PermissionError:
        raise ApiError(f"{path}: no permission; run as the agent's user or join its group") from None
    except (OSError, ValueError) as error:
        raise ApiError(f"the agent at {path} does not answer ({error})") from None
    if not answer.get("ok"):
        raise ApiError(str(answer.get("error", "the agent gave no reason")))
    return dict(answer)


def _is_answered(path: Path) -> bool:
    try:
        call(path, "ping", timeout_s=2.0)
    except ApiError:
        return False
    return True


def _read_line(connection: socket.socket) -> bytes:
    chunks = []
    size = 0
    while chunk := connection.recv(65_536):
        chunks.append(chunk)
        size += len(chunk)
        if chunk.endswith(b"\n"):
            return b"".join(chunks)
        if size > ANSWER_LIMIT:
            raise ValueError("its answer is too long")
    raise ConnectionError("it closed the connection")
