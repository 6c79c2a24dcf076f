"""The papers say what the code does: tables and lists in README, ARCHITECTURE and docs/ are held against it."""

import configparser
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest

from edge import config
from edge.decision import door, indications, lockout, model, reasons
from edge.recorder import BUDGET_S
from edge.residence.day import Step
from edge.uplink.keys import ManagerTrust
from firmware_sim.player import Played

ROOT = Path(__file__).resolve().parents[1]
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")])
COMMANDS = {"vantail": "edge.cli", "vantail-cloud": "cloud_stub.cli", "vantail-sim": "firmware_sim.cli"}
COLORS = {
    indications.BLACK: "black",
    indications.RED: "red",
    indications.GREEN: "green",
    indications.AMBER: "amber",
    indications.BLUE: "blue",
}


def read(name: str) -> str:
    return (ROOT / name).read_text()


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"there is no heading '{heading}'"
    return found.group(1)


def table(text: str, heading: str, which: int = 0) -> list[list[str]]:
    """The rows of a table under a heading, backticks taken off, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", section(text, heading), re.MULTILINE)
    rows = tables[which].strip().splitlines()[2:]
    return [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def column(text: str, heading: str, cell: int = 0, which: int = 0) -> list[str]:
    return [row[cell] for row in table(text, heading, which)]


def missing_links(text: str, folder: Path) -> list[str]:
    """Links of a page to files that do not exist."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target and not (folder / target).exists()]


def test_the_ladder_is_in_its_order() -> None:
    """docs/decision.md lists every reason of the ladder, in the order in which they are checked."""
    assert column(read("docs/decision.md"), "The ladder", 1) == list(reasons.LADDER)
    assert column(read("docs/decision.md"), "The ladder") == [str(n + 1) for n in range(len(reasons.LADDER))]


def test_every_alarm_is_explained() -> None:
    """docs/decision.md lists every kind of alarm."""
    assert column(read("docs/decision.md"), "Alarms") == list(reasons.ALARMS)


def test_every_state_of_a_door_is_explained() -> None:
    """docs/decision.md lists every state of the transition table and no other."""
    states = {state for state, _ in door.TABLE} | {state for state, _ in door.TABLE.values()}
    assert set(column(read("docs/decision.md"), "Doors")) == states


def test_every_medium_has_its_output() -> None:
    """docs/decision.md says for each medium which output moves."""
    media = {word.strip("` ") for row in table(read("docs/decision.md"), "Which output moves") for word in row[:1]}
    assert {word.strip("` ") for words in media for word in words.split(",")} == set(model.MEDIUM_OF_WORD)


def test_every_indication_is_as_shown() -> None:
    """docs/decision.md gives each outcome's light, time and tones as the one table in the code has them."""
    rows = {row[0]: row[1:4] for row in table(read("docs/decision.md"), "What a reader shows")}
    assert list(rows) == list(indications.TABLE)
    for outcome, signal in indications.TABLE.items():
        steady = signal.on_color == signal.off_color
        light = COLORS[signal.on_color] + ("" if steady else f"/{COLORS[signal.off_color]}")
        time = f"{signal.total_ms / 1000:g} s" if signal.total_ms else "lasting"
        assert rows[outcome] == [light, time, str(signal.beeps or "")], outcome


def test_the_figures_of_the_lockout_and_the_budget() -> None:
    """docs/decision.md names the durations that the code has."""
    text = " ".join(read("docs/decision.md").split())
    assert lockout.LIMIT == 5
    for figure in (
        f"Five wrong codes lock all keypads for {lockout.FIRST_LOCK_MS // 1000} s",
        f"up to {lockout.LONGEST_LOCK_MS // 60_000} min",
        f"falls by one every {lockout.DECAY_MS // 60_000} min",
        f"At most {lockout.DAILY_GUESSES} wrong codes in {lockout.DAY_MS // 3_600_000} h",
        f"does not answer within {BUDGET_S * 1000:.0f} ms",
    ):
        assert figure in text


CONFIG_TABLES = {
    "agent.toml": config.Config,
    "[uplink]": config.Uplink,
    "[clock]": config.ClockSettings,
    "[simulated]": config.Simulated,
    "[[door]]": config.DoorLines,
    "[[modbus]]": config.ModbusBoard,
}


@pytest.mark.parametrize("heading", CONFIG_TABLES)
def test_every_configuration_key_is_documented(heading: str) -> None:
    """docs/configuration.md lists each key of a table once, with the default that the code has."""
    _keys_agree(table(read("docs/configuration.md"), heading), CONFIG_TABLES[heading])


def test_every_key_of_a_line_is_documented() -> None:
    """The same for an OSDP line and for its readers, which share a heading."""
    text = read("docs/configuration.md")
    _keys_agree(table(text, "[[bus]]"), config.Bus)
    _keys_agree(table(text, "[[bus]]", 1), config.BusReader)


def _keys_agree(rows: list[list[str]], struct: type[msgspec.Struct]) -> None:
    documented = {row[0].strip("[]"): row[2] for row in rows}
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    assert documented.keys() == fields.keys()
    for name, field in fields.items():
        if field.required:
            assert documented[name] == "needed"
        elif field.default not in (None, "", ()) and not isinstance(field.default, msgspec.Struct):
            assert documented[name] == json.dumps(field.default), name


def test_the_speeds_of_a_line_are_documented() -> None:
    """Each speed that a line may have is named."""
    [baud] = [field for field in msgspec.structs.fields(config.Bus) if field.name == "baud"]
    row = next(row for row in table(read("docs/configuration.md"), "[[bus]]") if row[0] == "baud")
    assert [int(word) for word in re.findall(r"\d{4,}", row[1])] == list(baud.type.__args__)


def test_every_key_of_manager_toml_is_documented() -> None:
    """docs/configuration.md lists the keys of manager.toml in their order."""
    assert column(read("docs/configuration.md"), "manager.toml") == list(ManagerTrust._fields)


def test_the_packaged_configuration_loads() -> None:
    """packaging/agent.toml is a configuration as it stands."""
    loaded = config.load(ROOT / "packaging" / "agent.toml")
    assert loaded.bus
    assert loaded.door
    assert loaded.uplink is not None


def test_every_dependency_is_explained_with_its_range() -> None:
    """docs/dependencies.md lists exactly what pyproject.toml asks for, extra by extra, in its versions."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    text = read("docs/dependencies.md")
    asked = {"In the box": project["dependencies"]}
    asked |= {f"Extra `{name}`": wants for name, wants in project["optional-dependencies"].items() if name != "dev"}
    for heading, wants in asked.items():
        documented = [(row[0], row[1]) for row in table(text, heading)]
        assert documented == [_name_and_range(want) for want in wants], heading


def _name_and_range(requirement: str) -> tuple[str, str]:
    name, versions = re.fullmatch(r"([\w.-]+)([^;]*)(?:;.*)?", requirement).groups()  # type: ignore[union-attr]
    return name, versions.strip() or "any"


def test_the_readme_lists_every_command() -> None:
    """README's table has exactly the commands that --help names."""
    listed = column(read("README.md"), "Commands")
    offered = [f"{program} {word}" for program, module in COMMANDS.items() for word in _offered(module)]
    assert listed == offered


def test_the_readme_says_json_where_there_is_json() -> None:
    """A command of which README says `--json` takes it; no controller's command that takes it is silent."""
    for command, does in table(read("README.md"), "Commands"):
        program, word = command.split()
        said = _help(COMMANDS[program], word)
        parts = re.findall(r"^    (\w+)  ", said.partition("ACTION\n")[2], re.MULTILINE)
        has = "--json" in said or any("--json" in _help(COMMANDS[program], word, part) for part in parts)
        if "--json" in does:
            assert has, command
        elif program == "vantail":
            assert not has, command


def _offered(module: str) -> list[str]:
    commands = _help(module).partition("COMMAND\n")[2].partition("\n\n")[0]
    return re.findall(r"^    ([\w-]+)", commands, re.MULTILINE)


def _help(module: str, *words: str) -> str:
    """What --help prints; the cloud's is asked in a folder of its own making, so it must need none."""
    program = f"from {module} import main; import sys; sys.exit(main())"
    command = [sys.executable, "-c", program, *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, env={"COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_report_in_the_readme_has_its_keys() -> None:
    """README's JSON object is one, and its steps have the keys that the demo prints."""
    report = json.loads(section(read("README.md"), "Without a terminal").partition("```json\n")[2].partition("```")[0])
    assert list(report) == ["ok", "steps", "recorded", "in_cloud", "lost", "duplicates", "secure_channel"]
    step = Step(2, "", 0, "", "", "badge", "", None, "", None, ("open",), "")
    assert list(report["steps"][0]) == list(Played(step, "open", True, 1.0, 1.0, None).as_object())


def test_the_readme_counts_the_steps_of_the_example() -> None:
    """The number of steps that README names is that of the example's day."""
    steps = len(read("examples/clos-des-dunes/day.csv").splitlines()) - 1
    assert f"the {steps} steps" in read("README.md")


def test_the_architecture_shows_the_house() -> None:
    """ARCHITECTURE.md's house has the folders at the top, every file and package of edge/, and none that is not."""
    house = section(read("ARCHITECTURE.md"), "The house")
    tops = re.findall(r"^(\w+)/", house, re.MULTILINE)
    assert not [name for name in tops if not (ROOT / name).is_dir()]
    assert {"edge", "cloud_stub", "firmware_sim", "benchmarks", "examples", "packaging", "tests"} <= set(tops)
    inside_edge = house.partition("edge/ ")[2].partition("\ncloud_stub/")[0]
    named = set(re.findall(r"^  (\w+)(?:\.py|/)", inside_edge, re.MULTILINE))
    entries = [path for path in (ROOT / "edge").iterdir() if not path.name.startswith("_")]
    assert named == {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()}


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_nowhere(page: Path) -> None:
    """Every link of a page to a file finds one, and so does every page or test that it names in backticks."""
    text = page.read_text()
    assert not missing_links(text, page.parent)
    named = re.findall(r"`((?:docs|tests|packaging|examples|benchmarks|edge|cloud_stub|firmware_sim)/[\w./-]+)`", text)
    assert not [name for name in named if not (ROOT / name).exists()]


def test_a_missing_link_is_found() -> None:
    """The look for links does find one that leads nowhere, an image too, and leaves addresses alone."""
    text = "[a](docs/decision.md) [b](docs/nothing.md#part) ![c](no.svg) [d](https://example.org/x)"
    assert missing_links(text, ROOT) == ["docs/nothing.md", "no.svg"]


def test_the_licence_is_whole() -> None:
    """LICENSE is the Apache License 2.0, byte for byte as its authors publish it, and the one pyproject.toml names."""
    published = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == published
    assert tomllib.loads(read("pyproject.toml"))["project"]["license"] == "Apache-2.0"


def test_the_picture_is_drawn_for_everybody() -> None:
    """The picture is well-formed, loads nothing from elsewhere and says in words what it shows."""
    drawn = ElementTree.parse(ROOT / "docs" / "two-lines.svg").getroot()
    kinds = {element.tag.rpartition("}")[2] for element in drawn.iter()}
    assert {"title", "desc"} <= kinds
    assert not kinds & {"script", "image", "foreignObject"}


class _Unit(configparser.RawConfigParser):
    """A systemd unit: keys keep their case and may repeat; the last of each is kept, which is enough here."""

    def __init__(self) -> None:
        super().__init__(strict=False, interpolation=None)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def test_the_service_is_confined_and_can_still_work() -> None:
    """The unit gives no privilege, and leaves what the agent needs: its socket, its ports, the kernel's word on NTP."""
    unit = _Unit()
    unit.read_string(read("packaging/vantail.service"))
    service = unit["Service"]
    wanted = {
        "Type": "notify",
        "User": "vantail",
        "SupplementaryGroups": "dialout",
        "StateDirectory": "vantail",
        "RuntimeDirectory": "vantail",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ReadWritePaths": "-/etc/vantail/keys",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        "AmbientCapabilities": "",
        "Restart": "always",
        "DevicePolicy": "closed",
    }
    assert {name: service.get(name) for name in wanted} == wanted
    assert "AF_UNIX" in service["RestrictAddressFamilies"].split()
    assert {"adjtimex", "clock_adjtime"} <= set(service["SystemCallFilter"].split())
    assert "ProtectClock" not in service
    assert "PrivateDevices" not in service
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert "StartLimitIntervalSec" not in service


def test_the_service_and_its_configuration_agree() -> None:
    """What agent.toml names is what the unit makes: the data and runtime folders."""
    loaded = config.load(ROOT / "packaging" / "agent.toml")
    assert loaded.data == "/var/lib/vantail"
    assert Path(loaded.api).parent == Path("/run/vantail")
    assert loaded.keys == "/etc/vantail/keys"


def test_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    """Where systemd-analyze is there, it accepts the unit; it does object to a key that does not exist."""
    program = shutil.which("systemd-analyze")
    text = re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", read("packaging/vantail.service"), flags=re.MULTILINE)
    assert "ExecStart=/bin/true" in text
    if program is None:
        return
    for name, body, is_fine in (("good", text, True), ("bad", text.replace("Restart=", "Restrat="), False)):
        unit = tmp_path / f"{name}.service"
        unit.write_text(body)
        done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, timeout=60)
        assert (done.stderr == "") is is_fine, done.stderr
