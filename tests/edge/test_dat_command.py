"""`vantail dat` towards who types it: what it shows, and what it leaves behind when something is in the way."""

import base64
import io
import os

import pytest
from dat_scene import vantail

from edge.commands import dat
from edge.commands.dat import Place
from edge.console.api import ApiError
from edge.failures import CommandError
from edge.uplink import transfer_file
from edge.uplink.transfer_file import Item

LOGS = [{"log": "aa" * 16, "acked": 10, "last": 1010}, {"log": "bb" * 16, "acked": 0, "last": 0}]
MESSAGE = base64.b64encode(b"message").decode()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def agent(path, op, timeout_s=10.0, log="", after=None, **_):
    """In place of one: a log of a thousand events, 400 in an answer, and an empty one."""
    if op == "dat-logs":
        return {"logs": LOGS}
    found = next(each for each in LOGS if each["log"] == log)
    now = found["acked"] if after is None else after
    return {
        "messages": [["hello" if after is None else "events", MESSAGE]], "after": min(now + 400, found["last"]),
    }  # fmt: skip


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.setattr(dat, "call", agent)
    return Place(tmp_path / "api", "site", "box")


def test_a_terminal_sees_how_far_it_is(place, tmp_path, monkeypatch):
    """A bar that is wiped away at the end; who reads stderr from a file sees nothing."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    done = dat.collect_file(place, tmp_path / "e.dat")
    assert (done["events"], done["logs"]) == (1000, LOGS)
    shown = terminal.getvalue().split("\r\x1b[K")
    assert [text.rpartition("░")[2] for text in shown if text] == [" 400 of 1000 events", " 800 of 1000 events"]
    assert terminal.getvalue().endswith("\r\x1b[K")
    silent = io.StringIO()
    monkeypatch.setattr("sys.stderr", silent)
    dat.collect_file(place, tmp_path / "e.dat")
    assert silent.getvalue() == ""


def test_each_log_is_asked_for_to_its_end(place, tmp_path):
    """A hello and what follows, of each, also of one that is empty."""
    dat.collect_file(place, tmp_path / "e.dat")
    with (tmp_path / "e.dat").open("rb") as file:
        header, items = transfer_file.read(file)
        assert [item.kind for item in items] == ["hello", "events", "events", "hello"]
    assert (header.reader, header.site, header.controller) == ("manager", "site", "box")


def test_an_agent_that_goes_away_leaves_no_half_file(place, tmp_path, monkeypatch):
    """What was there before stays."""
    (tmp_path / "e.dat").write_bytes(b"before")

    def leaving(path, op, timeout_s=10.0, **request):
        if request.get("after"):
            raise ApiError("gone")
        return agent(path, op, timeout_s, **request)

    monkeypatch.setattr(dat, "call", leaving)
    with pytest.raises(ApiError):
        dat.collect_file(place, tmp_path / "e.dat")
    assert (tmp_path / "e.dat").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["e.dat"]


def test_what_is_in_the_way_is_said_in_a_line(place, tmp_path):
    """No such file, a folder, no such place."""
    for path in (tmp_path / "none.dat", tmp_path):
        with pytest.raises(CommandError) as caught:
            dat.apply_file(place, path)
        assert caught.value.code == os.EX_NOINPUT
    with pytest.raises(CommandError) as caught:
        dat.collect_file(place, tmp_path / "none" / "e.dat")
    assert caught.value.code == os.EX_CANTCREAT


def test_a_file_of_no_message_is_refused(place, tmp_path):
    """Without a word to the agent."""
    header = transfer_file.Header("controller", "site", "box", "now")
    transfer_file.save(tmp_path / "p.dat", header, [])
    with pytest.raises(CommandError, match="there is nothing in it") as caught:
        dat.apply_file(place, tmp_path / "p.dat")
    assert caught.value.code == os.EX_DATAERR


@pytest.mark.parametrize(("outcome", "left"), [("policy", "nothing was changed"), ("log", "in part: policy 1.2 is in")])
def test_what_the_agent_does_not_take_is_told(place, tmp_path, monkeypatch, outcome, left):
    """Its policy as a whole, or one log's acknowledgement; both end with 65."""
    policy = {"before": [1, 1], "after": [1, 2], "outcome": "applied", "why": ""}
    log = {"log": "aa" * 16, "before": 0, "after": 0, "outcome": "refused", "why": "of other events"}
    if outcome == "policy":
        policy |= {"outcome": "refused", "after": [1, 1], "why": "no such format"}
    answers = {"dat-take": {"refused": None}, "dat-settle": {"ok": True, "policy": policy, "logs": [log]}}
    monkeypatch.setattr(dat, "call", lambda path, op, timeout_s=10.0, **_: answers[op])
    header = transfer_file.Header("controller", "site", "box", "now")
    transfer_file.save(tmp_path / "p.dat", header, [Item("policy", b"x")])
    with pytest.raises(CommandError, match=left) as caught:
        dat.apply_file(place, tmp_path / "p.dat")
    assert (caught.value.code, caught.value.reason) == (os.EX_DATAERR, outcome)


def test_without_an_agent_it_says_so(tmp_path):
    """As every command that asks it."""
    (tmp_path / "agent.toml").write_text('controller = "box"\n[simulated]\nboard = "board"\n')
    done = vantail("dat", "apply", tmp_path / "p.dat", "--config", tmp_path / "agent.toml")
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_UNAVAILABLE, 1)
