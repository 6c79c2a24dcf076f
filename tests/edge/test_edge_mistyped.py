"""What a person types wrongly to `vantail`: one line that says what to do, the right code, nothing made."""

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from edge_controller import EXAMPLE

from edge import cli

AGENT = 'controller = "hall-a"\napi = "api"\n'


@pytest.fixture
def agent_toml(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(AGENT)
    return path


def refused(code: int, *arguments: object) -> str:
    """What it says, which is one printable line on stderr alone."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        found = cli.main([str(each) for each in arguments])
    said = err.getvalue()
    assert (found, out.getvalue()) == (code, ""), said
    assert said.startswith("vantail: ")
    assert said.count("\n") == 1
    assert said.strip().isprintable()
    return said


@pytest.mark.parametrize(
    "arguments",
    [
        ("keygen", "--keys", ""), ("status", "--config", ""), ("backup", ""), ("restore", ""),
        ("explain", "--building", "", "--door", "x", "--medium", "badge", "--value", "1"),
    ],
)  # fmt: skip
def test_an_empty_path_is_not_this_folder(arguments) -> None:
    """As a script's unset variable leaves it: else keygen would put a secret key wherever one stands."""
    assert "it is empty; write a path" in refused(os.EX_USAGE, *arguments)


@pytest.mark.parametrize("minutes", ["nan", "inf", "0", "-1", "1e9"])
def test_a_pairing_window_has_a_length(agent_toml, minutes) -> None:
    """What is no length of time is not a fault of the program."""
    said = refused(os.EX_USAGE, "reader", "pair", "hall-a-in", "--minutes", minutes, "--config", agent_toml)
    assert "at most 5" in said


@pytest.mark.parametrize("at", ["9999-12-31", "3000-01-02", "1969-12-30"])
def test_a_time_that_no_policy_reaches(at) -> None:
    """Said as such, before anything is worked out."""
    asked = ("--building", EXAMPLE, "--door", "hall-a", "--medium", "badge", "--value", "1111100007", "--at", at)
    assert "1970 to 2999" in refused(os.EX_USAGE, "explain", *asked)


def test_filters_that_can_find_nothing_are_said(agent_toml) -> None:
    """Instead of no line, or of waiting for ever."""
    config = ("--config", agent_toml)
    assert "--until" in refused(os.EX_USAGE, "events", "--follow", "--until", "yesterday", *config)
    assert "--since is not before" in refused(os.EX_USAGE, "events", "--since", "now", "--until", "yesterday", *config)


def test_what_was_typed_breaks_no_line() -> None:
    """A line break or an escape sequence, as copied from somewhere, moves no cursor."""
    asked = ("--building", EXAMPLE, "--medium", "badge", "--value", "1")
    assert "no door a b [2J; known are" in refused(os.EX_USAGE, "explain", "--door", "a\nb\x1b[2J", *asked)


def test_a_file_that_is_no_configuration_is_named(tmp_path) -> None:
    """Not with the words of Python."""
    (tmp_path / "bin").write_bytes(b"\xff\xfe")
    assert "bin: not UTF-8 at byte 0" in refused(os.EX_CONFIG, "status", "--config", tmp_path / "bin")
    assert "cannot be read (Is a directory)" in refused(os.EX_CONFIG, "status", "--config", tmp_path)


def test_a_folder_that_is_not_there_is_named_for_a_backup(agent_toml, tmp_path) -> None:
    """Not a draft's name in it."""
    target = tmp_path / "none" / "b.vantail"
    assert f"{target.parent}: no such folder" in refused(os.EX_CANTCREAT, "backup", target, "--config", agent_toml)


def test_a_file_is_no_serial_port(tmp_path) -> None:
    """And a device is named as an example."""
    (tmp_path / "file").touch()
    assert "is no serial port: give a device such as" in refused(os.EX_UNAVAILABLE, "reader", "scan", tmp_path / "file")
