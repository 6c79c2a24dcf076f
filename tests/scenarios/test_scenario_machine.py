"""M4 of the requirements: no port beyond loopback, no default secret, no shell, parameters bound in SQL."""

import ast
import os
import re
import socket

import pytest
import scenario_residence
from scenario_demo import Playing
from scenario_processes import ROOT, descendants, is_loopback, listening, short_folder

SOURCES = sorted(path for name in ("edge", "cloud_stub", "firmware_sim") for path in (ROOT / name).rglob("*.py"))
SECRETS = ("cloud/manager.key", "cloud/secret.key", "*/keys/device.key", "*/keys/manager.toml", "*/keys/osdp.toml")
_LONG_HEX = re.compile(r"[0-9a-f]{32,}")
_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|PRAGMA|REPLACE)\b", re.IGNORECASE)
_SHELLS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}
_SHELLS |= {("asyncio", "create_subprocess_shell"), ("commands", "getoutput")}


# --- ports ------------------------------------------------------------------------------------------------------


def test_nothing_listens_beyond_loopback(playing):
    """Of the simulator and all its children, as the kernel tells it."""
    pids = {os.getpid()} | descendants(os.getpid())
    processes = {playing.demo.broker.pid, playing.demo.cloud.pid, *(one.pid for one in playing.demo.agents.values())}
    assert processes <= pids
    found = {pid: listening(pid) for pid in pids}
    for pid in (playing.demo.broker.pid, playing.demo.cloud.pid):
        assert found[pid], "broker and cloud do listen, or this test sees nothing"
    assert [found[one.pid] for one in playing.demo.agents.values()] == [[], []]  # an agent has no port at all
    assert [(pid, place) for pid, places in found.items() for place in places if not is_loopback(place[0])] == []


def test_a_port_beyond_loopback_would_be_seen():
    """Negative control: a socket on every address is found, and is not taken for loopback."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with socket.socket(family) as open_port:
            open_port.bind((address, 0))
            open_port.listen()
            port = open_port.getsockname()[1]
            [place] = [place for place in listening(os.getpid()) if place[1] == port]
            assert not is_loopback(place[0])


# --- secrets ----------------------------------------------------------------------------------------------------


def secrets_of(folder):
    """{file: the long hexadecimal words in it that are secret}, for each file that must hold some."""
    found = {}
    for pattern in SECRETS:
        paths = sorted(folder.glob(pattern))
        assert paths, f"no {pattern}"
        for path in paths:
            lines = [line for line in path.read_text().splitlines() if "site_uid" not in line]
            found[path.relative_to(folder).as_posix()] = _LONG_HEX.findall("\n".join(lines).lower())
    return found


@pytest.fixture(scope="module")
def other_folder():
    """The folder of a second demo of the same residence."""
    with short_folder() as folder:
        building, day = scenario_residence.write(folder / "site")
        with Playing(building, day, folder) as second:
            yield second.folder


def test_two_set_ups_share_no_secret(playing, other_folder):
    """Device keys, reader keys, code keys and the manager's key are made anew each time."""
    first, second = secrets_of(playing.folder), secrets_of(other_folder)
    assert set(first) == set(second)
    words = [word for found in first.values() for word in found]
    assert len(words) >= 10
    assert {word for found in second.values() for word in found}.isdisjoint(words)


def test_no_two_devices_or_readers_share_a_secret(playing):
    """Within one residence too, each has its own; the manager's two public keys are all that controllers share."""
    found = secrets_of(playing.folder)
    words = [word for name, all_words in found.items() if not name.endswith("manager.toml") for word in all_words]
    assert len(words) == len(set(words))
    north, south = (set(found[f"{name}/keys/manager.toml"]) for name in ("north", "south"))
    assert len(north & south) == 2


def test_secret_files_are_their_owners_alone(playing):
    """Every file with a secret is 0600, and the keys folders are 0700."""
    for name in secrets_of(playing.folder):
        assert (playing.folder / name).stat().st_mode & 0o777 == 0o600, name
    for keys in playing.folder.glob("*/keys"):
        assert keys.stat().st_mode & 0o777 == 0o700


def test_no_secret_is_written_elsewhere(playing):
    """No log and no configuration repeats a device's, a reader's or the manager's private word."""
    found = secrets_of(playing.folder)
    words = {word for name, all_words in found.items() if not name.endswith("manager.toml") for word in all_words}
    places = [*(playing.folder / "log").iterdir(), *playing.folder.glob("*/agent.toml")]
    assert len(places) >= 6
    for path in places:
        content = path.read_text(errors="replace").lower()
        assert not [word for word in words if word in content], path


# --- sources ----------------------------------------------------------------------------------------------------


def shells_in(tree):
    """Lines at which a shell would run what it is given."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            of = node.func
            if isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name) and (of.value.id, of.attr) in _SHELLS:
                found.append(node.lineno)
            for keyword in node.keywords:
                if keyword.arg == "shell" and not (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                ):
                    found.append(node.lineno)
    return found


def statements_in(tree):
    """Lines of SQL that is put together from values: an f-string, %, + or format in an execute's first argument, or
    that begins as a statement anywhere. Constants of our own (CAPITALS) may be put together."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ("execute", "executemany", "executescript", "raw"):
                found += [node.lineno] if _puts_together(node.args[0]) else []
            elif node.func.attr == "format" and _begins_as_sql(node.func.value):
                found.append(node.lineno)
        elif isinstance(node, ast.JoinedStr | ast.BinOp) and _begins_as_sql(node) and _puts_together(node):
            found.append(node.lineno)
    return sorted(set(found))


def _begins_as_sql(node):
    if isinstance(node, ast.JoinedStr):
        node = node.values[0] if node.values else node
    if isinstance(node, ast.BinOp):
        node = node.left
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_SQL.match(node.value))


def _puts_together(node):
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) and not _is_constant(part.value) for part in node.values)
    return isinstance(node, ast.Call) or (isinstance(node, ast.BinOp) and not _is_constant(node))


def _is_constant(node):
    if isinstance(node, ast.BinOp):
        return _is_constant(node.left) and _is_constant(node.right)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def test_no_shell_runs_anything():
    """No source of ours hands a line to a shell."""
    found = {path.relative_to(ROOT).as_posix(): shells_in(ast.parse(path.read_text("utf-8"))) for path in SOURCES}
    assert len(found) > 80
    assert {name: lines for name, lines in found.items() if lines} == {}


# A PRAGMA takes no bound parameter: what stands in these is our own. A list of bound parameters needs as many question
# marks. Names of tables and columns cannot be bound; these are constants, and every value is.
OF_OUR_OWN = {
    (
        "cloud_stub/passages/recording.py",
        "f\"INSERT INTO {Event._meta.db_table} ({', '.join(Row._fields)}) \"  "
        "# noqa: S608 (names of ours, values bound)",
    ),
    (
        "edge/storage/salvaging.py",
        '_write(target, f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608 (constants)',
    ),
    (
        "edge/storage/salvaging.py",
        '_write(target, f"UPDATE head SET {changes}, last_seq = ?", (*head, seqs[-1]))  # noqa: S608 (constants)',
    ),
    (
        "edge/storage/salvaging.py",
        'found: list[Values] = source.execute(f"SELECT * FROM {table} {where}").fetchall()  # noqa: S608 (constants)',
    ),
    (
        "edge/storage/vacuuming.py",
        'connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()  # a step of it moves one page',
    ),
    (
        "edge/storage/vacuuming.py",
        'free, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] '
        'for name in ("freelist_count", "page_count"))',
    ),
    ("edge/storage/migrations.py", 'connection.execute(f"PRAGMA user_version = {len(schema.steps)}")'),
    (
        "edge/storage/policy_store.py",
        'for (packed,) in connection.execute(_FIND.format(",".join("?" * len(some))), some):',
    ),
}


def test_parameters_are_bound_in_sql():
    """No statement is put together from values."""
    found = set()
    for path in SOURCES:
        lines = path.read_text("utf-8").splitlines()
        for number in statements_in(ast.parse("\n".join(lines))):
            found.add((path.relative_to(ROOT).as_posix(), lines[number - 1].strip()))
    assert found == OF_OUR_OWN


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (shells_in, "import os\nos.system('ls ' + name)\n"),
        (shells_in, "import subprocess\nsubprocess.run(line, shell=True)\n"),
        (shells_in, "import asyncio\nasyncio.create_subprocess_shell(line)\n"),
        (statements_in, "db.execute(f'SELECT * FROM event WHERE seq = {seq}')\n"),
        (statements_in, "db.execute('SELECT * FROM event WHERE seq = %s' % seq)\n"),
        (statements_in, "db.executemany('DELETE FROM event WHERE seq = {}'.format(seq), [])\n"),
        (statements_in, "text = f'DELETE FROM event WHERE door = {door}'\n"),
        (statements_in, "text = 'UPDATE head SET acked = %d' % acked\n"),
        (statements_in, "text = 'SELECT * FROM event WHERE door = ' + door\n"),
    ],
)
def test_each_of_these_checks_sees_what_it_is_for(check, source):
    """Negative controls: a line that breaks the rule is found."""
    assert check(ast.parse(source))
