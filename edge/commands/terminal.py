"""`vantail terminal`: the controller's menu, with arrow keys and digits."""

import argparse
import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from edge.commands.options import takes_config
from edge.config import load
from edge.console.api import call
from edge.failures import CommandError

FRENCH = Path(__file__).parents[1] / "locale" / "fr" / "LC_MESSAGES" / "commissioning.po"
PATIENCE_S = 30.0  # an answer that stores a new manager waits for the disk
EXAMPLES = """it needs a terminal: over SSH, or on a serial console (set TERM). Left goes back, right goes on.

examples:
  vantail terminal
  vantail terminal --lang fr
"""


def add(commands: Any) -> None:
    terminal = commands.add_parser(
        "terminal",
        help="the controller's menu: commissioning, with arrow keys and digits",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(terminal)
    terminal.add_argument("--lang", choices=("en", "fr"), default=_language(), help="default: $LANG's, or en")
    terminal.set_defaults(run=_terminal)


def _terminal(options: argparse.Namespace) -> int:
    from edge.translations import catalogue

    try:
        from edge.console.terminal import Terminal
    except ModuleNotFoundError as error:
        raise CommandError(
            f"{error.name} is not installed; run: pip install 'vantail[console]'", os.EX_UNAVAILABLE
        ) from None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError("it needs a terminal; scripts use: vantail learn", os.EX_USAGE)
    config = load(options.config)
    ask = partial(call, Path(config.api), timeout_s=PATIENCE_S)
    ask("ping")
    texts = catalogue(FRENCH).gettext if options.lang == "fr" else str
    Terminal(ask, texts, datetime.now(UTC).astimezone().tzinfo or UTC).run()
    return 0


def _language() -> str:
    return "fr" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("fr") else "en"
