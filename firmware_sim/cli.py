"""The `vantail-sim` command: a building in software."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from firmware_sim import door_command, fleet_command, transfer_chapter
from firmware_sim.demo import Demo, DemoError, dump, play, report_line
from firmware_sim.fleet_sites import FleetError
from firmware_sim.presenting import converse
from firmware_sim.screen import Screen

EXAMPLES = """examples:
  vantail-sim demo                                  the example residence, its day, then you
  vantail-sim demo --script                         the day alone; exit 0 only if all was as expected
  vantail-sim demo --building DIR --day FILE --script --json
  vantail-sim demo --chapter transfer --script      a residence of three halls changes its manager
  vantail-sim fleet --controllers 100 --events-per-s 50
  vantail-sim door --config agent.toml              a page with the doors of a running agent
"""
BUILDING = Path("examples/clos-des-dunes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_until_told(options))
    except (DemoError, FleetError) as error:
        print(f"vantail-sim: {error}", file=sys.stderr)
        return os.EX_DATAERR
    except door_command.DoorError as error:
        print(f"vantail-sim: {error}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"vantail-sim: {error}", file=sys.stderr)
        return os.EX_OSERR
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _fail(said: str, code: int) -> int:
    """One line, whatever was typed or is in a file: what would move the cursor is left out."""
    print("vantail-sim: " + "".join(each if each.isprintable() else " " for each in said), file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and the exit code that scripts expect."""
        print(f"vantail-sim: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(os.EX_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vantail-sim",
        description="A building in software: readers, strikes, controllers, cloud.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="a residence at work")
    demo.add_argument("--building", type=Path, default=BUILDING, metavar="DIR", help=f"default {BUILDING}")
    demo.add_argument("--day", type=Path, metavar="FILE", help="default day.csv of the building")
    demo.add_argument("--script", action="store_true", help="play the day and end; no terminal is needed")
    demo.add_argument("--json", action="store_true", help="one JSON object on stdout; everything else to stderr")
    demo.add_argument("--broker", choices=("iotcore", "mosquitto"), default="iotcore")
    demo.add_argument("--dir", type=Path, default=Path(".demo"), help="where everything is kept (default .demo)")
    demo.add_argument("--chapter", choices=("transfer",), help="a story of its own in place of the building's day")
    demo.set_defaults(run=_demo)
    door_command.add(commands)
    fleet_command.add(commands)
    return parser


async def _until_told(options: argparse.Namespace) -> int:
    """Run the command; SIGTERM and SIGINT end it as a cancellation."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return int(await options.run(options))


async def _demo(options: argparse.Namespace) -> int:
    screen = Screen(sys.stderr if options.json else sys.stdout)
    if options.chapter:
        report = await transfer_chapter.play(options.dir.resolve() / "transfer", screen)
        screen.say(f"{report['as_expected']} of {report['steps']} steps as expected")
        if options.json:
            print(dump(report), flush=True)
        return 0 if report["ok"] else 1
    day = options.day or options.building / "day.csv"
    demo = Demo(options.building, day, options.dir.resolve(), options.broker, screen)
    async with demo.running():
        screen.say(f"events: {demo.cloud_address}")
        screen.say(f"doors:  {demo.doors_address}")
        report = await play(demo, screen)
        screen.say(report_line(report))
        if options.json:
            print(dump(report), flush=True)
        if not options.script:
            with contextlib.suppress(EOFError):
                await converse(demo, screen)
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
