"""A residence's day through `vantail-sim demo --script --json`, as anybody starts it: broker, cloud, agents and
hardware as separate processes."""

import json
import os
import subprocess
import sys

import pytest
import scenario_residence
from scenario_processes import EXAMPLE, descendants, living, mentioning, short_folder, until

STEP_KEYS = ["at", "door", "medium", "value", "expect", "got", "ok", "decision_us", "badge_to_strike_ms"]
REPORT_KEYS = {"ok", "steps", "recorded", "in_cloud", "lost", "duplicates", "secure_channel"}
PRESENTED = ("badge", "code", "phone", "remote", "mobile")


class Run:
    """What a run of the demo left: its exit code, its output, and whatever it should not have left."""

    def __init__(self, building, day, folder):
        self.dir = folder / "demo"
        self.elsewhere = {name: folder / name for name in ("cwd", "home", "tmp")}
        for place in self.elsewhere.values():
            place.mkdir()
        command = [sys.executable, "-m", "firmware_sim.cli", "demo", "--building", str(building), "--day", str(day)]
        places = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
        process = subprocess.Popen(
            [*command, "--dir", str(self.dir), "--script", "--json"],
            cwd=folder / "cwd",
            env={**os.environ, **places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            controllers = (building / "site.toml").read_text("utf-8").count("[[controller]]")
            until(lambda: len(_agents_of(process)) == controllers, "every agent runs")
            self.children = descendants(process.pid)
            self.stdout, self.stderr = process.communicate(timeout=100)
        finally:
            process.kill()
        self.code = process.returncode
        assert self.stdout, f"no report, exit code {self.code}: {self.stderr[-2000:]}"
        self.left_running = living(self.children) | set(mentioning(str(folder)))


def _agents_of(process):
    assert process.poll() is None, process.stderr.read()
    return {pid for pid, command in mentioning("firmware_sim.driven_agent").items() if pid in descendants(process.pid)}


@pytest.fixture(scope="module")
def example():
    """The example residence's day, played once."""
    with short_folder() as folder:
        yield Run(EXAMPLE, EXAMPLE / "day.csv", folder)


@pytest.fixture(scope="module")
def tilleuls():
    """The second residence's day, played once."""
    with short_folder() as folder:
        building, day = scenario_residence.write(folder / "site")
        yield Run(building, day, folder)


def unexpected(run):
    """The steps that did not give what was expected."""
    steps = json.loads(run.stdout)["steps"]
    return [(step["at"], step["door"], step["expect"], step["got"]) for step in steps if not step["ok"]]


def test_example_day_gives_what_it_expects(example):
    """Every line of the example's day, through the real serial line where the reader is OSDP, and exit code 0."""
    assert unexpected(example) == []
    assert example.code == 0, example.stderr


def test_second_residence_gives_what_the_readme_says(tilleuls):
    """A residence that the code has never seen: areas, interlock, badge and code, holds, lockdown, DST, a restart."""
    assert unexpected(tilleuls) == []
    assert tilleuls.code == 0, tilleuls.stderr


@pytest.mark.parametrize("name", ["example", "tilleuls"])
def test_report_is_one_object_with_exactly_the_agreed_keys(name, request):
    """stdout holds one JSON object and nothing else, in the interface's words."""
    run = request.getfixturevalue(name)
    assert run.stdout.count("\n") == 1
    report = json.loads(run.stdout)
    assert set(report) == REPORT_KEYS
    assert report["ok"] is True
    for step in report["steps"]:
        assert list(step) == STEP_KEYS
        assert step["ok"] is True
        assert isinstance(step["got"], str)


@pytest.mark.parametrize("name", ["example", "tilleuls"])
def test_every_step_of_the_file_is_played_in_order(name, request):
    """The report has the day's lines, no fewer and in their order."""
    run = request.getfixturevalue(name)
    building = EXAMPLE if name == "example" else run.dir.parent / "site"
    lines = (building / "day.csv").read_text("utf-8").splitlines()[1:]
    wanted = [(fields[0], fields[1], fields[3], fields[4], fields[6]) for fields in (line.split(";") for line in lines)]
    steps = json.loads(run.stdout)["steps"]
    assert [tuple(step[key] for key in ("at", "door", "medium", "value", "expect")) for step in steps] == wanted


@pytest.mark.parametrize("name", ["example", "tilleuls"])
def test_everything_recorded_is_in_the_cloud_once(name, request):
    """Also what was recorded while the cloud was cut off, and where the day ends without the network."""
    report = json.loads(request.getfixturevalue(name).stdout)
    assert report["recorded"] == report["in_cloud"] > len(report["steps"]) / 2
    assert (report["lost"], report["duplicates"]) == (0, 0)
    assert report["secure_channel"] is True


@pytest.mark.parametrize("name", ["example", "tilleuls"])
def test_times_stand_where_something_was_presented(name, request):
    """A decision's time stands at each credential, and the way to the strike where an output moved."""
    for step in json.loads(request.getfixturevalue(name).stdout)["steps"]:
        is_presented = step["medium"] in PRESENTED
        assert (step["decision_us"] is not None) == is_presented, step
        assert (step["badge_to_strike_ms"] is not None) == (is_presented and "open" in step["got"]), step


@pytest.mark.parametrize("name", ["example", "tilleuls"])
def test_nothing_is_left_behind(name, request):
    """No process, and no file outside --dir: not in the working, the home or the temporary folder."""
    run = request.getfixturevalue(name)
    assert len(run.children) >= 4  # broker, cloud and agents were seen
    assert run.left_running == set()
    assert {place.name: os.listdir(place) for place in run.elsewhere.values()} == {"cwd": [], "home": [], "tmp": []}


def test_codes_are_nowhere_but_in_the_files_of_the_manager(example):
    """Codes that were keyed in stand in no log, no event and no database of a controller."""
    keyed = [b"98761", b"45678"]  # no part of any other number of the day
    places = [path for path in example.dir.rglob("*") if path.is_file() and "cloud" not in path.parts]
    assert len(places) > 8
    for path in places:
        content = path.read_bytes()
        assert not [code for code in keyed if code in content], path
    assert not [code for code in keyed if code.decode() in example.stderr]


def test_a_wrong_expectation_is_reported_and_fails():
    """Negative control: with one expectation turned round, that step is not ok and the exit code says so."""
    with short_folder() as folder:
        lines = (EXAMPLE / "day.csv").read_text("utf-8").splitlines()
        wrong = lines[1].replace(";open;", ";denied:lost;")
        assert wrong != lines[1]
        (folder / "day.csv").write_text("\n".join([lines[0], wrong, lines[2]]) + "\n", "utf-8")
        run = Run(EXAMPLE, folder / "day.csv", folder)
        report = json.loads(run.stdout)
        assert [step["ok"] for step in report["steps"]] == [False, True]
        assert report["steps"][0]["got"] == "open"
        assert report["ok"] is False
        assert run.code == 1
