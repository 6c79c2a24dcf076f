"""`vantail-cloud` as a program: fixed output, one-line errors, exit codes of sysexits, private files."""

import json
import os
import shutil
import stat
import subprocess
import sys

import pytest
from cloud_device import bind, event, ingest, make_keys
from cloud_example import EVENT_KEYS, EXAMPLE, NOW

from cloud_stub.residences.models import Controller, PolicyRevision


def _program(*arguments, **environment):
    """Run it as its own process."""
    return subprocess.run(
        [sys.executable, "-m", "cloud_stub.cli", *map(str, arguments)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_first_start_makes_private_files_and_imports(tmp_path):
    """Keys 0600, folder 0700, no default secret: two folders have different ones."""
    for name in ("one", "two"):
        done = _program("--data", tmp_path / name, "import", EXAMPLE)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "clos-des-dunes: 3 controllers, 6 flats, 10 passes\n"
    for path in (tmp_path / "one").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    for name in ("manager.key", "secret.key"):
        secrets = {(tmp_path / folder / name).read_text() for folder in ("one", "two")}
        assert len(secrets) == 2


def test_the_data_folder_can_follow_the_command_or_come_from_the_environment(tmp_path):
    """And without one the program says how to give it."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert _program("status", "--data", tmp_path / "a", "--json").stdout.startswith('{"controllers"')
    assert _program("status", VANTAIL_CLOUD_DATA=str(tmp_path / "b")).returncode == 0
    without = _program("status", VANTAIL_CLOUD_DATA="")
    assert without.returncode == os.EX_USAGE
    assert "--data DIR" in without.stderr


def test_a_secret_that_others_can_read_stops_the_start(tmp_path):
    """With the command that mends it."""
    assert _program("--data", tmp_path, "status").returncode == 0
    (tmp_path / "secret.key").chmod(0o644)
    done = _program("--data", tmp_path, "status")
    assert done.returncode == os.EX_CONFIG
    assert "chmod 600" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_database_that_is_none_is_one_line(tmp_path):
    """A file of something else under the database's name is not overwritten."""
    (tmp_path / "cloud.sqlite3").write_bytes(b"not a database, by far " * 100)
    done = _program("--data", tmp_path, "status")
    assert done.returncode == os.EX_CANTCREAT
    assert "cloud.sqlite3" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "cloud.sqlite3").read_bytes().startswith(b"not a database")


def test_help_has_examples(run):
    """Somebody who knows nothing finds the order of things."""
    done = _program("--help")
    assert done.returncode == 0
    for command in ("import", "provision", "publish", "serve", "events", "status"):
        assert f"vantail-cloud --data cloud {command}" in done.stdout


def test_a_broken_file_is_exit_65_and_nothing_is_imported(run, tmp_path):
    """Every problem on its line with file, line and column, on stderr; then what to do."""
    shutil.copytree(EXAMPLE, tmp_path / "r")
    path = tmp_path / "r" / "passes.csv"
    path.write_text(path.read_text("utf-8").replace("1111100007", "4,64E+09"), "utf-8")
    code, out, err = run("import", tmp_path / "r")
    assert (code, out) == (os.EX_DATAERR, "")
    assert any(line.startswith("passes.csv:2:1: ") for line in err.splitlines())
    assert "nothing imported: 1 errors" in err.splitlines()[-1]
    assert not Controller.objects.exists()
    code, out, err = run("import", tmp_path / "r", "--partial", "--json")
    done = json.loads(out)
    assert (code, done["ok"], done["passes"]) == (0, True, 9)
    problem = next(each for each in done["problems"] if each["level"] == "error")
    assert [problem[name] for name in ("file", "line", "column", "field")] == ["passes.csv", 2, 1, "number"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("import", "/nowhere"), os.EX_NOINPUT, "no such folder"),
        (("nonsense",), os.EX_USAGE, "invalid choice"),
        (("provision", "nobody", "--keys", "/nowhere"), os.EX_USAGE, "known: none"),
        (("publish",), os.EX_USAGE, "vantail-cloud provision"),
        (("events", "--since", "soon"), os.EX_USAGE, "2026-11-23"),
        (("serve", "--broker", "http://x"), os.EX_USAGE, "mqtt://HOST:PORT"),
        (("serve", "--broker", "mqtt://127.0.0.1:1", "--port", "70000"), os.EX_USAGE, "65535"),
    ],
)
def test_errors_are_one_line_with_what_to_do(run, arguments, code, words):
    """The exit code says which kind."""
    got, out, err = run(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith("vantail-cloud: ")
    assert err.count("\n") == 1
    assert words in err


def test_provisioning_writes_what_the_device_trusts_and_says_it_again(run, site, tmp_path):
    """manager.toml is 0600; the same device gets the same file; another device or a used key is refused."""
    keys = make_keys(tmp_path / "hall-a")
    assert run("provision", "hall-a", "--keys", keys)[0] == 0
    first = (keys / "manager.toml").read_text()
    assert stat.S_IMODE((keys / "manager.toml").stat().st_mode) == 0o600
    assert run("provision", "clos-des-dunes/hall-a", "--keys", keys)[0] == 0
    assert (keys / "manager.toml").read_text() == first
    assert run("provision", "hall-b", "--keys", keys)[0] == os.EX_CONFIG
    assert run("provision", "hall-a", "--keys", make_keys(tmp_path / "other"))[0] == os.EX_CONFIG
    assert run("provision", "hall-a", "--keys", tmp_path / "other", "--replace")[0] == 0
    assert "epoch = 2" in (tmp_path / "other" / "manager.toml").read_text()


def test_provisioning_needs_a_device_key(run, site, tmp_path):
    """Missing is 66, not a key is 65; both name the file."""
    code, _, err = run("provision", "hall-a", "--keys", tmp_path)
    assert (code, "device.pub" in err) == (os.EX_NOINPUT, True)
    (tmp_path / "device.pub").write_text("0123\n")
    (tmp_path / "device.pub").chmod(0o644)
    code, _, err = run("provision", "hall-a", "--keys", tmp_path)
    assert (code, "device.pub" in err) == (os.EX_DATAERR, True)


def test_publishing_before_provisioning_says_so(run, site):
    """A policy needs the controller's code key."""
    code, _, err = run("publish", "--controller", "hall-b")
    assert code == os.EX_CONFIG
    assert "vantail-cloud provision hall-b" in err


def test_publishing_again_keeps_the_revision_until_rows_change(run, site, tmp_path):
    """Unchanged rows, unchanged revision; old revisions are dropped after a while."""
    bind(Controller.objects.get(slug="hall-a"), tmp_path / "hall-a")
    assert json.loads(run("publish", "--json")[1])["new"] is True
    assert json.loads(run("publish", "--json")[1])["new"] is False
    for n in range(10):
        site.manager = n + 1
        site.save()
        assert json.loads(run("publish", "--controller", "hall-a", "--json")[1])["revision"] == n + 2
    assert PolicyRevision.objects.count() == 8


def test_a_policy_can_be_compiled_for_another_year(run, site, tmp_path):
    """Holidays and clock changes reach from the year before to eleven years ahead of the moment that is given."""
    bind(Controller.objects.get(slug="hall-a"), tmp_path / "hall-a")
    digests = [
        json.loads(run("publish", "--json", "--now", when)[1])["digest"] for when in ("2026-11-23", "2040-01-01")
    ]
    assert len(set(digests)) == 2
    assert json.loads(run("publish", "--json", "--now", "2040-06-01T00:00:00Z")[1])["new"] is False


def test_events_json_has_exactly_the_fixed_keys_and_types(run, device):
    """One object a line, oldest first."""
    code_event = event(2**63 + 5, medium="code", output="aux1", at_ms=1_795_590_000_123)
    phone = event(33612345670, medium="phone", trusted=False, at_ms=1_795_590_000_124)
    lost = event(82101960, "denied", "lost", at_ms=1_795_590_000_001)
    nobody = event(None, "denied", "unknown", at_ms=1_795_590_000_125, medium="code")
    ingest().handle(device.topic + "up/events", device.batch(1, [code_event, phone, lost, nobody]), NOW)
    code, out, _ = run("events", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert all(list(line) == EVENT_KEYS for line in lines)
    assert [line["credential"] for line in lines] == ["0082101960", "8000000000000005", "33612345670", ""]
    assert lines[0] == {
        "at": "2026-11-25T07:00:00.001Z", "site": "clos-des-dunes", "controller": "hall-a", "door": "hall-a",
        "reader": "hall-a-in", "medium": "badge", "credential": "0082101960", "holder": "a/002 Garfield, Sully",
        "result": "denied", "reason": "lost", "output": "", "seq": 3, "log": bytes(range(16)).hex(),
        "clock_trusted": True,
    }  # fmt: skip
    assert lines[2]["clock_trusted"] is False


def test_events_are_narrowed_by_time_door_and_text(run, device):
    """Days are the site's; a time may carry an offset; --until names a day with its end."""
    days = [event(at_ms=1_795_590_000_000 + n * 86_400_000, detail=f"day {n}") for n in range(3)]
    ingest().handle(device.topic + "up/events", device.batch(1, days), NOW)
    cases = [
        (("--since", "2026-11-26"), 2),
        (("--until", "2026-11-26"), 2),
        (("--since", "2026-11-26T08:00:00"), 2),
        (("--since", "2026-11-26T08:00:00Z"), 1),
        (("--until", "2026-11-26T08:00:00"), 1),
        (("--text", "day 2"), 1),
        (("--door", "hall-a"), 3),
        (("--door", "cellar"), 0),
    ]
    for arguments, count in cases:
        assert len(run("events", "--json", *arguments)[1].splitlines()) == count, arguments
    assert "Access by fob  Opening  a/001 Solomon  1111100007  day 0" in run("events")[1].splitlines()[0]


def test_status_shows_logs_and_refusals(run, device):
    """For people, and as one object."""
    service = ingest()
    service.handle(device.topic + "up/events", device.batch(1, [event()]), NOW)
    service.handle("v1/clos-des-dunes/hall-b/up/hello", b"", NOW)
    _, out, _ = run("status")
    assert "; revision 1, has revision 0, last contact 2026-11-23T07:00:00+00:00" in out
    assert "clos-des-dunes/hall-b: not provisioned; revision 0, last contact never" in out
    assert "1 events, complete to 1" in out
    assert "unknown-controller: 1" in out
    assert json.loads(run("status", "--json")[1])["counts"] == {"unknown-controller": 1}


def test_persons_are_taken_from_old_events_or_at_their_request(run, device):
    """`erase` takes one person, `purge` everybody of long ago; the events stay; what makes no sense is one line."""
    batch = device.batch(1, [event(), event(number=2_222, at_ms=1_700_000_000_000)])
    ingest().handle(device.topic + "up/events", batch, NOW)
    code, _, err = run("erase")
    assert (code, err) == (os.EX_USAGE, "vantail-cloud: erase whom? give --credential, --call-code or both\n")
    assert run("erase", "--credential", "12a")[0] == os.EX_USAGE
    assert run("erase", "--credential", "1111100007")[1] == "1 events name that person no more\n"
    listed = [json.loads(line) for line in run("events", "--json")[1].splitlines()]
    assert sorted(each["credential"] for each in listed) == ["", "0000002222"]
    assert run("purge", "--days", "0")[0] == os.EX_USAGE
    assert run("purge")[1] == "1 events name nobody any more\n"
    assert len(run("events", "--json")[1].splitlines()) == 2
    assert "2222" not in run("events", "--json")[1]
