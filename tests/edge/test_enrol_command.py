"""`vantail enrol` against `vantail-cloud serve` and mosquitto, each a process: from nothing to a controller on line."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from edge_controller import EXAMPLE, Made, ask, running, until, vantail
from mosquitto_process import Mosquitto, free_port

from cloud_stub.enrolment import authority, ca_folder
from edge.cli import main
from edge.commands import enrol as command
from edge.uplink import cloud_line, enrolling

CLOUD = [sys.executable, "-m", "cloud_stub.cli", "--data"]

# `vantail-cloud` again and again without its start: a line of JSON is its arguments, or a text to execute.
_COMMANDS = """
import contextlib, io, json, sys
from cloud_stub import cli
for line in sys.stdin:
    asked, said, code = json.loads(line), io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        if isinstance(asked, str):
            exec(asked, {})
        else:
            code = cli.main(asked)
    print(json.dumps([code, said.getvalue()]), flush=True)
"""


class Cloud:
    """A data folder with the example, a broker, and the cloud serving."""

    def __init__(self, folder: Path) -> None:
        self.data, self.files, self.port = folder / "data", folder / "mosquitto", free_port()
        (folder / "state").mkdir()
        self._commands = subprocess.Popen(
            [sys.executable, "-c", _COMMANDS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.run("import", EXAMPLE)
        self.run("broker-config", self.files, "--host", "localhost", "--port", self.port, "--state", folder / "state")
        self.ca = ca_folder.open_authority(self.data, datetime.now(UTC))
        self.fingerprint = authority.fingerprint(self.ca.certificate)
        self.pages = self.enrols = ""

    def run(self, *arguments) -> str:
        return self._ask(["--data", str(self.data), *map(str, arguments)])

    def execute(self, text) -> None:
        self._ask(text)

    def _ask(self, asked) -> str:
        self._commands.stdin.write(json.dumps(asked) + "\n")
        self._commands.stdin.flush()
        code, said = json.loads(self._commands.stdout.readline())
        assert code == 0, said
        return said

    def close(self) -> None:
        self._commands.stdin.close()
        self._commands.wait(timeout=30)
        self._commands.stdout.close()

    def token(self, controller, *options) -> str:
        said = json.loads(self.run("enrol-token", controller, "--json", *options))
        assert said["broker"] == self.broker
        return said["token"]

    @property
    def broker(self) -> str:
        return f"mqtts://localhost:{self.port}"

    def controller(self, slug) -> dict:
        with urllib.request.urlopen(self.pages + "api/summary", timeout=20) as answer:
            return next(each for each in json.load(answer)["controllers"] if each["controller"] == slug)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    made = Cloud(tmp_path_factory.mktemp("cloud"))
    with Mosquitto(made.files, made.port):
        process = subprocess.Popen(
            [*CLOUD, str(made.data), "serve", "--broker", made.broker, "--port", "0", "--enrol-port", "0",
             "--until-stdin-closes"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            made.pages = process.stdout.readline().strip()
            made.enrols = process.stdout.readline().strip().replace("127.0.0.1", "localhost")
            yield made
        finally:
            process.stdin.close()
            try:
                assert process.wait(timeout=30) == 0
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
                made.close()


@pytest.fixture
def box(folder) -> SimpleNamespace:
    """Hall B's controller, out of its package: nothing but its configuration."""
    return bare(folder, "hall-b")


def bare(folder, controller) -> SimpleNamespace:
    made = Made(folder, controller, {})
    made.config.write_text(f'controller = "{controller}"\napi = "api"\n')
    return SimpleNamespace(made=made, config=made.config, keys=made.keys, tls=made.keys / "tls")


def tell(capsys, box, *arguments):
    """(exit code, stdout, the one line on stderr or "") of `vantail enrol`, in this process."""
    capsys.readouterr()
    code = main(["enrol", "--config", str(box.config), *map(str, arguments)])
    out, err = capsys.readouterr()
    assert err.count("\n") == (0 if code == 0 else 1), err
    return code, out, err


def asked(cloud, token) -> tuple:
    return ("--cloud", cloud.enrols, "--token", token, "--ca-fingerprint", cloud.fingerprint)


def files_of(box) -> dict:
    return {path: path.read_bytes() for path in box.keys.rglob("*") if path.is_file()} if box.keys.exists() else {}


def test_from_nothing_to_a_controller_on_line(cloud, folder):
    """enrol makes the keys and prints what agent.toml needs; only the step that binds on site, here a renamed file,
    lets the manager be obeyed; then the agent is on line over mutual TLS and has its policy."""
    box = bare(folder, "hall-a")
    token = cloud.token("hall-a")
    done = vantail("enrol", "--config", box.config, *asked(cloud, token))
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing of it is obeyed until it is bound on site" in done.stdout
    assert not (box.keys / "manager.toml").exists()
    assert vantail("run", "--config", box.config).returncode == os.EX_NOINPUT  # enrolled is not bound
    private = [path for path in files_of(box) if path.name != "device.pub"]
    assert {path.name for path in private} == {
        "device.key", "pending-manager.toml", "ca.pem", "controller.pem", "controller.key", "cloud.toml",
    }  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    for path in (box.keys / "device.key", box.tls / "controller.key", box.keys / "pending-manager.toml"):
        assert not [line for line in path.read_text().splitlines() if len(line) > 40 and line in done.stdout]
    (box.keys / "pending-manager.toml").rename(box.keys / "manager.toml")
    box.config.write_text(box.config.read_text() + "[uplink]\n" + done.stdout.partition("[uplink]\n")[2])
    cloud.run("publish", "--controller", "hall-a")

    async def story():
        async with running(box.made):
            await until(lambda: cloud.controller("hall-a")["up_to_date"], "the policy")
            return await ask(box.made, "status")

    status = asyncio.run(story())
    assert status["policy"]["revision"] == 1
    assert cloud.controller("hall-a")["last_contact"]


def test_a_second_time_changes_no_key(cloud, box, capsys):
    """The keys stay; the manager that is obeyed already is not pending; agent.toml that says so already is told so."""
    code, out, _ = tell(capsys, box, *asked(cloud, cloud.token("hall-b")), "--json")
    said = json.loads(out)
    assert (code, said["pending"], said["broker"]) == (0, True, cloud.broker)
    before = files_of(box)
    (box.keys / "pending-manager.toml").rename(box.keys / "manager.toml")
    lines = [f'{name} = "{said[name]}"' for name in ("broker", "ca", "certificate", "key")]
    box.config.write_text(box.config.read_text() + "[uplink]\n" + "\n".join(lines) + "\n")
    code, out, _ = tell(capsys, box, *asked(cloud, cloud.token("hall-b")))
    assert code == 0
    assert "obeys that manager already" in out
    assert "has the broker and these files already" in out
    assert not (box.keys / "pending-manager.toml").exists()
    after = files_of(box)
    for name in ("device.key", "tls/controller.key", "tls/ca.pem"):
        assert after[box.keys / name] == before[box.keys / name]


def test_what_goes_wrong_is_a_line_and_changes_nothing(cloud, box, capsys, monkeypatch):
    """Wrong token, other controller's token, used token, no authority that is known, another one, nobody there: each
    with its exit code, and no certificate or manager on the disk."""
    monkeypatch.setattr(cloud_line, "TIMEOUT_S", 0.5)  # a page's port waits for ever for the end of a request
    other = bare(_beside(box), "hall-b")
    used = cloud.token("hall-b", "--replace")
    assert tell(capsys, other, *asked(cloud, used))[0] == 0
    gone = f"https://localhost:{free_port()}"
    good = asked(cloud, "x")
    for arguments, code, says in (
        (good, os.EX_NOPERM, "not known here"),
        (asked(cloud, used), os.EX_NOPERM, "another device"),
        (asked(cloud, cloud.token("hall-a", "--replace")), os.EX_NOPERM, "check 'controller' in agent.toml"),
        (good[:4], os.EX_PROTOCOL, "--ca-fingerprint"),
        ((*good[:5], "0" * 64), os.EX_PROTOCOL, "do not go on"),
        (("--cloud", gone, *good[2:]), os.EX_UNAVAILABLE, "does not answer"),
        (("--cloud", cloud.pages.replace("http:", "https:"), *good[2:]), os.EX_UNAVAILABLE, "does not answer"),
        (("--cloud", cloud.pages, *good[2:]), os.EX_USAGE, "https://HOST:PORT"),
        ((*good[:5], "12"), os.EX_USAGE, "64 digits"),
        (good[:2], os.EX_USAGE, "--token"),
        (("--renew", *good), os.EX_USAGE, "leave out"),
        ((*good, "--if-due"), os.EX_USAGE, "--renew"),
        (("--renew",), os.EX_NOINPUT, "enrol first"),
    ):
        found, out, err = tell(capsys, box, *arguments)
        assert (found, out) == (code, ""), err
        assert says in err
        assert "PRIVATE" not in err
        assert {path.name for path in files_of(box)} <= {"device.key", "device.pub", "controller.key"}, err


def _beside(box) -> Path:
    place = box.made.folder / "other"
    place.mkdir()
    return place


def test_where_nothing_can_be_written_is_a_line(cloud, box, capsys):
    """A file where the folder should be, a key that others may read, a key that is none: 73, 77 and 65."""
    box.keys.write_text("a file")
    code, _, err = tell(capsys, box, *asked(cloud, "x"))
    assert (code, "keys" in err) == (os.EX_CANTCREAT, True)
    box.keys.unlink()
    assert tell(capsys, box, *asked(cloud, "x"))[0] == os.EX_NOPERM
    (box.keys / "device.key").chmod(0o644)
    code, _, err = tell(capsys, box, *asked(cloud, "x"))
    assert (code, "chmod 600" in err) == (os.EX_NOPERM, True)
    (box.keys / "device.key").chmod(0o600)
    (box.tls / "controller.key").write_text("no key")
    code, _, err = tell(capsys, box, *asked(cloud, "x"))
    assert (code, "controller.key" in err) == (os.EX_DATAERR, True)


def test_a_folder_of_another_user_is_left_alone(box, capsys, monkeypatch):
    """root's files in the agent's folder would lock the agent out: told to run it as the owner."""
    box.keys.mkdir()
    monkeypatch.setattr(command.os, "geteuid", lambda: box.keys.stat().st_uid + 1)
    code, _, err = tell(capsys, box, "--cloud", "https://x", "--token", "x")
    assert (code, "sudo -u" in err) == (os.EX_NOPERM, True)
    assert files_of(box) == {}


def age(cloud, box, days_left) -> x509.Certificate:
    """Make the box's certificate one that has this many days left, as the cloud knows it too."""
    path = box.tls / "controller.pem"
    key = enrolling._load_key(box.tls / "controller.key").public_key()
    name = enrolling._common_name(x509.load_pem_x509_certificate(path.read_bytes()))
    made_at = datetime.now(UTC) - timedelta(days=authority.DEVICE_DAYS - days_left)
    old = authority.sign_device(cloud.ca, key, name, made_at)
    found = {"text": authority.certificate_text(old), "fingerprint": authority.fingerprint(old)}
    found |= {"serial": f"{old.serial_number:x}"}
    found |= {"issued_at": made_at.isoformat(), "expires_at": old.not_valid_after_utc.isoformat()}
    cloud.execute(
        "from cloud_stub.enrolment.models import Certificate\n"
        f"assert Certificate.objects.filter(text={path.read_text()!r}).update(**{found!r}) == 1\n"
    )
    path.write_text(authority.certificate_text(old))
    return old


def test_renewal_by_the_command(cloud, folder, capsys, monkeypatch):
    """Not while most of the time is left; when due, and when expired long ago; not after a revocation. While the clock
    is not trusted the cloud alone knows what is due: it is asked, and sends the same back."""
    monkeypatch.setattr(command, "ntp_synchronised", lambda: True)
    box = bare(folder, "parking")
    assert tell(capsys, box, *asked(cloud, cloud.token("parking", "--replace")))[0] == 0
    first = (box.tls / "controller.pem").read_bytes()
    code, out, _ = tell(capsys, box, "--renew", "--if-due")
    assert (code, "not due yet" in out) == (0, True)
    monkeypatch.setattr(command, "ntp_synchronised", lambda: False)
    code, out, _ = tell(capsys, box, "--renew", "--if-due", "--json")
    assert (code, json.loads(out)["controller"]) == (0, "parking")
    monkeypatch.setattr(command, "ntp_synchronised", lambda: True)
    assert (box.tls / "controller.pem").read_bytes() == first
    for days_left in (100, -400):
        old = age(cloud, box, days_left)
        code, out, _ = tell(capsys, box, "--renew", "--if-due")
        assert (code, "the agent shows it when it next connects" in out) == (0, True)
        new = x509.load_pem_x509_certificate((box.tls / "controller.pem").read_bytes())
        assert new.serial_number != old.serial_number
        assert new.public_key() == old.public_key()
        assert new.not_valid_after_utc > datetime.now(UTC) + timedelta(days=360)
    assert "certificates revoked" in cloud.run("revoke", "parking")
    before = files_of(box)
    code, _, err = tell(capsys, box, "--renew")
    assert (code, "was revoked" in err) == (os.EX_NOPERM, True)
    assert files_of(box) == before
