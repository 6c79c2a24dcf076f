"""`vantail doctor`: look at everything that a controller needs."""

import argparse
import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from edge.commands.options import a_path, takes_config
from edge.failures import CommandError

if TYPE_CHECKING:
    from edge.inspection.doctor import Check, Examination

EXAMPLES = """examples:
  vantail doctor
  vantail doctor --json
  vantail doctor --wiring wiring.svg

Where the agent runs, it is asked. Where none does, the serial ports are opened, readers are looked for and greeted with
their keys: run it as the agent's user. Nothing is unlocked by it.
"""


def add(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check configuration, keys, readers, relays, clock, disk and broker; draw the wiring",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor.add_argument("--wiring", type=a_path, metavar="FILE.svg", help="only draw how agent.toml says it is wired")
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    if options.wiring is not None:
        return _draw_wiring(options)
    from edge.commands.scan_progress import ScanProgress
    from edge.inspection.doctor import examine

    with ScanProgress() as progress:
        seen = asyncio.run(examine(options.config, progress.tell))
    is_well = all(check.ok for check in seen.checks)
    if options.json:
        print(json.dumps(_as_object(seen, is_well), ensure_ascii=False))
    else:
        print("\n".join(_shown(seen)))
    return 0 if is_well else os.EX_CONFIG


def _as_object(seen: "Examination", is_well: bool) -> dict[str, Any]:
    from edge.inspection.line_table import as_object

    return {
        "ok": is_well,
        "checks": [check._asdict() for check in seen.checks],
        "lines": [as_object(line) for line in seen.lines],
        "modbus": seen.boards,
    }


def _shown(seen: "Examination") -> list[str]:
    """A line a check; what is said of readers is drawn along their lines at the end."""
    from edge.inspection.line_table import drawn

    shown = [text for check in seen.checks if check.subject != "reader" for text in _check_lines(check)]
    for line in seen.lines:
        shown += ["", *drawn(line)]
    return shown


def _check_lines(check: "Check") -> list[str]:
    lines = [f"{'ok  ' if check.ok else 'FAIL'} {check.subject:<10} {check.found}"]
    return [*lines, f"     {'':<10} → {check.advice}"] if check.advice else lines


def _draw_wiring(options: argparse.Namespace) -> int:
    from edge.config import load
    from edge.pictures.wiring_picture import draw

    picture = draw(load(options.config))
    try:
        options.wiring.write_text(picture, "utf-8")
    except OSError as error:
        raise CommandError(f"{options.wiring}: cannot be written ({error.strerror})", os.EX_CANTCREAT) from None
    print(f"{options.wiring}: open it in a browser")
    return 0
