"""The `vantail` command: usage, `keygen`, and what it says where no agent runs."""

import os

import pytest
from edge_controller import EXAMPLE, make, vantail

from edge import __version__
from edge.cli import main
from edge.commands.events import event_line
from edge.commands.options import parse_time
from edge.failures import CommandError
from edge.uplink import signing

COMMANDS = ("run", "status", "events", "doctor", "explain", "replay", "keygen")


def one_line(done, code):
    """Exit code and the single line on stderr."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("vantail: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_help_names_every_command_with_examples():
    """On stdout, exit code 0."""
    done = vantail("--help")
    assert done.returncode == 0
    assert not [command for command in COMMANDS if command not in done.stdout]
    assert "examples:" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_help(command, capsys):
    """With its options."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"vantail {command}" in capsys.readouterr().out


def test_version_is_that_of_the_package():
    """As `pip` shows it."""
    assert vantail("--version").stdout == f"vantail {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["dance"], ["run", "--fast"], ["events", "--limit", "many"], ["keygen"]])
def test_wrong_usage_is_one_line_and_64(arguments, capsys):
    """It says where to look."""
    assert main(arguments) == os.EX_USAGE
    error = capsys.readouterr().err
    assert error.startswith("vantail: ")
    assert error.count("\n") == 1
    assert "--help" in error


@pytest.mark.parametrize("command", ["status", "events"])
def test_no_agent_is_one_line_and_69(folder, command):
    """It says how to start one."""
    made = make(folder)
    assert "start it with: vantail run" in one_line(made.run(command, "--config", str(made.config)), os.EX_UNAVAILABLE)


@pytest.mark.parametrize("command", ["run", "status", "events"])
def test_no_config_is_one_line_and_78(folder, command):
    """The path and the option."""
    said = one_line(vantail(command, "--config", folder / "none.toml"), os.EX_CONFIG)
    assert "none.toml" in said
    assert "--config" in said


@pytest.mark.parametrize(
    ("option", "value"), [("--since", "someday"), ("--until", "25 parsecs"), ("--credential", "12a"), ("--limit", "0")]
)
def test_wrong_filter_is_one_line_and_64(folder, capsys, option, value):
    """Before any agent is asked."""
    made = make(folder)
    assert main(["events", "--config", str(made.config), option, value]) == os.EX_USAGE
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert value in error


def test_keygen_makes_a_key_once(folder):
    """0600 in a folder that is the owner's alone; the fingerprint is shown, the key is not; never written over."""
    keys = folder / "keys"
    done = vantail("keygen", "--keys", keys)
    assert done.returncode == 0
    secret = (keys / "device.key").read_text().strip()
    public = signing.load_public_key(keys / "device.pub")
    assert signing.fingerprint(public).hex() in done.stdout
    assert secret not in done.stdout + done.stderr
    assert "vantail-cloud provision" in done.stdout
    modes = {path.name: path.stat().st_mode & 0o777 for path in [keys, *keys.iterdir()]}
    assert modes == {"keys": 0o700, "device.key": 0o600, "device.pub": 0o644}
    said = one_line(vantail("keygen", "--keys", keys), os.EX_CANTCREAT)
    assert "device.key" in said
    assert (keys / "device.key").read_text().strip() == secret


def test_keygen_where_nothing_can_be_written_is_one_line(folder):
    """73 and the path."""
    (folder / "file").write_text("")
    assert "file" in one_line(vantail("keygen", "--keys", folder / "file" / "keys"), os.EX_CANTCREAT)


def test_replay_plays_the_example_day():
    """The same day through the decision core alone: all as expected, exit code 0."""
    done = vantail("replay", "--building", EXAMPLE, "--day", EXAMPLE / "day.csv", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == len((EXAMPLE / "day.csv").read_text("utf-8").splitlines()) - 1


def test_replay_of_a_missing_day_is_one_line_and_66(folder):
    """The file's name."""
    done = vantail("replay", "--building", EXAMPLE, "--day", folder / "no.csv")
    assert done.returncode == os.EX_NOINPUT
    assert "no.csv: no such file" in done.stderr


def test_event_line_shows_what_people_look_for():
    """Number, trust, place, result with its reason, who, and that it was recorded late."""
    event = {
        "seq": 12, "at_ms": 1_795_417_080_000, "clock_trusted": False, "door": "hall-a", "reader": "hall-a-in",
        "medium": "badge", "credential": "0082101960", "result": "denied", "reason": "lost", "output": "", "detail": "",
        "late": True,
    }  # fmt: skip
    line = event_line(event)
    assert line.split()[0] == "12"
    assert not [word for word in ("?", "hall-a-in", "denied (lost)", "badge 0082101960", "[late]") if word not in line]
    assert "→ door" in event_line({**event, "result": "open", "output": "door"})


def test_times_are_local_unless_they_say_otherwise():
    """An offset counts; what is no time is refused."""
    assert parse_time("2026-11-23T07:58+01:00") == parse_time("2026-11-23T06:58Z") == 1_795_417_080_000
    with pytest.raises(CommandError, match="is no time"):
        parse_time("noon")
