"""Which database the cloud keeps its data in: SQLite in the data folder, or PostgreSQL for many sites.

Several processes of one cloud share a PostgreSQL; what only one of them may do at a time is guarded by a lock that the
database itself holds for a connection, and that ends with it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from cloud_stub.errors import UnavailableError, UsageError

ENVIRONMENT = "VANTAIL_DATABASE"
SQLITE_FILE = "cloud.sqlite3"
KEPT_S = 60  # a page's connection to PostgreSQL is used again for so long
CONNECT_S = 10
LOCK_MS = 20_000  # as long as a writer of SQLite waits; what waits longer fails, and is sent again
_SCHEMES = ("postgresql", "postgres")
# Of libpq's parameters those that have nothing to do with whom we log in as; sslmode and its files above all.
_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs", "application_name")
# Two-part keys of PostgreSQL's advisory locks; the first one is ours ("vant"), the second says what for.
_LOCK_SPACE = 0x76616E74
MIGRATING, LEADING = 1, 2


def settings_of(url: str, data: Path) -> dict[str, Any]:
    """Django's settings of the database at `url` (postgresql://…); "": SQLite in the folder `data`. UsageError."""
    return _postgres(_split(url)) if url else _sqlite(data / SQLITE_FILE)


def place_of(url: str, data: Path) -> str:
    """What may be said of where the database is, to whoever reads a log: no user, no password."""
    if not url:
        return str(data / SQLITE_FILE)
    parts = _split(url)
    return f"postgresql://{parts.hostname or 'local socket'}:{parts.port or 5432}{parts.path}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_ours = parts.scheme in _SCHEMES and len(parts.path) > 1 and "/" not in parts.path[1:] and parts.port != 0
    except ValueError:
        is_ours = False
    if not is_ours or not all(name in (*_OPTIONS, "host") for name, _ in parse_qsl(parts.query)):
        # The URL is not repeated: there may be a password in it.
        raise UsageError(f"--database or ${ENVIRONMENT}: write postgresql://USER@HOST:PORT/NAME, or leave it out")
    return parts


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            # A transaction takes the write lock at its start: two writers queue instead of failing half-way.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # FULL: an acknowledgement lets the edge prune, so a commit must survive a power cut.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        },
    }


def _postgres(parts: SplitResult) -> dict[str, Any]:
    if find_spec("psycopg") is None:
        raise UnavailableError("psycopg is not installed; run: pip install 'vantail[cloud,postgres]'")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", "") or unquote(parts.hostname or "")  # ?host=/run/postgresql: its folder of sockets
    # synchronous_commit: an acknowledgement lets the edge prune, whatever the server's default is.
    options["options"] = f"-c synchronous_commit=on -c lock_timeout={LOCK_MS}"
    options.setdefault("application_name", "vantail-cloud")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),  # none: libpq looks at PGPASSWORD and ~/.pgpass
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": KEPT_S,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": CONNECT_S, **options},
    }


@contextmanager
def migrating() -> Iterator[None]:
    """Hold the database against another process that would bring it up to date too."""
    from django.db import connection

    if connection.vendor != "postgresql":
        yield  # the folder's own lock is enough
        return
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", (_LOCK_SPACE, MIGRATING))
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, MIGRATING))
            cursor.execute(f"SET lock_timeout = {LOCK_MS}")


def claim(keys: str) -> str:
    """Write down in a PostgreSQL whose it is, if nobody did, and return whose it is. keys: what names the manager's
    keys. A worker with other keys would sign what no controller obeys."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description('residences_site'::regclass)")
        (found,) = cursor.fetchone()
        if not found:
            cursor.execute("COMMENT ON TABLE residences_site IS %s", (keys,))
    return found or keys


class Leadership:
    """Which of several workers does what only one has to do, as sending policies unasked. It is with one connection to
    the database (or, with SQLite, with one process of this machine) until that ends, however it ends."""

    def __init__(self, data: Path) -> None:
        self._path = data / ".leader"
        self._file: int | None = None
        self._held_by: object = None  # the connection that took it

    def is_ours(self) -> bool:
        """Whether it is, or has become, this worker's. To be called on the thread that has the connection."""
        from django.db import connection

        if connection.vendor != "postgresql":
            return self._has_file()
        connection.ensure_connection()
        if self._held_by is None or self._held_by is not connection.connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK_SPACE, LEADING))
                self._held_by = connection.connection if cursor.fetchone()[0] else None
        return self._held_by is not None

    def give_up(self) -> None:
        """Let another process of this machine have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _has_file(self) -> bool:
        if self._file is None:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                flock(handle, LOCK_EX | LOCK_NB)
            except OSError:
                os.close(handle)
                return False
            self._file = handle  # kept open to the end of the process: with it goes the lock
        return True
