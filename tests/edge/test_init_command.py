"""`vantail init`: a new controller's first files, a password that is shown once, readers found on a pty; and then
`vantail run` works, obeys nobody, and takes that password."""

import argparse
import asyncio
import io
import re
from pathlib import Path

import pytest
from edge_controller import Made, ask, running
from osdp_peer import SCBK, PtyLine

from edge.commands import init
from edge.commissioning import password
from edge.config import load
from edge.failures import CommandError
from edge.reader.osdp import scan


@pytest.fixture(autouse=True)
def _few_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "ADDRESSES", range(4))


def run_init(folder: Path, *arguments: object) -> int:
    """The command in this process, asking nothing."""
    parser = argparse.ArgumentParser()
    init.add(parser.add_subparsers())
    words = ["init", "--config", str(folder / "agent.toml"), "--yes", *map(str, arguments)]
    options = parser.parse_args(words)
    return int(options.run(options))


def shown_password(said: str) -> str:
    found = re.search(r"(\d{8})$", said, re.MULTILINE)
    assert found, said
    return found[1]


def test_a_new_controller_runs_and_takes_its_password(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From nothing to an agent that obeys nobody; the password opens a session, another one does not."""
    assert run_init(folder, "--controller", "hall-a", "--site", "les-dunes", "--cloud", "none", "--api", "api") == 0
    said = capsys.readouterr().out
    text = shown_password(said)
    assert "vantail learn" in said
    keys = folder / "keys"
    assert {path.name: path.stat().st_mode & 0o777 for path in keys.iterdir()} == {
        "device.key": 0o600, "device.pub": 0o644, "password.toml": 0o600,
    }  # fmt: skip
    assert text not in (keys / "password.toml").read_text()
    assert password.parse((keys / "password.toml").read_text()).matches(text)

    async def play() -> None:
        made = Made(folder, "hall-a", {})
        async with running(made):
            status = await ask(made, "status")
            assert (status["site"], status["policy"]["in_force"], status["uplink"]["connected"]) == ("", False, False)
            view = await ask(made, "commission-view")
            assert (view["is_new"], view["controller"], view["signed_in"]) == (True, "hall-a", False)
            wrong = await ask(made, "commission-login", password="100000")
            assert (wrong["reason"], wrong["session"]) == ("wrong-password", "")
            right = await ask(made, "commission-login", password=text)
            assert (right["reason"], len(right["session"])) == ("", 32)
            asked = {"session": right["session"], "manager": 1}
            assert (await ask(made, "commission-adopt", **asked))["reason"] == "no-hand-over"

    asyncio.run(play())


def test_it_asks_for_what_was_not_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, in the language that was chosen; an empty one takes what is offered."""
    monkeypatch.setattr(init, "_asks", lambda options: True)
    answers = ["fr", "cellar-1", "les-dunes", "https://cloud.example:8884", "none", "oui"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))
    assert run_init(folder) == 0
    said, asked = capsys.readouterr()
    assert "tel que le gestionnaire la nomme [controller-1]" in asked
    assert "vantail enrol" in said
    config = load(folder / "agent.toml")
    assert (config.controller, config.clock.rtc, config.bus) == ("cellar-1", True, ())
    assert "les-dunes" in (folder / "agent.toml").read_text()


def test_readers_are_found_and_written_down(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of a line, with its speed; in French where that is asked for."""
    with PtyLine() as line:
        line.add(1, SCBK).baud = 9600
        words = ("--controller", "hall-a", "--port", line.port, "--baud", 9600, "--language", "fr", "--rtc")
        assert run_init(folder, *words) == 0
        config = load(folder / "agent.toml")
        assert [(bus.port, bus.baud, [reader.address for reader in bus.readers]) for bus in config.bus] == [
            (line.port, 9600, [1])
        ]
    assert config.clock.rtc
    assert "montré cette seule fois" in capsys.readouterr().out


def test_nothing_is_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there stays, byte for byte, and is named; a password alone is made where there is none."""
    assert run_init(folder, "--controller", "hall-a") == 0
    first = shown_password(capsys.readouterr().out)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for words in (("--controller", "hall-b"), ("--password",)):
        with pytest.raises(CommandError, match=r"password\.toml: there already"):
            run_init(folder, *words)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (folder / "keys" / "password.toml").unlink()
    assert run_init(folder, "--password") == 0
    assert shown_password(capsys.readouterr().out) != first
    assert (folder / "keys" / "device.key").read_bytes() == before[folder / "keys" / "device.key"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--controller"),
        (("--controller", "Hall A"), "a-z"),
        (("--controller", "hall-a", "--cloud", "ftp://x"), "https://"),
        (("--controller", "hall-a", "--port", "/dev/null", "--baud", 9600), "/dev/null"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_written(folder: Path, words: tuple, said: str) -> None:
    """One line, and the folder is as it was."""
    with pytest.raises(CommandError, match=said):
        run_init(folder, *words)
    assert list(folder.iterdir()) == []
