"""What the tests of the simulated hardware share: libosdp's own control panel on a port, and waiting."""

import asyncio
from collections.abc import Callable

import osdp
import serial

DEADLINE_S = 15
LOOK_S = 0.004


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as `condition()` is true; TimeoutError after DEADLINE_S."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(LOOK_S)


class _Port(osdp.Channel):
    def __init__(self, path: str, baud: int) -> None:
        self.serial = serial.Serial(path, baud, timeout=0)

    def read(self, max_bytes: int) -> bytes:
        return self.serial.read(max_bytes)

    def write(self, buf: bytes) -> int:
        return self.serial.write(buf)

    def flush(self) -> None:
        self.serial.reset_input_buffer()


class Panel:
    """libosdp's control panel for `readers` [(address, key)] on the port `path`; `events` [(reader, dict)]."""

    def __init__(self, path: str, readers: list[tuple[int, bytes]], baud: int = 115200) -> None:
        self.port = _Port(path, baud)
        flags = [osdp.LibFlag.EnforceSecure]
        infos = [osdp.PDInfo(address, self.port, scbk=key, flags=flags) for address, key in readers]
        self.events: list[tuple[int, dict]] = []
        self._panel = osdp.ControlPanel(
            infos,
            log_level=osdp.LogLevel.Emergency,
            event_handler=lambda reader, event: self.events.append((reader, event)) or 0,
        )
        self.looks = 0
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            self._panel.ctx.refresh()
            self.looks += 1
            await asyncio.sleep(LOOK_S)

    def is_secure(self, reader: int = 0) -> bool:
        return bool(self._panel.ctx.sc_status() >> reader & 1)

    def submit(self, command: dict, reader: int = 0) -> None:
        assert self._panel.ctx.submit_command(reader, command)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.port.serial.close()
