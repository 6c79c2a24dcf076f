"""A PostgreSQL of our own on a free loopback port, in a folder of its own, ended with whoever started it."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEADLINE_S = 60
USER, NAME = "vantail", "vantail"
SERVERS = ("postgres", "nobody")  # who may run it where we are root: it refuses root

# Ends the server when this process's end of the pipe closes, however that happened. SIGQUIT: at once.
_KEEPER = """
import os, signal, subprocess, sys
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
os.read(0, 1)
child.send_signal(signal.SIGQUIT)
child.wait()
"""


def programs() -> Path | None:
    """The folder with initdb and postgres; None where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    beside = shutil.which("initdb")
    return found[-1].parent if found else Path(beside).parent if beside else None


class Postgres:
    """`with Postgres() as server:` `server.url(name)` until the end, except between `kill` and `start`. All settings
    are PostgreSQL's own, so every commit is flushed."""

    def __init__(self) -> None:
        found = programs()
        if found is None:
            raise FileNotFoundError("PostgreSQL is not installed: apt install postgresql")
        self._programs = found
        self._folder = Path(tempfile.mkdtemp(prefix="vantail-postgres-"))
        self._password = secrets.token_hex(12)
        self.port, self.pid = _free_port(), 0
        self._keeper: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Postgres":
        (self._folder / "password").write_text(self._password)
        if os.geteuid() == 0:
            user = next(each for each in map(_user, SERVERS) if each)
            for path in (self._folder, self._folder / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        init = [self._programs / "initdb", "-D", self._folder / "data", "-U", USER, "--encoding=UTF8", "--locale=C",
                "--auth=scram-sha-256", f"--pwfile={self._folder / 'password'}"]  # fmt: skip
        subprocess.run(self._as_server(init), check=True, capture_output=True, cwd=self._folder)
        self.start()
        self.run("CREATE DATABASE vantail")
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def password(self) -> str:
        return self._password

    def url(self, name: str = NAME) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        server = [self._programs / "postgres", "-D", self._folder / "data", "-p", str(self.port),
                  "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}"]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-c", _KEEPER, *self._as_server(server)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                cwd=self._folder,
            )  # fmt: skip
        assert self._keeper.stdout is not None
        self.pid = int(self._keeper.stdout.readline())
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run("SELECT 1", "postgres")
                return
            time.sleep(0.05)
        raise TimeoutError(f"PostgreSQL does not answer:\n{(self._folder / 'log').read_text()}")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._keeper and self._keeper.stdin and self._keeper.stdout:
            self._keeper.stdin.close()
            self._keeper.wait(DEADLINE_S)
            self._keeper.stdout.close()
            self._keeper = None

    def pause(self) -> None:
        """Answer nobody, until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def run(self, statement: str, name: str = "postgres") -> str:
        """What psql prints of a statement, columns apart by |."""
        command = [self._programs / "psql", "-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER]
        environment = {**os.environ, "PGPASSWORD": self._password}
        done = subprocess.run(
            [*map(str, command), "-d", name, "-c", statement],
            check=True, capture_output=True, text=True, env=environment,
        )  # fmt: skip
        return done.stdout.strip()

    def _as_server(self, command: list[object]) -> list[str]:
        """As another user than root."""
        words = [str(word) for word in command]
        if os.geteuid() != 0:
            return words
        user = next(each for each in map(_user, SERVERS) if each)
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *words]


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
