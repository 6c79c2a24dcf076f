"""What people read of a transfer: the sheet to bring along, and how far it is."""

from datetime import datetime
from typing import Any

from cloud_stub.residences.models import Controller, Site
from cloud_stub.transfers import manager_keys, progress
from cloud_stub.transfers.models import Arrival, Departure, Manager


def text(site: Site, manager: Manager, now: datetime) -> str:
    """The list of what to bring to the site and where to go, to be printed. ConfigError where nothing is under way."""
    arrival = progress.open_arrival(site)
    boxes = progress.boxes(site)
    key = f"the one that ends in {arrival.key_ending}" if arrival.key else "NONE YET: vantail-cloud transfer key"
    lines = [
        f"CHANGE OF MANAGER   {site.name} ({site.slug})",
        "",
        f"manager's number    {manager.number}",
        f"root key's print    {manager_keys.root_print(manager)}",
        f"commissioning key   {key}",
        f"good until          {arrival.expires_at:%Y-%m-%d %H:%M} UTC",
        f"printed             {now:%Y-%m-%d %H:%M} UTC, {_count(boxes)}",
        "",
        "Bring this sheet, the commissioning key, each controller's password, and for each its hand-over file.",
        "",
    ]
    for box in boxes:
        doors = ", ".join(box.doors.order_by("position").values_list("name", flat=True))
        lines.append(
            f"[{'x' if progress.is_done(box) else ' '}] {box.slug}: {box.name}{', mini' if box.is_mini else ''}"
        )
        lines.append(f"    doors: {doors}")
        lines.append(f"    device: {box.fingerprint[:16] or 'none registered, its keys folder is needed'}")
    return "\n".join(lines)


def status(site: Site, now: datetime) -> dict[str, Any]:
    """How far it is; ends what is done. Keys: site, leaves, comes, each None where that is not so."""
    departure, arrival = Departure.objects.filter(site=site).first(), Arrival.objects.filter(site=site).first()
    if arrival is not None:
        progress.settle(arrival, now)
    return {
        "site": site.slug,
        "leaves": departure and _leaving(departure, now),
        "comes": arrival and _coming(arrival, progress.boxes(site), now),
    }


def status_lines(found: dict[str, Any]) -> list[str]:
    """The same for eyes."""
    leaves, comes, lines = found["leaves"], found["comes"], []
    if leaves:
        lines.append(f"{found['site']}: to another manager: {leaves['state']}, good until {leaves['expires']}")
    if comes:
        done = sum(box["done"] for box in comes["controllers"])
        lines.append(f"{found['site']}: from manager {comes['from']}: {comes['state']}")
        lines.append(f"{done} of {len(comes['controllers'])} controllers done")
        lines += [f"  [{'x' if box['done'] else ' '}] {box['controller']}" for box in comes["controllers"]]
        lines.append(f"commissioning key: {_key_words(comes['key'])}")
    return lines or [f"{found['site']}: no transfer"]


def _leaving(departure: Departure, now: datetime) -> dict[str, Any]:
    state = "authorised" if now < departure.expires_at else "expired"
    state = "closed" if departure.closed_at else "revoked" if departure.revoked_at else state
    return {"state": state, "expires": departure.expires_at.isoformat()}


def _coming(arrival: Arrival, boxes: list[Controller], now: datetime) -> dict[str, Any]:
    state = "under way" if now < arrival.expires_at else "expired"
    state = "done" if arrival.done_at else "revoked by the old manager" if arrival.withdrawn_at else state
    erased = arrival.key_erased_at
    return {
        "state": state,
        "from": arrival.former_manager,
        "expires": arrival.expires_at.isoformat(),
        "controllers": [{"controller": box.slug, "done": progress.is_done(box)} for box in boxes],
        "key": {
            "ending": arrival.key_ending,
            "marked": arrival.key is not None,
            "erased": erased and erased.isoformat(),
        },
    }


def _key_words(key: dict[str, Any]) -> str:
    if key["erased"]:
        return f"the one that ended in {key['ending']} was erased on {key['erased']}"
    return f"the one that ends in {key['ending']}, still in use" if key["marked"] else "none marked yet"


def _count(boxes: list[Controller]) -> str:
    return f"{sum(map(progress.is_done, boxes))} of {len(boxes)} controllers done"
