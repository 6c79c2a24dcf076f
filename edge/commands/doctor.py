"""`vantail doctor`: look at everything that a controller needs."""

import argparse
import asyncio
import json
import os
from typing import Any

from edge.commands.options import takes_config


def add(commands: Any) -> None:
    doctor = commands.add_parser("doctor", help="check configuration, keys, serial ports, clock, disk and broker")
    takes_config(doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from edge.doctor import examine

    checks = asyncio.run(examine(options.config))
    if options.json:
        print(json.dumps({"ok": all(check.ok for check in checks), "checks": [check._asdict() for check in checks]}))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL'} {check.subject:<10} {check.found}")
            if check.advice:
                print(f"     {'':<10} → {check.advice}")
    return 0 if all(check.ok for check in checks) else os.EX_CONFIG
