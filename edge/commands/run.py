"""`vantail run`: be the controller."""

import argparse
from typing import Any

from edge.commands.options import takes_config


def add(commands: Any) -> None:
    run = commands.add_parser("run", help="be the controller, until stopped")
    takes_config(run)
    run.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from edge.service import serve  # the agent's parts are not needed by the other commands

    return serve(options.config)
