"""Options and words that several commands share."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from edge.failures import CommandError

DEFAULT_CONFIG = "/etc/vantail/agent.toml"


def takes_config(parser: argparse.ArgumentParser) -> None:
    """--config FILE."""
    parser.add_argument("--config", type=Path, default=Path(DEFAULT_CONFIG), metavar="FILE", help="agent.toml")


def parse_time(text: str) -> int:
    """UTC ms of an ISO time; without an offset it is this machine's local time."""
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise CommandError(f"'{text}' is no time; write 2026-11-23 or 2026-11-23T07:58", os.EX_USAGE) from None


def local_time(utc_ms: int) -> str:
    """UTC ms as this machine's local time."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
