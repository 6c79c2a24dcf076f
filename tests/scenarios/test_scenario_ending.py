"""How the demo ends: by a signal, by its terminal, or killed outright. Nobody of its family stays."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import scenario_storm
from scenario_processes import EXAMPLE, descendants, living, mentioning, short_folder, until

QUICK_END_S = 40  # against hanging; END_S for each child at most


class Family:
    """`vantail-sim demo` and its children, as a person starts it. `lines`: what it printed so far."""

    def __init__(self, building, day, folder, *options, stdin=subprocess.DEVNULL):
        self.folder = folder
        command = [sys.executable, "-m", "firmware_sim.cli", "demo", "--building", str(building), "--day", str(day)]
        self.process = subprocess.Popen(
            [*command, "--dir", str(folder / "demo"), *options],
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.members = set()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def until_said(self, text):
        """Wait for a line that holds `text`, and remember who is there then."""

        def said():
            assert self.process.poll() is None or any(text in line for line in self.lines), "".join(self.lines)
            return any(text in line for line in self.lines)

        until(said, f"it says {text!r}")
        self.members |= descendants(self.process.pid)

    def ended(self):
        """Its exit code; then nobody is left, neither of those seen nor anybody with this folder."""
        code = self.process.wait(QUICK_END_S)
        until(lambda: not living(self.members) and not mentioning(str(self.folder)), "everybody has gone", 20)
        return code


@pytest.fixture
def family(request):
    """A demo in the middle of the example's day, or after a short one."""
    with short_folder() as folder:
        started = []

        def start(*options, long=True, stdin=subprocess.DEVNULL):
            if long:
                building, day = EXAMPLE, EXAMPLE / "day.csv"
            else:
                building, day = scenario_storm.write_building(folder)
            started.append(Family(building, day, folder, *options, stdin=stdin))
            return started[0]

        yield start
        for one in started:
            one.process.kill()
            for pid in living(one.members):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_in_the_middle_of_the_day_ends_everything(family, number):
    """The exit code says that it was ended, not that the day was wrong; nothing is printed that looks like a crash."""
    demo = family("--script")
    demo.until_said("events: http")
    demo.process.send_signal(number)
    assert demo.ended() in (130, 128 + number)
    assert len(demo.members) >= 5
    assert "Traceback" not in "".join(demo.lines)


def test_signal_while_it_still_starts_ends_everything(family):
    """Before the agents are up, the broker and whatever else is there go too."""
    demo = family("--script")
    until(lambda: mentioning(f"{demo.folder}/demo/cloud"), "the cloud's set-up has begun")
    demo.members |= descendants(demo.process.pid)
    demo.process.send_signal(signal.SIGTERM)
    assert demo.ended() in (130, 143)
    assert "Traceback" not in "".join(demo.lines)


def test_it_stays_up_after_the_day_takes_badges_and_ends_with_the_terminal(family):
    """Typed lines are presented and answered; the end of input is an orderly end with the day's result."""
    demo = family(long=False, stdin=subprocess.PIPE)
    demo.until_said("Ctrl-C ends everything")
    stdin = demo.process.stdin
    for typed, answer in (
        ("lobby-pad 0000500001\n", "open"),
        ("lobby-pad 0000999999\n", "denied:unknown"),
        ("lobby-pad code 24680\n", "open"),
        ("lobby-radio remote 0000600002 2\n", "open:aux1"),
        ("lobby rex\n", "open:exit"),
    ):
        count = len(demo.lines)
        stdin.write(typed)
        stdin.flush()
        until(lambda count=count: len(demo.lines) > count, f"an answer to {typed!r}")
        assert answer in demo.lines[count]
        assert "24680" not in demo.lines[count]
    stdin.close()
    assert demo.ended() == 0


def test_ctrl_c_while_it_waits_for_badges_ends_everything(family):
    """SIGINT after the day, with the terminal still open."""
    demo = family(long=False, stdin=subprocess.PIPE)
    demo.until_said("Ctrl-C ends everything")
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() == 130
    assert "Traceback" not in "".join(demo.lines)


def test_killed_outright_it_leaves_nobody(family):
    """kill -9 of the simulator: every child notices that it has no purpose any more."""
    demo = family("--script")
    demo.until_said("events: http")
    demo.process.kill()
    assert demo.ended() == -signal.SIGKILL
    assert len(demo.members) >= 5


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["demo", "--building", "nowhere"], 65, "nowhere"),
        (["demo", "--building", str(EXAMPLE), "--day", "no-day.csv", "--script"], 65, "no-day.csv"),
        (["demo", "--what"], 64, "--what"),
        (["demo", "--building", str(EXAMPLE), "--dir", "x" * 90, "--script"], 71, "--dir"),
    ],
)
def test_what_cannot_be_played_is_one_line(arguments, code, names):
    """Each names the thing and what to do, and leaves nobody behind."""
    with short_folder() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "firmware_sim.cli", *arguments],
            cwd=folder, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        lines = [line for line in done.stderr.splitlines() if line.startswith("vantail-sim: ")]
        assert len(lines) == 1
        assert names in lines[0]
        assert "Traceback" not in done.stderr
        assert mentioning(str(folder)) == {}
