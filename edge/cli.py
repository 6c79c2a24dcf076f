"""The `vantail` command. Errors are one line on stderr; exit codes are those of sysexits.h."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from edge import __version__
from edge.commands import (
    backup,
    console,
    dat,
    doctor,
    enrol,
    events,
    explain,
    home_assistant,
    init,
    keygen,
    learn,
    metrics,
    reader,
    replay,
    restore,
    run,
    status,
    terminal,
)
from edge.config import ConfigError
from edge.console.api import ApiError
from edge.failures import CommandError

COMMANDS = (
    run, status, events, dat, backup, restore, doctor, reader, explain, replay, init, keygen, enrol, terminal, console,
    learn, metrics, home_assistant,
)  # fmt: skip
EXAMPLES = """examples:
  vantail keygen --keys /etc/vantail/keys
  vantail enrol --cloud https://cloud.example:8884 --token T --ca-fingerprint F
  vantail doctor --config /etc/vantail/agent.toml
  vantail reader pair hall-a-in
  vantail run --config /etc/vantail/agent.toml
  vantail status --json
  vantail events --result denied --limit 20
  vantail events --follow
  vantail events --since yesterday --csv
  vantail events --since "8 weeks ago" --plot passages.svg --lang fr
  vantail events verify
  vantail backup /media/usb/hall-a.vantail
  vantail restore /media/usb/hall-a.vantail
  vantail explain --door hall-a --medium badge --value 1111100008
  vantail replay --building examples/clos-des-dunes --day examples/clos-des-dunes/day.csv
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except CommandError as error:
        return _fail(str(error), error.code)
    except ConfigError as error:
        return _fail(str(error), os.EX_CONFIG)
    except ApiError as error:
        return _fail(str(error), os.EX_UNAVAILABLE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("VANTAIL_TRACEBACK"):
            raise
        if isinstance(error, PermissionError) and error.filename:
            return _fail(f"{error.filename}: {error.strerror}; run this as a user who may", os.EX_NOPERM)
        said = f"unexpected {type(error).__name__}: {error}; set VANTAIL_TRACEBACK=1 to see where"
        return _fail(said, os.EX_SOFTWARE)


def _fail(said: str, code: int) -> int:
    """One line, whatever was typed or is in a file: what would move the cursor is left out."""
    print("vantail: " + "".join(each if each.isprintable() else " " for each in said), file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and the exit code that scripts expect."""
        raise CommandError(f"{message}; see {self.prog} --help", os.EX_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vantail",
        description="The agent beside a building's door.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vantail {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
