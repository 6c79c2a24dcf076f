"""The arguments of `vantail-cloud manager` and `vantail-cloud transfer`, see commands. No Django here: it is not set
up."""

import argparse
from typing import Any

HISTORY_DAYS = 90  # how long persons' events are kept, passages.purging
MANAGER_EXAMPLES = """\
examples:
  vantail-cloud --data cloud manager set --number 4712      once; makes root.key, which then belongs off line
  vantail-cloud --data cloud manager show                   number and the print of the root key, for the sheet"""
TRANSFER_EXAMPLES = """\
examples, the old manager:
  vantail-cloud --data old transfer authorise clos-des-dunes --package clos.residence
  vantail-cloud --data old transfer revoke clos-des-dunes --out withdrawals
  vantail-cloud --data old transfer close clos-des-dunes
examples, the new manager:
  vantail-cloud --data new transfer accept clos.residence --number XXXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX
  vantail-cloud --data new transfer key clos-des-dunes --badge 1111100007 --new 0000004711
  vantail-cloud --data new transfer handover clos-des-dunes hall-a --out hall-a.dat
  vantail-cloud --data new transfer sheet clos-des-dunes
  vantail-cloud --data new transfer status clos-des-dunes"""


def add(commands: Any, place: argparse.ArgumentParser) -> None:
    """`manager` and `transfer` with their actions. place: the options that every command has."""
    _add_manager(_actions(commands, place, "manager", "this manager's number and keys", MANAGER_EXAMPLES), place)
    actions = _actions(commands, place, "transfer", "a residence goes from one manager to another", TRANSFER_EXAMPLES)
    _add_old(actions, place)
    _add_new(actions, place)
    status = _of_site(actions, place, "status", "how far a transfer is, either way")
    status.add_argument("--json", action="store_true", help="one object")


def _actions(commands: Any, place: argparse.ArgumentParser, name: str, what: str, examples: str) -> Any:
    parser = commands.add_parser(
        name, parents=[place], help=what, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def _of_site(actions: Any, place: argparse.ArgumentParser, name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, parents=[place], help=what)
    parser.add_argument("site", metavar="SITE")
    parser.add_argument("--now", default="", metavar="WHEN", help="as if it were then, ISO 8601")
    return parser


def _add_manager(actions: Any, place: argparse.ArgumentParser) -> None:
    show = actions.add_parser("show", parents=[place], help="number, prints of the keys, serial")
    show.add_argument("--json", action="store_true", help="one object")
    setting = actions.add_parser("set", parents=[place], help="number and address; the first time also makes root.key")
    setting.add_argument("--number", type=int, metavar="N", help="what an installer types at a controller")
    setting.add_argument("--cloud", metavar="URL", help="where controllers enrol, https://HOST:PORT; '' for nowhere")
    renew = actions.add_parser(
        "renew-key", parents=[place], help="another manager.key, certified under the next serial"
    )
    _add_root_key(renew)
    renew.add_argument("--force", action="store_true", help="also where controllers obey the present one")


def _add_old(actions: Any, place: argparse.ArgumentParser) -> None:
    authorise = _of_site(actions, place, "authorise", "let a residence go: its transfer number, shown once, and a file")
    authorise.add_argument("--package", required=True, metavar="FILE", help="to write: the residence, sealed")
    authorise.add_argument("--days", type=float, default=30, metavar="N", help="good for so long (default: 30)")
    authorise.add_argument(
        "--history-days", type=int, default=HISTORY_DAYS, metavar="N", help="events of so many days go along (90)"
    )
    authorise.add_argument("--force", action="store_true", help="take the place of a file that is there")
    authorise.add_argument("--json", action="store_true", help="one object")
    revoke = _of_site(actions, place, "revoke", "take it back: the number counts no more")
    revoke.add_argument(
        "--out", default="", metavar="DIR", help="gets a DAT file for each controller, and the new manager"
    )
    _of_site(actions, place, "close", "it is another manager's: no more policies; late events are still taken")


def _add_new(actions: Any, place: argparse.ArgumentParser) -> None:
    accept = actions.add_parser("accept", parents=[place], help="take a residence in")
    accept.add_argument("file", metavar="FILE", help="that the old manager's transfer authorise wrote")
    accept.add_argument("--number", required=True, metavar="N", help="the transfer number; -: read it from stdin")
    accept.add_argument("--now", default="", metavar="WHEN", help="as if it were then, ISO 8601")
    withdraw = actions.add_parser("withdraw", parents=[place], help="the old manager took it back: what revoke wrote")
    withdraw.add_argument("file", metavar="FILE")
    withdraw.add_argument("--now", default="", metavar="WHEN", help="as if it were then, ISO 8601")
    key = _of_site(actions, place, "key", "duplicate a badge; the copy is the commissioning key")
    key.add_argument(
        "--badge", required=True, metavar="NUMBER", help="to duplicate: one that opens where readers learn"
    )
    key.add_argument("--new", required=True, metavar="NUMBER", help="of the new key")
    handover = _of_site(actions, place, "handover", "what makes one controller obey us, for one visit")
    handover.add_argument("controller", metavar="CONTROLLER")
    handover.add_argument("--out", required=True, metavar="FILE")
    handover.add_argument("--bare", action="store_true", help="not a DAT file with our policy: the statements alone")
    handover.add_argument("--keys", default="", metavar="DIR", help="has the device.pub of one that had no device yet")
    handover.add_argument("--start", default="", metavar="READER", help="for a controller without keys: begin there")
    handover.add_argument("--password-file", default="", metavar="FILE", help="with --start: the controller's password")
    handover.add_argument("--countdown", type=int, default=90, metavar="S", help="with --start (default: 90)")
    handover.add_argument("--force", action="store_true", help="take the place of a file that is there")
    _add_root_key(handover)
    _of_site(actions, place, "sheet", "what to bring, as text to print")


def _add_root_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root-key", default="", metavar="FILE", help="default: root.key in the data folder")
