"""Moments as they are written on the command line."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cloud_stub.errors import UsageError
from cloud_stub.passages.listing import local_days
from cloud_stub.residences.models import Site

YEAR_3000_MS = 32_503_680_000_000


def only_zone() -> str:
    """The time zone of the only site; UTC where there are several, or none."""
    zones = list(Site.objects.values_list("time_zone", flat=True)[:2])
    return zones[0] if len(zones) == 1 else "UTC"


def present(text: str) -> datetime:
    """The present, or the moment that was asked for; without an offset it is UTC."""
    if not text:
        return datetime.now(UTC)
    utc_ms = moment("--now", text, "UTC", 0) or 0
    if not 0 <= utc_ms < YEAR_3000_MS:
        raise UsageError(f"--now {text}: write a time of 1970 to 2999")
    return datetime.fromtimestamp(utc_ms / 1000, UTC)


def moment(name: str, text: str, zone: str, end: int) -> int | None:
    """A day or a time; without an offset it is local to the only site, or UTC where there are several."""
    try:
        if len(text) <= len("2026-11-23"):
            return local_days(text, text, zone)[end]
        at = datetime.fromisoformat(text)
        local = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))
        return int(local.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{name} {text}: write 2026-11-23, 2026-11-23T08:00 or 2026-11-23T07:00:00Z") from error
