"""`vantail-cloud manager` and `vantail-cloud transfer`: a residence goes from one manager to another (docs/transfer.md).

No Django where the arguments are declared: it is not set up yet.
"""

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_stub.errors import CloudError, FolderError, MissingInputError, UsageError
from cloud_stub.transfers import files

if TYPE_CHECKING:
    from cloud_stub.residences.models import Controller, Site
    from edge.uplink.statements import Start

MOST_DAYS, MOST_HISTORY_DAYS = 365, 90  # the latter: how long persons' events are kept, passages.purging
NUMBERS = (1 << 32) - 1
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
  vantail-cloud --data new transfer handover clos-des-dunes hall-a --out hall-a.dat --dat
  vantail-cloud --data new transfer sheet clos-des-dunes
  vantail-cloud --data new transfer status clos-des-dunes"""


# --- arguments ----------------------------------------------------------------------------------------------------


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
        "--history-days", type=int, default=MOST_HISTORY_DAYS, metavar="N", help="events of so many days go along (90)"
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
    handover.add_argument("--dat", action="store_true", help="a DAT file, with our policy in it")
    handover.add_argument("--keys", default="", metavar="DIR", help="has the device.pub of one that had no device yet")
    handover.add_argument("--start", default="", metavar="READER", help="for a controller without keys: begin there")
    handover.add_argument("--password-file", default="", metavar="FILE", help="with --start: the controller's password")
    handover.add_argument("--countdown", type=int, default=90, metavar="S", help="with --start (default: 90)")
    handover.add_argument("--force", action="store_true", help="take the place of a file that is there")
    _add_root_key(handover)
    _of_site(actions, place, "sheet", "what to bring, as text to print")


def _add_root_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root-key", default="", metavar="FILE", help="default: root.key in the data folder")


# --- the manager --------------------------------------------------------------------------------------------------


def run_manager(options: argparse.Namespace) -> int:
    """One of the actions."""
    from cloud_stub.transfers import manager_keys

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
    from cloud_stub.commands.moments import present

    run = {
        "authorise": _run_authorise, "revoke": _run_revoke, "close": _run_close, "accept": _run_accept,
        "withdraw": _run_withdraw, "key": _run_key, "handover": _run_handover, "sheet": _run_sheet,
        "status": _run_status,
    }[options.action]  # fmt: skip
    run(options, present(options.now))
    return os.EX_OK


def _run_authorise(options: argparse.Namespace, now: datetime) -> None:
    from cloud_stub.transfers import leaving

    if not 0 < options.days <= MOST_DAYS:
        raise UsageError(f"--days {options.days:g}: write up to {MOST_DAYS}")
    if not 0 <= options.history_days <= MOST_HISTORY_DAYS:
        raise UsageError(f"--history-days {options.history_days}: write 0 to {MOST_HISTORY_DAYS}")
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
    from cloud_stub.transfers import leaving

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
    from cloud_stub.transfers import leaving

    site = _site(options.site)
    count = leaving.close(site, now)
    print(f"{site.slug}: closed, {count} controllers get nothing from here any more; late events are still taken")


def _run_accept(options: argparse.Namespace, now: datetime) -> None:
    from cloud_stub.transfers import arriving, manager_keys, package

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
    from cloud_stub.transfers import arriving

    site = arriving.withdraw(files.read_handover(Path(options.file)), now)
    print(f"{site.slug}: the old manager has revoked the transfer; no more controllers are handed over by it")


def _run_key(options: argparse.Namespace, now: datetime) -> None:
    from cloud_stub.transfers import progress

    site = _site(options.site)
    progress.mark_key(site, options.badge, options.new, now)
    print(
        f"{site.slug}: the key that ends in {options.new[-4:]} is the commissioning key, with the rights of {options.badge}"
    )
    print("it is erased by itself when every controller obeys us")


def _run_handover(options: argparse.Namespace, now: datetime) -> None:
    from cloud_stub.residences import publishing
    from cloud_stub.transfers import handing, manager_keys, progress

    path, manager = Path(options.out), manager_keys.identity()
    files.check_free(path, options.force)
    arrival = progress.open_arrival(_site(options.site))
    controller = _with_device(options, now)
    if options.dat:
        publishing.publish(controller, now)
        controller.refresh_from_db()
    root = manager_keys.root_key(options.root_key, manager)
    handover = handing.hand_over(controller, arrival, manager, root, _start(options, manager.number), now)
    if options.dat:
        files.write_dat(path, controller, handing.items(controller, handover), now)
    else:
        files.write(path, handover)
    print(f"{options.out}: for {options.site}/{controller.slug}, good until {arrival.expires_at:%Y-%m-%d %H:%M} UTC")


def _with_device(options: argparse.Namespace, now: datetime) -> "Controller":
    from cloud_stub.residences import provisioning, publishing

    controller = provisioning.find_controller(f"{options.site}/{options.controller}")
    if options.keys:
        device = provisioning._read_device_key(Path(options.keys) / provisioning.DEVICE_KEY)
        controller = provisioning.register(controller, device)
        publishing.publish(controller, now)
        controller.refresh_from_db()
    return controller


def _start(options: argparse.Namespace, number: int) -> "Start | None":
    from cloud_stub import folder
    from edge.uplink.statements import Start

    if not options.start:
        return None
    if not options.password_file:
        raise UsageError("--start needs --password-file FILE: the controller's password, in a file of mode 0600")
    return Start(number, folder.read_secret(Path(options.password_file)), options.start, options.countdown)


def _run_sheet(options: argparse.Namespace, now: datetime) -> None:
    from cloud_stub.transfers import manager_keys, sheet

    print(sheet.text(_site(options.site), manager_keys.identity(), now))


def _run_status(options: argparse.Namespace, now: datetime) -> None:
    from cloud_stub.transfers import sheet

    found = sheet.status(_site(options.site), now)
    if options.json:
        print(json.dumps(found))
        return
    print("\n".join(sheet.status_lines(found)))


def _site(slug: str) -> "Site":
    from cloud_stub.residences.models import Site

    found = Site.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Site.objects.values_list("slug", flat=True)[:12])
        raise UsageError(f"no site {slug}; known: {known or 'none, import a site first'}")
    return found
