"""The residence that these tests import, and when they do."""

from datetime import UTC, date, datetime
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "clos-des-dunes"
NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)
EVENT_KEYS = [
    "at", "site", "controller", "door", "reader", "medium", "credential", "holder", "result", "reason", "output",
    "seq", "log", "clock_trusted",
]  # fmt: skip
