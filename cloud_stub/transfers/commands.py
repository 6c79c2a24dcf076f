"""What `vantail-cloud manager` and `vantail-cloud transfer` do: a residence goes from one manager to another
(docs/transfer.md)."""

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path

from cloud_stub.commands.moments import present
from cloud_stub.errors import CloudError, UsageError
from cloud_stub.residences import provisioning, publishing
from cloud_stub.residences.models import Controller, Site
from cloud_stub.transfers import arriving, files, handing, leaving, manager_keys, package, progress, sheet
from cloud_stub.transfers.options import HISTORY_DAYS
from edge.uplink.statements import Start

MOST_DAYS = 365
NUMBERS = (1 << 32) - 1


# --- the manager --------------------------------------------------------------------------------------------------


def run_manager(options: argparse.Namespace) -> int:
    """One of the actions."""
    if options.action == "set":
        _check_manager(options)
        manager_keys.set_up(options.number, options.cloud)
    if options.action == "renew-key":
        manager = manager_keys.identity(check=False)
        serial = manager_keys.renew(manager, manager_keys.root_key(options.root_key, manager), options.force)
        print(f"manager.key is another one now, serial {serial}; start serve and ingest again")
        return os.EX_OK
    manager = manager_keys.identity()
    said = {
        "manager": manager.number, "root": manager_keys.root_print(manager), "serial": manager.serial,
        "cloud": manager.cloud or None, "root_key_here": manager_keys.is_root_here(),
    }  # fmt: skip
    if options.action == "show" and options.json:
        print(json.dumps(said))
        return os.EX_OK
    print(f"manager {said['manager']}, root key {said['root']}, operational key's serial {said['serial']}")
    print(f"controllers enrol at {manager.cloud or 'no address: by file alone'}")
    if said["root_key_here"]:
        print("root.key is in the data folder: move it off line, and bring it with --root-key FILE when it is needed")
    return os.EX_OK


def _check_manager(options: argparse.Namespace) -> None:
    if options.number is not None and not 0 <= options.number <= NUMBERS:
        raise UsageError(f"--number {options.number}: write 0 to {NUMBERS}")
    if options.cloud and not (options.cloud.startswith("https://") and len(options.cloud) <= 200):
        raise UsageError(f"--cloud {options.cloud[:40]}: write https://HOST:PORT")


# --- the transfer -------------------------------------------------------------------------------------------------


def run_transfer(options: argparse.Namespace) -> int:
    """One of the actions."""
    run = {
        "authorise": _run_authorise, "revoke": _run_revoke, "close": _run_close, "accept": _run_accept,
        "withdraw": _run_withdraw, "key": _run_key, "handover": _run_handover, "sheet": _run_sheet,
        "status": _run_status,
    }[options.action]  # fmt: skip
    run(options, present(options.now))
    return os.EX_OK


def _run_authorise(options: argparse.Namespace, now: datetime) -> None:
    if not 0 < options.days <= MOST_DAYS:
        raise UsageError(f"--days {options.days:g}: write up to {MOST_DAYS}")
    if not 0 <= options.history_days <= HISTORY_DAYS:
        raise UsageError(f"--history-days {options.history_days}: write 0 to {HISTORY_DAYS}")
    path, site = Path(options.package), _site(options.site)
    files.check_free(path, options.force)
    done = leaving.authorise(site, options.days, options.history_days, now)
    files.write(path, done.file)
    if options.json:
        said = {"site": site.slug, "number": done.number, "file": options.package, "events": done.events}
        print(json.dumps({**said, "left_out": done.left_out, "expires": done.expires_at.isoformat()}))
        return
    print(f"{options.package}: {site.slug}, {done.events} events of {options.history_days} days with it")
    if done.left_out:
        print(f"{done.left_out} older events had no room; they stay here")
    print(f"transfer number: {done.number}")
    print(
        f"good until {done.expires_at:%Y-%m-%d %H:%M} UTC; it is shown this once: send it by another way than the file"
    )


def _run_revoke(options: argparse.Namespace, now: datetime) -> None:
    site = _site(options.site)
    withdrawals = leaving.revoke(site, now)
    print(f"{site.slug}: the transfer number counts no more here")
    if not options.out:
        print("what was handed to controllers already is withdrawn with the files of: transfer revoke --out DIR")
        return
    folder = files.make_folder(Path(options.out))
    for controller, statement in withdrawals.items():
        path = folder / f"withdrawal-{site.slug}-{controller.slug}.dat"
        files.write_dat(path, controller, [files.handover_item(statement)], now)
        print(f"wrote {path}")
    print("apply each at its controller; any of them also to the new manager: transfer withdraw FILE")


def _run_close(options: argparse.Namespace, now: datetime) -> None:
    site = _site(options.site)
    count = leaving.close(site, now)
    print(f"{site.slug}: closed, {count} controllers get nothing from here any more; late events are still taken")


def _run_accept(options: argparse.Namespace, now: datetime) -> None:
    manager = manager_keys.identity()
    typed = sys.stdin.readline() if options.number == "-" else options.number
    raw = files.read(Path(options.file), package.MAX_FILE)
    try:
        done = arriving.accept(raw, typed, manager, now)
    except CloudError as error:
        raise type(error)(f"{options.file}: {error}") from error
    print(
        f"{done.site.slug}: {done.controllers} controllers, {done.flats} flats, {done.passes} passes, "
        f"{done.events} events; next: vantail-cloud transfer key {done.site.slug}"
    )


def _run_withdraw(options: argparse.Namespace, now: datetime) -> None:
    site = arriving.withdraw(files.read_handover(Path(options.file)), now)
    print(f"{site.slug}: the old manager has revoked the transfer; no more controllers are handed over by it")


def _run_key(options: argparse.Namespace, now: datetime) -> None:
    site = _site(options.site)
    progress.mark_key(site, options.badge, options.new, now)
    print(f"{site.slug}: the key that ends in {options.new[-4:]} is the commissioning key, a copy of {options.badge}")
    print("it is erased by itself when every controller obeys us")


def _run_handover(options: argparse.Namespace, now: datetime) -> None:
    path, manager = Path(options.out), manager_keys.identity()
    files.check_free(path, options.force)
    arrival = progress.open_arrival(_site(options.site))
    controller = _with_device(options, now)
    if not options.bare:
        publishing.publish(controller, now)
        controller.refresh_from_db()
    root = manager_keys.root_key(options.root_key, manager)
    handover = handing.hand_over(controller, arrival, manager, root, _start(options, manager.number), now)
    if options.bare:
        files.write(path, handover)
    else:
        files.write_dat(path, controller, handing.items(controller, handover), now)
    print(f"{options.out}: for {options.site}/{controller.slug}, good until {arrival.expires_at:%Y-%m-%d %H:%M} UTC")


def _with_device(options: argparse.Namespace, now: datetime) -> Controller:
    controller = provisioning.find_controller(f"{options.site}/{options.controller}")
    if options.keys:
        device = provisioning.read_device_key(Path(options.keys) / provisioning.DEVICE_KEY)
        controller = provisioning.register(controller, device)
        publishing.publish(controller, now)
        controller.refresh_from_db()
    return controller


def _start(options: argparse.Namespace, number: int) -> Start | None:
    if not options.start:
        return None
    if not options.password_file:
        raise UsageError("--start needs --password-file FILE: the controller's password, in a file of mode 0600")
    return Start(number, files.read_password(Path(options.password_file)), options.start, options.countdown)


def _run_sheet(options: argparse.Namespace, now: datetime) -> None:
    print(sheet.text(_site(options.site), manager_keys.identity(), now))


def _run_status(options: argparse.Namespace, now: datetime) -> None:
    found = sheet.status(_site(options.site), now)
    if options.json:
        print(json.dumps(found))
        return
    print("\n".join(sheet.status_lines(found)))


def _site(slug: str) -> Site:
    found = Site.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Site.objects.values_list("slug", flat=True)[:12])
        raise UsageError(f"no site {slug}; known: {known or 'none, import a site first'}")
    return found
