"""The line to the manager's broker after a change of manager: which it is, and the certificate for it.

agent.toml's [uplink] was written for the manager of then. A new manager's hand-over says where to enrol; once that was
done, keys/uplink.toml says which broker it is. Until then nothing goes out, and nothing ever goes out on the former
one's line; an [uplink] that somebody wrote since is used.
"""

import asyncio
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.clock import Clock
from edge.commissioning import files, journal
from edge.config import Config, Uplink
from edge.keyring import Keyring
from edge.uplink import enrolling, statements
from edge.uplink.cloud_line import EnrolError
from edge.uplink.keys import KeyFileError
from edge.uplink.mqtt import BrokerError, parse_broker
from edge.uplink.tls import TlsFiles, client_context, show_certificate
from edge.uplink.wire import WireError

UPLINK = "uplink.toml"
FIRST_RETRY_S, LONGEST_RETRY_S = 30.0, 3600.0


def uplink_of(config: Config, keys: Keyring) -> Uplink | None:
    """The line of the manager that is obeyed; None for none (yet)."""
    if keys.is_new:
        return None
    try:
        found = tomllib.loads((Path(config.keys) / UPLINK).read_text("utf-8"))
        if found.pop("epoch") == keys.manager.epoch:
            uplink = msgspec.convert(found, Uplink)
            parse_broker(uplink.broker)
            tls = TlsFiles(uplink.ca, uplink.certificate, uplink.key)
            context = client_context(tls)
            if tls.certificate:
                show_certificate(context, tls)
            return uplink
    except (OSError, ValueError, KeyError, BrokerError, msgspec.ValidationError):
        pass  # there is none, or it cannot be used: as if it were not there, so that the doors go on
    return None if _is_former(config, keys) else config.uplink


def _is_former(config: Config, keys: Keyring) -> bool:
    """Whether agent.toml's line was the former manager's: what was written down in the same steps as the manager. A
    file that cannot be read may say so."""
    try:
        return (Path(config.keys) / journal.line_name(keys.manager.epoch)).read_bytes() == words_of(config.uplink)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def words_of(uplink: Uplink | None) -> bytes:
    """An [uplink], to be compared with what it is later."""
    return repr(uplink).encode()


class LaterEnrolment:
    """note: writes a line into the log. changed: is told the line once there is one."""

    def __init__(
        self,
        config: Config,
        keys: Keyring,
        clock: Clock,
        note: Callable[[str, str], None],
        changed: Callable[[Uplink], None],
    ) -> None:
        self._folder, self._controller, self._epoch = Path(config.keys), config.controller, keys.manager.epoch
        self._clock, self._note, self._changed = clock, note, changed

    async def run(self) -> None:
        """Until it is done; at once where nothing is to be done."""
        wait_s, said = FIRST_RETRY_S, ""
        while (self._folder / journal.enrol_name(self._epoch)).exists():
            try:
                self._changed(await asyncio.to_thread(self._enrol))
                self._note("enrolled", "")
            except (EnrolError, KeyFileError, WireError, files.StepError, OSError, ValueError) as error:
                if str(error) != said:
                    said = str(error)
                    self._note("enrolment-failed", said)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, LONGEST_RETRY_S)

    def _enrol(self) -> Uplink:
        """On a thread."""
        name = journal.enrol_name(self._epoch)
        wanted = statements.decode_enrolment((self._folder / name).read_bytes())
        done = enrolling.enrol(
            self._folder,
            self._controller,
            wanted.cloud,
            wanted.token,
            wanted.ca.hex(),
            self._clock.moment().trusted,
        )
        uplink = Uplink(done.broker, *done.files)
        lines = [f"epoch = {self._epoch}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in msgspec.structs.asdict(uplink).items()]
        # What it left as pending is bound already: the answer's manager is the one that is obeyed.
        written = journal.Write(UPLINK, "\n".join(lines).encode() + b"\n")
        files.perform(self._folder, [written, journal.Remove(name), journal.Remove(journal.PENDING)])
        return uplink
