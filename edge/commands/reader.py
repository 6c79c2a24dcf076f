"""`vantail reader`: what is done with OSDP readers themselves: look for them, give them keys."""

import argparse
from typing import Any

from edge.commands import reader_keys, reader_move, reader_scan

EXAMPLES = """examples:
  vantail reader scan /dev/ttyUSB0
  vantail reader scan /dev/ttyAMA0 --baud 9600,115200 --address 0-15
  vantail reader pair hall-a-in
  vantail reader rekey hall-a-in
  vantail reader move hall-a-in --address 3
"""


def add(commands: Any) -> None:
    reader = commands.add_parser(
        "reader",
        help="look for OSDP readers, pair them, change their keys",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = reader.add_subparsers(title="actions", required=True, metavar="ACTION")
    reader_scan.add(actions)
    reader_keys.add(actions)
    reader_move.add(actions)
