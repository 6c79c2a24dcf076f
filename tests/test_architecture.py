"""The import directions of ARCHITECTURE.md, read from the sources. Each rule is also shown a tree that breaks it."""

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("edge", "cloud_stub", "firmware_sim")

# The packages of the edge that know the decision core, and nothing of one another.
APART = ("reader", "lines", "storage", "uplink", "commissioning", "console", "operations", "residence")
SHARED = {"residence": ("edge.codes",)}  # a leaf that imports nothing of ours: both ends of a code's number

PORTABLE_IMPORTS = ("collections", "struct", "micropython")
PORTABLE_OSDP = "edge/reader/osdp/link.py"  # and whatever it imports

# A library that is named in these places only: a file, or a folder with a slash at its end.
NAMED_IN = {
    "cbor2": ("edge/uplink/wire.py",),
    "paho": (
        "edge/uplink/mqtt.py",
        "edge/home_assistant_line.py",
        "cloud_stub/broker.py",
        "firmware_sim/fleet_line.py",
    ),
    "nats": ("cloud_stub/nats_line.py",),
    "psycopg": (),  # Django alone imports it
    "prometheus_client": ("edge/metrics.py", "cloud_stub/"),
    "serial_asyncio": ("edge/reader/serial_line.py",),
    "serial": ("edge/reader/serial_line.py",),
    "sqlite_utils": ("edge/storage/migrations.py",),
    "gpiod": ("edge/lines/gpio.py", "firmware_sim/gpio_double.py"),
    "pymodbus": ("edge/lines/modbus.py", "firmware_sim/modbus_board.py"),
    "osdp": ("firmware_sim/osdp_reader.py",),
    "osdp_sys": ("firmware_sim/osdp_reader.py",),
    "iotcore": ("firmware_sim/broker_process.py",),
    "microdot": ("edge/console/installer_page.py", "firmware_sim/"),
    "segno": ("edge/commands/console.py",),
    "textual": ("edge/console/terminal.py",),
    "django": ("cloud_stub/",),
    "django_htmx": ("cloud_stub/",),
    "waitress": ("cloud_stub/",),
    "whitenoise": ("cloud_stub/",),
}

# What the two sides beside the edge may take from it.
FOR_BOTH = ("edge.decision", "edge.residence", "edge.codes", "edge.uplink.wire", "edge.uplink.signing")
FOR_BOTH += ("edge.uplink.statements", "edge.uplink.transfer_file", "edge.translations")
FOR_FILES = {
    "firmware_sim/driven_agent.py": ("edge.agent", "edge.service"),
    "firmware_sim/driven_clock.py": ("edge.clock",),
    "firmware_sim/control.py": ("edge.console.api",),
    "firmware_sim/door_bench.py": ("edge.reader.card_format",),
    "firmware_sim/door_command.py": ("edge.config", "edge.reader.osdp.key_file"),
    # A fleet's controllers say what an agent says, by the same state machine; they have no agent.
    "firmware_sim/fleet_controller.py": ("edge.uplink.sync",),
    "firmware_sim/player.py": ("edge.reader.card_format",),
    "firmware_sim/pulses.py": ("edge.reader.card_format",),
    "firmware_sim/transfer_hall.py": ("edge.reader.card_format", "edge.commissioning.password"),
}

# The protocol's own name; always reached as edge.reader.osdp, and libosdp's package from firmware_sim only.
NAMED_LIKE_ANOTHER = ("edge/reader/osdp",)


# --- reading imports --------------------------------------------------------------------------------------------


def sources(root: Path) -> list[Path]:
    """Every Python file of ours below `root`."""
    return sorted(path for name in OURS for path in (root / name).rglob("*.py"))


def imports_of(path: Path, root: Path) -> set[str]:
    """The dotted names that a file imports, wherever in it, also by importlib and also for types only."""
    found = set()
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {
                f"{module}.{alias.name}" if _is_module(root, module, alias.name) else module for alias in node.names
            }
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def _is_module(root: Path, module: str, name: str) -> bool:
    folder = root.joinpath(*module.split("."))
    return (folder / f"{name}.py").exists() or (folder / name).is_dir()


def is_within(name: str, wanted: str) -> bool:
    """Whether a dotted name is `wanted` or below it."""
    return name == wanted or name.startswith(wanted + ".")


def is_allowed(name: str, allowed: tuple[str, ...]) -> bool:
    return any(is_within(name, one) for one in allowed)


@functools.cache
def every_import(root: Path) -> list[tuple[str, str]]:
    """(file, dotted name) of every import of ours."""
    return [
        (path.relative_to(root).as_posix(), name) for path in sources(root) for name in sorted(imports_of(path, root))
    ]


# --- the rules: each gives (file, import) of what breaks it -----------------------------------------------------


def entangled(root: Path) -> list[tuple[str, str]]:
    """The packages of the edge never import one another, nor what is above them: only decision."""
    found = []
    for file, name in every_import(root):
        parts = file.split("/")
        is_apart = parts[0] == "edge" and len(parts) > 2 and parts[1] in APART
        allowed = (f"edge.{parts[1]}", "edge.decision", *SHARED.get(parts[1], ())) if is_apart else ()
        if is_apart and is_within(name, "edge") and not is_allowed(name, allowed):
            found.append((file, name))
    return found


def not_portable(root: Path) -> list[tuple[str, str]]:
    """The decision core and the sans-io OSDP codecs import what MicroPython has, and themselves."""
    found = []
    codecs = _reached_from(root, PORTABLE_OSDP)
    for file, name in every_import(root):
        if file.startswith("edge/decision/") and not is_allowed(name, (*PORTABLE_IMPORTS, "edge.decision")):
            found.append((file, name))
        if file in codecs and not is_allowed(name, (*PORTABLE_IMPORTS, "edge.reader.osdp")):
            found.append((file, name))
    return found


def _reached_from(root: Path, file: str) -> set[str]:
    """The file and those of ours that it imports, directly or not."""
    reached, todo = set(), [file]
    while todo:
        file = todo.pop()
        if file not in reached:
            reached.add(file)
            todo += [name.replace(".", "/") + ".py" for of, name in every_import(root) if of == file]
    return reached


def named_elsewhere(root: Path) -> list[tuple[str, str]]:
    """A library that has its file is named in no other."""
    found = []
    for file, name in every_import(root):
        places = NAMED_IN.get(name.split(".")[0], ("",))
        if not any(file == place or (place.endswith("/") and file.startswith(place)) or not place for place in places):
            found.append((file, name))
    return found


def taken_from_the_edge(root: Path) -> list[tuple[str, str]]:
    """cloud_stub and firmware_sim take from the edge what both ends must share, and in named files what drives it."""
    return [
        (file, name)
        for file, name in every_import(root)
        if not file.startswith("edge/")
        and is_within(name, "edge")
        and name != "edge"
        and not is_allowed(name, (*FOR_BOTH, *FOR_FILES.get(file, ())))
    ]


def against_the_direction(root: Path) -> list[tuple[str, str]]:
    """The edge knows neither cloud nor simulator, and these two do not know each other."""
    return [
        (file, name)
        for file, name in every_import(root)
        for other in ("cloud_stub", "firmware_sim")
        if is_within(name, other) and not file.startswith(other + "/")
    ]


def named_like_another(root: Path) -> list[tuple[str, str]]:
    """No module or package of ours has the name of one that is imported anywhere here: run as a script, or with its
    folder on the path, it would be found in the other's place."""
    imported = {name.split(".")[0] for _, name in every_import(root)} - set(OURS)
    found = []
    for path in sources(root):
        place = path.parent if path.name == "__init__.py" else path.with_suffix("")
        name = place.relative_to(root).as_posix()
        if place.name in imported and name not in NAMED_LIKE_ANOTHER:
            found.append((name, place.name))
    return found


RULES = (entangled, not_portable, named_elsewhere, taken_from_the_edge, against_the_direction, named_like_another)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_sources_keep_the_rule(rule):
    """Read from every import of edge, cloud_stub and firmware_sim."""
    assert len(every_import(ROOT)) > 300
    assert rule(ROOT) == [], rule.__doc__


@pytest.mark.parametrize(
    ("rule", "file", "source"),
    [
        (entangled, "edge/reader/keypad.py", "from edge.storage import event_log\n"),
        (entangled, "edge/storage/event_log.py", "import edge.uplink.wire\n"),
        (entangled, "edge/console/api.py", "from edge.agent import Agent\n"),
        (entangled, "edge/residence/compile.py", "from edge.uplink.signing import sign\n"),
        (entangled, "edge/lines/gpio.py", "from ..reader import wiegand\n"),
        (entangled, "edge/uplink/sync.py", "if TYPE_CHECKING:\n    from edge.storage.event_log import EventLog\n"),
        (not_portable, "edge/decision/door.py", "import time\n"),
        (not_portable, "edge/decision/call.py", "def f():\n    from typing import Any\n"),
        (not_portable, "edge/decision/call.py", "from edge.reader import inputs\n"),
        (not_portable, "edge/reader/osdp/link.py", "import asyncio\n"),
        (not_portable, "edge/reader/osdp/link.py", "from edge.reader import inputs\n"),
        (not_portable, "edge/reader/osdp/bus.py", "import asyncio\n"),
        (named_elsewhere, "edge/uplink/signing.py", "import cbor2\n"),
        (named_elsewhere, "edge/synchronising.py", "import paho.mqtt.client\n"),
        (named_elsewhere, "cloud_stub/server.py", "from paho.mqtt import client\n"),
        (named_elsewhere, "edge/reader/modem_line.py", "import serial\n"),
        (named_elsewhere, "edge/storage/database.py", "from sqlite_utils import Database\n"),
        (named_elsewhere, "edge/doctor.py", "from django.conf import settings\n"),
        (named_elsewhere, "edge/agent.py", "import importlib\nimportlib.import_module('cbor2')\n"),
        (taken_from_the_edge, "cloud_stub/commands.py", "from edge.storage.event_log import EventLog\n"),
        (taken_from_the_edge, "cloud_stub/commands.py", "from edge.uplink import sync\n"),
        (taken_from_the_edge, "firmware_sim/demo.py", "from edge.agent import Agent\n"),
        (against_the_direction, "edge/cli.py", "from firmware_sim.demo import Demo\n"),
        (against_the_direction, "cloud_stub/cli.py", "import firmware_sim\n"),
        (against_the_direction, "firmware_sim/demo.py", "from cloud_stub import cli\n"),
        (named_like_another, "edge/serial.py", "import serial\n"),
        (named_like_another, "edge/storage/signal/__init__.py", "import signal\n"),
    ],
)
def test_a_tree_that_breaks_the_rule_is_seen(tmp_path, rule, file, source):
    """Negative control: one file with the import that the rule forbids."""
    for module in (
        "edge/storage/event_log",
        "edge/reader/osdp/bus",
        "edge/uplink/sync",
        "edge/reader/inputs",
        "edge/reader/wiegand",
    ):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{module}.py").write_text("")
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if file == "edge/reader/osdp/bus.py":  # not portable by itself, but link would bring it in
        path.with_name("link.py").write_text("from edge.reader.osdp import bus\n")
    path.write_text(source)
    found = [place for place, _ in rule(tmp_path)]
    assert found == [file if rule is not named_like_another else file.removesuffix(".py").removesuffix("/__init__")]


def test_every_place_that_a_rule_names_exists():
    """A rule about a file that was renamed would hold for ever; only what later issues bring may be missing."""
    later = {"edge/lines/gpio.py", "firmware_sim/gpio_double.py", "firmware_sim/pulses.py"}
    places = {place for all_places in NAMED_IN.values() for place in all_places} | set(FOR_FILES) | {PORTABLE_OSDP}
    assert {place for place in places if not (ROOT / place).exists()} <= later


def test_test_modules_have_names_of_their_own():
    """pytest puts each test folder on the path: two files of one name, or one named like a library, would be taken for
    each other."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name not in ("conftest.py", "__init__.py")]
    names = [path.stem for path in files]
    assert sorted(names) == sorted(set(names))
    assert not set(names) & (set(sys.stdlib_module_names) | set(NAMED_IN) | set(OURS))
