"""`vantail init`: the first start of a new controller: agent.toml, its key, its password, and what comes next."""

import argparse
import asyncio
import glob
import json
import os
import pwd
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.commands.options import DEFAULT_CONFIG, a_path, takes_config
from edge.failures import CommandError

if TYPE_CHECKING:
    from edge.reader.osdp.scan import Found

FRENCH = Path(__file__).parents[1] / "locale" / "fr" / "LC_MESSAGES" / "init.po"
PORTS = ("/dev/ttyAMA[0-9]*", "/dev/ttyUSB*", "/dev/ttyACM*")
OWNER = "vantail"  # whose the keys become where root runs this
EXAMPLES = """examples:
  sudo vantail init                            asks, and looks for readers
  sudo vantail init --language fr
  vantail init --config ./agent.toml --yes --controller hall-a --port /dev/ttyUSB0 --cloud none
  vantail init --password                      a password alone, where the controller has none (any more)

Nothing that is there is written over. The password is shown once; keep it with the keys of the house.
"""


class Wanted(NamedTuple):
    """What was answered. site, cloud: "" for none."""

    controller: str
    site: str
    cloud: str
    ports: tuple[str, ...]
    rtc: bool


def add(commands: Any) -> None:
    init = commands.add_parser(
        "init",
        help="the first start: write agent.toml, the controller's key and its password",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(init)
    init.add_argument("--language", choices=("en", "fr"), help="of the questions")
    init.add_argument("--controller", metavar="ID", help="this controller's id: a-z, 0-9 and -")
    init.add_argument("--site", metavar="WORD", help="the site's word, for the notes in agent.toml")
    init.add_argument("--cloud", metavar="URL", help="where the manager's cloud enrols: https://HOST:PORT; or none")
    init.add_argument("--port", action="append", metavar="PORT", help="a serial port with OSDP readers; several times")
    init.add_argument("--baud", action="append", type=int, metavar="N", help="look for readers only at this speed")
    init.add_argument("--rtc", action="store_true", help="a battery-backed clock is fitted and kept right")
    init.add_argument("--data", type=a_path, metavar="DIR", help="the folder of the log and the policy")
    init.add_argument("--keys", type=a_path, metavar="DIR", help="the keys folder")
    init.add_argument("--api", type=a_path, metavar="SOCKET", help="the socket of the local API")
    init.add_argument("--yes", action="store_true", help="ask nothing")
    init.add_argument("--password", action="store_true", help="only make a password, where there is none")
    init.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        return _new_password(options) if options.password else _init(options)
    except OSError as error:
        where = error.filename or options.config
        raise CommandError(
            f"{where}: {error.strerror}; run this as root, or give other folders", os.EX_CANTCREAT
        ) from None


def _new_password(options: argparse.Namespace) -> int:
    from edge.config import load

    keys = Path(load(options.config).keys)
    _check_free(keys / "password.toml")
    _give(keys, print_password(keys))
    return os.EX_OK


def _init(options: argparse.Namespace) -> int:
    config = options.config
    is_usual = config == Path(DEFAULT_CONFIG)
    keys = options.keys or Path("/etc/vantail/keys" if is_usual else "keys")
    data = options.data or Path("/var/lib/vantail" if is_usual else "data")
    api = options.api or Path("/run/vantail/api.sock" if is_usual else "api.sock")
    folder = config.parent / keys
    _check_free(config, folder / "password.toml", folder / "manager.toml")
    say = _language(options)
    wanted = _wanted(options, say)
    found = {port: _look(port, options.baud) for port in wanted.ports}
    config.parent.mkdir(parents=True, exist_ok=True)
    _make_key(folder)
    _write(config, agent_toml(wanted, data, keys, api, found), 0o644)
    (config.parent / data).mkdir(mode=0o700, parents=True, exist_ok=True)
    print(say("%(file)s: written") % {"file": config})
    password_file = print_password(folder, say)
    _give(folder, password_file, config.parent / data)
    _examine(config, say)
    _say_next(config, wanted, found, say)
    return os.EX_OK


def _check_free(*paths: Path) -> None:
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise CommandError(f"{', '.join(there)}: there already, nothing is written over; move it away", os.EX_CANTCREAT)


# --- questions --------------------------------------------------------------------------------------------------------


def _language(options: argparse.Namespace) -> Callable[[str], str]:
    from edge.translations import catalogue

    language = options.language
    if language is None and _asks(options):
        language = "fr" if _ask("Language / langue: en, fr", "en").lower().startswith("fr") else "en"
    return catalogue(FRENCH).gettext if language == "fr" else str


def _asks(options: argparse.Namespace) -> bool:
    return not options.yes and sys.stdin.isatty()


def _ask(question: str, usual: str) -> str:
    print(f"{question} [{usual}]: " if usual else f"{question}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or usual


def _wanted(options: argparse.Namespace, say: Callable[[str], str]) -> Wanted:
    """What the options say, and where they do not what is answered. CommandError where that cannot be used."""
    from edge.uplink.cloud_line import parse_cloud
    from edge.uplink.keys import is_slug

    controller, site, cloud = options.controller or "", options.site or "", options.cloud or ""
    ports = list(options.port or ())
    rtc = bool(options.rtc)
    if _asks(options):
        controller = controller or _ask(say("This controller's id, as the manager names it"), "controller-1")
        site = site or _ask(say("The site's word (empty: not known yet)"), "")
        cloud = cloud or _ask(say("The cloud's address (https://…), or none"), "none")
        ports = ports or _ask(say("Serial ports with readers"), " ".join(serial_ports()) or "none").split()
        rtc = rtc or _ask(say("A battery-backed clock is fitted: yes, no"), "no")[:1].lower() in ("y", "o")
    if not is_slug(controller):
        raise CommandError("--controller: write the controller's id, 1 to 64 of a-z, 0-9 and -", os.EX_USAGE)
    cloud = "" if cloud == "none" else cloud
    if cloud:
        try:
            parse_cloud(cloud)
        except ValueError as error:
            raise CommandError(str(error), os.EX_USAGE) from None
    if site and not is_slug(site):
        raise CommandError("--site: write one word of a-z, 0-9 and -", os.EX_USAGE)
    return Wanted(controller, site, cloud, tuple(port for port in ports if port != "none"), rtc)


def serial_ports() -> list[str]:
    """The serial ports that are there."""
    return sorted(path for pattern in PORTS for path in glob.glob(pattern))


def _look(port: str, bauds: Sequence[int] | None) -> "list[Found]":
    """The readers of a port, as `vantail reader scan` finds them. CommandError."""
    from edge.commands.scan_progress import ScanProgress
    from edge.reader.osdp.scan import ADDRESSES, BAUDS, scan
    from edge.reader.serial_line import LineError

    if any(baud not in BAUDS for baud in bauds or ()):
        raise CommandError(f"--baud: one of {', '.join(map(str, BAUDS))}", os.EX_USAGE)
    try:
        with ScanProgress() as progress:
            return asyncio.run(
                scan(port, bauds or BAUDS, ADDRESSES, lambda far: progress.tell(port, far), asks_for_key=True)
            )
    except LineError as error:
        raise CommandError(str(error), os.EX_UNAVAILABLE) from None


# --- files ------------------------------------------------------------------------------------------------------------


def agent_toml(wanted: Wanted, data: Path, keys: Path, api: Path, found: "dict[str, list[Found]]") -> str:
    """The content of agent.toml, with notes for whoever goes on."""
    from edge.inspection.line_table import stranger_name

    site = f" at {wanted.site}" if wanted.site else ""
    lines = [
        f"# Controller {wanted.controller}{site}: the box and its wiring. What people may do comes from the manager.",
        "# Every key is explained in docs/configuration.md; `vantail doctor` checks this file and all that it names.",
        "",
        f'controller = "{wanted.controller}"',
        f"data = {json.dumps(str(data))}  # events.db, policy.db",
        f"keys = {json.dumps(str(keys))}  # device.key, password.toml; manager.toml once a manager is bound",
        f"api = {json.dumps(str(api))}  # `vantail status` and `vantail learn` ask here",
        "",
    ]
    if wanted.cloud:
        lines += [f"# `vantail enrol --cloud {wanted.cloud} --token T` prints what belongs here: [uplink]", ""]
    lines += ["[clock]", f"rtc = {json.dumps(wanted.rtc)}  # true where a battery-backed clock keeps the time", ""]
    for port, readers in found.items():
        for baud in sorted({one.baud for one in readers}):
            ids = [(stranger_name(one.address), one.address) for one in readers if one.baud == baud]
            lines += ["[[bus]]", f"port = {json.dumps(port)}", f"baud = {baud}", "readers = ["]
            lines += [f'  {{ id = "{name}", address = {address} }},' for name, address in ids]
            lines += ["]  # give each the id that the manager's site file has", ""]
    reader = next((stranger_name(one.address) for readers in found.values() for one in readers), "reader-0")
    lines += [
        "# [[door]]                            # one for each door",
        "# id = \"hall\"                         # the door's id in the manager's site file",
        f'# outputs = {{ door = "osdp:{reader}:0" }} # or gpio:CHIP:LINE, modbus:BOARD:COIL',
        '# exit = "gpio:gpiochip0:17"          # the exit button works without any manager',
    ]
    return "\n".join(lines) + "\n"


def print_password(keys: Path, say: Callable[[str], str] = str) -> Path:
    """Make a password, write its hash, and show it this once."""
    from edge.commissioning import password

    text = password.draw()
    path = keys / "password.toml"
    _write(path, password.make(text, 0).toml(), 0o600)
    print(say("the controller's password, shown only now: %(password)s") % {"password": text})
    return path


def _make_key(keys: Path) -> None:
    """device.key and device.pub, where there are none yet."""
    from edge.uplink import keys as files

    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (keys / "device.key").exists():
        return
    key = files.generate_key()
    try:
        files.write_private_key(keys / "device.key", key)
    except files.KeyFileError as error:
        raise CommandError(str(error), os.EX_CANTCREAT) from None
    files.write_public_key(keys / "device.pub", files.public_bytes(key))


def _write(path: Path, text: str, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        file.write(text)
        file.flush()
        os.fsync(handle)


def _give(*paths: Path) -> None:
    """Where root runs this: to the agent's user, if there is one."""
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(OWNER)
    except KeyError:
        return
    for path in paths:
        for each in [path, *(path.iterdir() if path.is_dir() else ())]:
            shutil.chown(each, OWNER, OWNER)


# --- what comes next --------------------------------------------------------------------------------------------------


def _examine(config: Path, say: Callable[[str], str]) -> None:
    """What `vantail doctor` finds wrong; nothing of it undoes what was written."""
    from edge.commands.scan_progress import ScanProgress
    from edge.inspection.doctor import examine

    with ScanProgress() as progress:
        seen = asyncio.run(examine(config, progress.tell))
    wrong = [check for check in seen.checks if not check.ok]
    print(say("doctor: %(good)d checks well, %(bad)d not") % {"good": len(seen.checks) - len(wrong), "bad": len(wrong)})
    for check in wrong:
        print(f"  {check.subject}: {check.found}" + (f" → {check.advice}" if check.advice else ""))


def _say_next(config: Path, wanted: Wanted, found: "dict[str, list[Found]]", say: Callable[[str], str]) -> None:
    place = "" if config == Path(DEFAULT_CONFIG) else f" --config {config}"
    steps = [say("write the doors and the readers' ids into %(file)s") % {"file": config}]
    steps.append(f"vantail run{place}   ({say('or')} sudo systemctl enable --now vantail)")
    if any(found.values()):
        steps.append(f"vantail reader pair{place} READER")
    if wanted.cloud:
        steps.append(f"vantail enrol{place} --cloud {wanted.cloud} --token T")
    steps.append(say("bring device.pub to the manager, and its hand-over here"))
    steps.append(f"vantail learn{place} --manager N --reader READER --handover FILE")
    print(say("next:"))
    for number, step in enumerate(steps, 1):
        print(f"  {number}. {step}")
