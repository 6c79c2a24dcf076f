"""`vantail run`: an agent as a service, from its configuration to its orderly end."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from edge import keyring
from edge.agent import Agent
from edge.clock import Clock, SystemClock
from edge.config import Config, ConfigError, load
from edge.console.api import ApiError
from edge.lines.gpio import GpioError
from edge.lines.modbus import ModbusError
from edge.reader.osdp.bus import BusError
from edge.reader.osdp.secure import SecureError
from edge.storage.errors import StorageError
from edge.succession import resume
from edge.uplink.mqtt import BrokerError, parse_broker
from edge.uplink.signing import KeyFileError

RESTART = 75  # of the agent that has another manager: systemd starts it anew, and that one takes it up
Started = Callable[[Agent], Coroutine[Any, Any, None]]


def serve(path: Path, clock: Clock | None = None, started: Started | None = None) -> int:
    """Run the agent that agent.toml at `path` describes, until SIGTERM or SIGINT. Returns the exit code: RESTART
    where another manager was bound. The simulator alone gives a `clock` of its own, and is told of the agent once it is
    built."""
    try:
        config = load(path)
        if config.uplink is not None:
            parse_broker(config.uplink.broker)  # a url that can never be one is said now
        resume(config)
        keys = keyring.load(config)
        return asyncio.run(_run(config, keys, clock or SystemClock(config.clock.rtc), started))
    except ConfigError as error:
        return _fail(str(error), os.EX_CONFIG)
    except KeyFileError as error:
        wrong = os.EX_NOPERM if error.wrong_mode else os.EX_DATAERR
        return _fail(str(error), os.EX_NOINPUT if error.missing else wrong)
    except (BusError, SecureError, BrokerError) as error:
        return _fail(f"{path}: {error}", os.EX_CONFIG)
    except (GpioError, ModbusError) as error:
        return _fail(str(error), os.EX_OSERR)
    except StorageError as error:
        return _fail(str(error), os.EX_IOERR)
    except ApiError as error:
        return _fail(str(error), os.EX_UNAVAILABLE)
    except OSError as error:
        return _fail(f"{error.filename or path}: {error.strerror}", os.EX_OSERR)
    except Exception as error:
        if os.environ.get("VANTAIL_TRACEBACK"):
            raise
        what = f"unexpected {type(error).__name__}: {error}; set VANTAIL_TRACEBACK=1 to see where"
        return _fail(what.replace("\n", " "), os.EX_SOFTWARE)


async def _run(config: Config, keys: keyring.Keyring, clock: Clock, started: Started | None) -> int:
    agent = await Agent.start(config, keys, clock)
    if started is not None:
        await started(agent)
    running = asyncio.ensure_future(agent.run())
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []

    def told_to_stop() -> None:
        if not stopping:
            stopping.append(loop.create_task(_stop(agent, running)))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop)
    _tell_systemd("READY=1")
    taken_over = loop.create_task(agent.onsite.taken_over.wait())
    taken_over.add_done_callback(lambda done: None if done.cancelled() else told_to_stop())
    try:
        await running
    except asyncio.CancelledError:
        _tell_systemd("STOPPING=1")
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    finally:
        taken_over.cancel()
    return RESTART if agent.onsite.taken_over.is_set() else os.EX_OK


async def _stop(agent: Agent, running: "asyncio.Future[None]") -> None:
    try:
        await agent.stop()
    finally:
        running.cancel()


def _tell_systemd(state: str) -> None:
    """sd_notify(3): one datagram to the socket that systemd names, if it does."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect("\0" + address[1:] if address.startswith("@") else address)
        notify.send(state.encode())


def _fail(message: str, code: int) -> int:
    print(f"vantail: {message}", file=sys.stderr)
    return code
