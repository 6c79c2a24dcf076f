"""Options and words that several commands share."""

import argparse
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.failures import CommandError

DEFAULT_CONFIG = "/etc/vantail/agent.toml"
_YEAR_3000_MS = 32_503_680_000_000
_DAYS_AGO = {"today": 0, "yesterday": 1}
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_UNITS |= {word: unit for unit in _UNITS.values() for word in (unit, unit[:-1])} | {"min": "minutes"}
_AGO = re.compile(rf"(?P<number>\d{{1,6}}) ?(?P<unit>{'|'.join(sorted(_UNITS, key=len, reverse=True))})(?: ago)?")


def takes_config(parser: argparse.ArgumentParser) -> None:
    """--config FILE."""
    parser.add_argument("--config", type=a_path, default=Path(DEFAULT_CONFIG), metavar="FILE", help="agent.toml")


def a_path(text: str) -> Path:
    """A path as an argument. An empty one, as a script's unset variable leaves it, would mean this folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; write a path")
    return Path(text)


def parse_time(text: str) -> int:
    """UTC ms of an ISO time of 1970 to 2999; without an offset it is this machine's local time."""
    try:
        utc_ms = int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise CommandError(f"'{text}' is no time; write 2026-11-23 or 2026-11-23T07:58", os.EX_USAGE) from None
    if not 0 <= utc_ms < _YEAR_3000_MS:
        raise CommandError(f"'{text}': write a time of 1970 to 2999", os.EX_USAGE)
    return utc_ms


def parse_past(text: str, now: datetime) -> int:
    """UTC ms of an ISO time, or of a person's words for one: now, today, yesterday, "2 hours ago", 2h, 3d."""
    said = " ".join(text.lower().split())
    if said == "now":
        return _utc_ms(now)
    if said in _DAYS_AGO:
        midnight = now.astimezone().replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        return _utc_ms(midnight - timedelta(days=_DAYS_AGO[said]))  # naive: the offset of that day, not of today
    found = _AGO.fullmatch(said)
    try:
        if found is not None:
            return _utc_ms(now - timedelta(**{_UNITS[found["unit"]]: int(found["number"])}))
        return _utc_ms(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise CommandError(
            f"'{text}' is no time; write 2026-11-23, 2026-11-23T07:58, yesterday or \"2 hours ago\"", os.EX_USAGE
        ) from None


def _utc_ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)


def local_time(utc_ms: int) -> str:
    """UTC ms as this machine's local time."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
