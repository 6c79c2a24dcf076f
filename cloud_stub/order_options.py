"""The arguments of the commands that do something to doors, see commands.orders. No Django here: it is not set up."""

import argparse
from typing import Any

NEARNESS = "whether the person stands at the door is not looked at"
OUTCOMES = """\
exit codes: 0 carried out, 77 denied at the door, 75 refused as stale (ask again), 69 no answer"""
WHERE = "SITE, CONTROLLER, SITE/CONTROLLER, CONTROLLER/DOOR or SITE/CONTROLLER/DOOR"


def add(commands: Any, place: argparse.ArgumentParser) -> None:
    """Each command with its arguments."""
    opening = _add(commands, place, "open", "open a door now", "open hall-a/cellar --who Martin")
    opening.add_argument("door", metavar="CONTROLLER/DOOR")
    opening.add_argument(
        "--mobile",
        metavar="NUMBER",
        help=f"as the person with this mobile credential, decided at the door ({NEARNESS})",
    )
    hold = _add(commands, place, "hold", "hold a door open for a while", "hold hall-a/hall-a --until 18:00")
    hold.add_argument("door", metavar="CONTROLLER/DOOR")
    hold.add_argument("--until", required=True, metavar="WHEN", help="a time of day or a moment, within 24 hours")
    unhold = _add(commands, place, "unhold", "end a hold", "unhold hall-a/hall-a")
    unhold.add_argument("door", metavar="CONTROLLER/DOOR")
    forgive = _add(commands, place, "forgive", "forget who is inside which area", "forgive parking")
    forgive.add_argument("controller", metavar="CONTROLLER")
    ask = _add(commands, place, "ask", "a controller's own status, as one object", "ask hall-a")
    ask.add_argument("controller", metavar="CONTROLLER")
    for name, what in (
        ("lockdown", "nobody enters, until release; also where a controller is off line"),
        ("release", "end a lockdown"),
    ):
        modes = commands.add_parser(name, parents=[place], help=what)
        modes.add_argument("where", metavar="WHERE", help=WHERE)
        _add_who(modes)


def _add(commands: Any, place: argparse.ArgumentParser, name: str, what: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, parents=[place], help=what, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"example:\n  vantail-cloud --data cloud {example}\n\n{OUTCOMES}",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=15, metavar="S", help="wait so long for the outcome (default: %(default)s)"
    )
    _add_who(parser)
    return parser


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--who", default="", metavar="NAME", help="who asks for it (default: who is logged in)")
    parser.add_argument("--json", action="store_true", help="one object a line")
