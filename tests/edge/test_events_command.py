"""`vantail events`: pages, forms, times, and what follows; against a real log behind a real local API."""

import asyncio
import contextlib
import csv
import io
import json
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from edge_controller import NOW_MS, make

from edge import answering
from edge.cli import main
from edge.commands import event_pages
from edge.commands.events import CSV_COLUMNS, csv_row
from edge.commands.options import parse_past
from edge.console.api import ApiServer
from edge.decision import model
from edge.failures import CommandError
from edge.storage.event_log import EventLog

DEADLINE_S = 30
NOW = datetime(2026, 3, 29, 14, 30, tzinfo=UTC)  # the day on which Paris loses an hour


def event(number: int, **changes: object) -> model.Event:
    fields = {
        "at_ms": NOW_MS + 60_000 * number, "trusted": True, "door": "hall-b", "reader": "hall-b-in",
        "medium": "badge", "credential": 1_000 + number, "result": model.OPEN, "reason": "", "output": "door",
        "detail": "",
    }  # fmt: skip
    return model.Event(**(fields | changes))


class Serving:
    """A log behind the local API, as an agent serves it, in a thread of its own."""

    def __init__(self, folder, log: EventLog) -> None:
        self.made, self.log = make(folder), log
        self.asked: list[dict] = []
        self.answers: dict[str, dict] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)

    async def _serve(self) -> None:
        server = ApiServer(self.made.api, dict.fromkeys(("events", "status", "verify", "erase"), self._answer))
        await server.start()
        self._ready.set()
        await self._end.wait()
        await server.stop()

    async def _answer(self, request: dict) -> dict:
        self.asked.append(dict(request))
        if request["op"] != "events":
            return self.answers[request["op"]]
        agent = type("Agent", (), {"log": self.log})
        return await answering.Answers(agent)._events(request)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(DEADLINE_S)

    def run(self, *words: str) -> int:
        """`vantail events` with these words."""
        return main(["events", "--config", str(self.made.config), *words])

    def record(self, *events: model.Event) -> None:
        self.log.record(events, 1).result(DEADLINE_S)


@pytest.fixture
def serving(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(event_pages, "PAGE", 10)
    log = EventLog.open(tmp_path / "events.db")
    served = Serving(folder, log)
    yield served
    served.stop()
    log.close()


def listed(capsys) -> list[int]:
    """The numbers in the lines that were printed."""
    return [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]


# --- pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 25, 60, 100])
def test_the_newest_come_whatever_the_limit(serving, capsys, limit):
    """Over several pages, with and without a filter, in their order; never more than a page at once."""
    serving.record(*(event(n, door="parking" if n % 2 else "hall-b") for n in range(1, 61)))
    assert serving.run("--limit", str(limit)) == 0
    assert listed(capsys) == list(range(1, 61))[-limit:]
    assert serving.run("--limit", str(limit), "--door", "parking") == 0
    assert listed(capsys) == list(range(1, 61, 2))[-limit:]
    assert max(request["limit"] for request in serving.asked) <= 10


def test_filters_reach_the_agent(serving, capsys):
    """Each by its name, times as moments, a telephone's number without its zeros."""
    serving.record(event(1), event(2, credential=33_600_000_000, medium="phone"), event(3))
    words = "--door hall-b --reader hall-b-in --result open --medium phone --text door --credential 0033600000000"
    assert serving.run(*words.split(), "--since", "2026-11-23T07:59+01:00", "--until", "2026-11-23T09:00Z") == 0
    assert listed(capsys) == [2]
    assert serving.asked[-1]["since_ms"] == NOW_MS + 60_000
    assert serving.run("--reason", "lost") == 0
    assert listed(capsys) == []


def test_what_is_recorded_while_pages_are_read_waits(serving):
    """A listing has an end, even where doors record faster than it reads."""
    serving.record(*(event(n) for n in range(1, 31)))
    found = []
    for one in event_pages.Pages(serving.made.api, {}).upwards(0, 30):
        found.append(one["seq"])
        serving.record(event(99))
    assert found == list(range(1, 31))


def test_follow_goes_on_from_where_it_was(serving, capsys, monkeypatch):
    """Old events that match first, then each new one that matches once; after a restore the new log's from number 1."""
    serving.record(event(1), event(2, result=model.DENIED))
    rounds = [
        lambda: serving.record(event(3), event(4, result=model.DENIED)),
        lambda: None,
        lambda: serving.record(*(event(n, result=model.DENIED) for n in range(5, 30))),
        lambda: replace_log(serving),
    ]

    def next_round(_):
        if not rounds:
            raise KeyboardInterrupt
        rounds.pop(0)()

    monkeypatch.setattr("edge.commands.events.time.sleep", next_round)
    assert serving.run("--follow", "--result", "denied") == 130
    assert listed(capsys) == [2, 4, *range(5, 30), 1]


def replace_log(serving) -> None:
    serving.log.close()
    serving.log = EventLog.open(serving.log.database.path.with_name("other.db"))
    serving.record(event(1, result=model.DENIED))


def test_follow_shows_nothing_old_where_nothing_matched(serving, capsys, monkeypatch):
    """The first poll does not begin at number 1."""
    serving.record(*(event(n) for n in range(1, 31)))
    serving.asked.clear()
    monkeypatch.setattr("edge.commands.events.time.sleep", lambda _: interrupt(serving))
    serving.run("--follow", "--result", "denied", "--limit", "5")
    assert [request.get("after_seq") for request in serving.asked if "result" in request] == [None]


def interrupt(serving) -> None:
    if sum("result" not in request for request in serving.asked) > 2:
        raise KeyboardInterrupt


# --- forms ------------------------------------------------------------------------------------------------------


def test_json_is_an_object_a_line(serving, capsys):
    """With the log's id, so that (log, seq) names the event."""
    serving.record(event(1), event(2))
    assert serving.run("--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["seq"], line["log"]) for line in lines] == [(1, serving.log.log_id.hex()), (2, lines[0]["log"])]


def test_csv_is_whole_and_runs_nothing(serving, capsys):
    """RFC 4180: CRLF, quotes doubled, one header; all events unless limited; what begins like a formula is text."""
    nasty = ['=HYPERLINK("http://x","y")', "+1", "-1", "@sum", "\tx", 'a "quoted", line\r\nand another', "plain"]
    serving.record(*(event(n, detail=detail) for n, detail in enumerate(nasty)), *(event(n) for n in range(150)))
    assert serving.run("--csv") == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0] == ",".join(CSV_COLUMNS)
    assert text.count("\r\n") == text.count("\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["detail"] for row in rows[:7]] == ["'" + word for word in nasty[:5]] + nasty[5:]
    assert len(rows) == 157
    assert {row["late"] for row in rows} == {"no"}
    assert datetime.fromisoformat(rows[0]["at"]).timestamp() * 1000 == NOW_MS
    assert serving.run("--csv", "--limit", "3") == 0
    assert capsys.readouterr().out.count("\n") == 4


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_begins_like_a_formula(first):
    """Whichever column it is in."""
    fields = dict.fromkeys(CSV_COLUMNS, first + "1") | {"at_ms": NOW_MS, "clock_trusted": True, "late": False}
    assert not [cell for cell in csv_row(fields) if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_plot_counts_every_event(serving, capsys, tmp_path):
    """Page by page; the doors under their names; in the language that was asked for."""
    serving.record(*(event(n) for n in range(1, 36)), event(36, result=model.DENIED), event(37, result=model.INFO))
    serving.answers["status"] = {"site": "Clos", "controller": "b", "doors": [{"id": "hall-b", "name": "Hall <B>"}]}
    drawn = tmp_path / "p.svg"
    assert serving.run("--plot", str(drawn), "--lang", "fr") == 0
    assert "35 open, 1 denied, 0 alarm" in capsys.readouterr().out
    text = drawn.read_text("utf-8")
    assert "Hall &lt;B&gt;" in text
    assert "accordés 35" in text
    assert max(request.get("limit", 0) for request in serving.asked) <= 10
    assert serving.run("--plot", str(tmp_path / "none" / "p.svg")) == os.EX_CANTCREAT


@pytest.mark.parametrize("words", [["--json", "--csv"], ["--plot", "x.svg", "--follow"], ["--limit", "0"]])
def test_what_excludes_each_other_is_one_line_and_64(serving, capsys, words):
    """Before the agent is asked."""
    assert serving.run(*words) == os.EX_USAGE
    assert capsys.readouterr().err.count("\n") == 1
    assert serving.asked == []


# --- times ------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_paris(monkeypatch):
    """This machine stands in Paris."""
    import time

    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("now", NOW), ("2h", ago(hours=2)), ("2 hours ago", ago(hours=2)), ("1 Hour  Ago", ago(hours=1)),
        ("30min", ago(minutes=30)), ("30 m", ago(minutes=30)), ("3d", ago(days=3)), ("8 weeks", ago(weeks=8)),
        ("today", datetime(2026, 3, 28, 23, tzinfo=UTC)), ("yesterday", datetime(2026, 3, 27, 23, tzinfo=UTC)),
        ("2026-03-30", datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("2026-03-30T07:58", datetime(2026, 3, 30, 5, 58, tzinfo=UTC)),
        ("2026-03-30T07:58Z", datetime(2026, 3, 30, 7, 58, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_times_as_people_say_them(in_paris, said, meant):
    """Midnights are those of the place, on the day on which its clocks change, too."""
    assert parse_past(said, NOW.astimezone()) == meant.timestamp() * 1000


@pytest.mark.parametrize("said", ["", "noon", "2", "h", "2x", "-2h", "2.5h", "ago", "2 hours later", "9" * 9 + "h"])
def test_what_is_no_time_is_refused(said):
    """With examples of what would be one."""
    with pytest.raises(CommandError, match="is no time; write"):
        parse_past(said, NOW)


# --- verify and erase -------------------------------------------------------------------------------------------


def test_verify_says_how_far_it_fits(serving, capsys):
    """And what the cloud has acknowledged of it."""
    serving.answers["status"] = {"log": {"acknowledged": 40}}
    serving.answers["verify"] = {"checked": 58, "first": 3, "last": 60, "bad_seq": None, "why": ""}
    assert serving.run("verify") == 0
    assert capsys.readouterr().out == "58 records fit, from 3 to 60; cloud acknowledged up to 40\n"
    assert serving.run("verify", "--json") == 0
    assert json.loads(capsys.readouterr().out) == serving.answers["verify"] | {"acknowledged": 40}


def test_verify_names_the_first_that_does_not_fit(serving, capsys):
    """Exit code 65, for scripts."""
    serving.answers["status"] = {"log": {"acknowledged": 40}}
    serving.answers["verify"] = {"checked": 4, "first": 3, "last": 60, "bad_seq": 7, "why": "its door was changed"}
    assert serving.run("verify") == os.EX_DATAERR
    assert "record 7 does not fit: its door was changed" in capsys.readouterr().out


def test_erase_asks_first(serving, capsys, monkeypatch):
    """Where nobody can answer it wants --yes; on a terminal the word yes; anything else erases nothing."""
    serving.answers["erase"] = {"erased": 12}
    assert serving.run("erase", "--credential", "1111100008") == os.EX_USAGE
    terminal = io.StringIO("no\nyes\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    assert serving.run("erase", "--credential", "1111100008") == os.EX_NOPERM
    assert serving.asked == []
    assert serving.run("erase", "--credential", "1111100008") == 0
    assert serving.run("erase", "--credential", "0033600000000", "--yes") == 0
    assert [request["credential"] for request in serving.asked] == [1_111_100_008, 33_600_000_000]
    assert "12 events name 1111100008 no more" in capsys.readouterr().out


def test_the_words_take_a_config_before_and_after(serving, capsys):
    """`vantail events --config F verify` and `vantail events verify --config F` are the same."""
    serving.answers["status"] = {"log": {"acknowledged": 0}}
    serving.answers["verify"] = {"checked": 0, "first": 0, "last": 0, "bad_seq": None, "why": ""}
    assert main(["events", "verify", "--config", str(serving.made.config)]) == 0
    with contextlib.suppress(SystemExit):
        main(["events", "verify", "--help"])
    assert "--config" in capsys.readouterr().out
