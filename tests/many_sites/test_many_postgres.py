"""Everything that the cloud does works on PostgreSQL: its own tests are run there, and what is new with a server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cloud_processes import Cloud

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SUITE = ("ingest", "chain", "import", "pages", "notices", "orders", "standing")
OF_THE_FILE = (
    "tests/cloud/test_cloud_chain.py::test_purged_persons_are_gone_and_do_not_come_back"  # looks into SQLite's
)

# Two workers' connections: the first leads until its connection ends, then the second does.
LEADING = """
import os
from pathlib import Path
from cloud_stub import database, folder
os.environ["DJANGO_SETTINGS_MODULE"] = "cloud_stub.settings"
import django
django.setup()
from django.db import connection, connections
from threading import Thread
data = Path(os.environ[folder.ENVIRONMENT])
one, two = database.Leadership(data), database.Leadership(data)
def other(job):
    found = []
    def run():
        found.append(job())
        connections.close_all()
    thread = Thread(target=run)
    thread.start()
    thread.join()
    return found[0]
print(one.is_ours(), other(two.is_ours), one.is_ours())
connection.close()
print(other(two.is_ours), one.is_ours())
"""


def test_the_cloud_s_own_tests_pass_there(database):
    """The same files as in the quick run, on the other database."""
    files = [f"tests/cloud/test_cloud_{name}.py" for name in SUITE]
    command = [sys.executable, "-m", "pytest", "-q", *files, "--deselect", OF_THE_FILE, "--timeout", "300"]
    environment = {**os.environ, "VANTAIL_DATABASE": database}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_worker_with_other_keys_is_refused(database, tmp_path):
    """The database remembers whose it is; the message says what to copy."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    Cloud(tmp_path / "one", database).run("status")
    other = Cloud(tmp_path / "two", database)
    done = subprocess.run(other.command("status"), env=other.environment, capture_output=True, text=True, check=False)
    assert done.returncode == os.EX_CONFIG
    assert "copy manager.key" in done.stderr
    for name in ("manager.key", "seal.key", "secret.key"):
        (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    other.run("status")


def test_a_database_that_lets_nobody_in(database, postgres, tmp_path):
    """One line, exit 69, and neither the wrong password nor the right one in it."""
    (tmp_path / "one").mkdir()
    wrong = database.replace(postgres.password, "hush-hush")
    for url in (wrong, postgres.url("elsewhere")):
        cloud = Cloud(tmp_path / "one", url)
        done = subprocess.run(
            cloud.command("status"), env=cloud.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == os.EX_UNAVAILABLE
        assert done.stderr.count("\n") == 1
        assert "hush-hush" not in done.stderr
        assert postgres.password not in done.stderr


def test_one_worker_leads_until_its_connection_ends(database, tmp_path):
    """What is sent unasked is sent once, and by somebody."""
    (tmp_path / "one").mkdir()
    cloud = Cloud(tmp_path / "one", database)
    cloud.run("status")
    environment = {**cloud.environment, "VANTAIL_CLOUD_DATA": str(cloud.data)}
    done = subprocess.run(
        [sys.executable, "-c", LEADING], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True False True\nTrue True\n", done.stderr
