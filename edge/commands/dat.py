"""`vantail dat`: policies and acknowledgements in, events out, by file, through the running agent."""

import argparse
import base64
import json
import os
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.commands import dat_stick
from edge.commands.options import a_path, takes_config
from edge.commissioning.refusals import TEXTS
from edge.config import load
from edge.console.api import ApiError, call
from edge.failures import CommandError

if TYPE_CHECKING:
    from edge.uplink.transfer_file import Item

LONGEST_S = 600.0  # for the largest policy on the slowest card
EMPTY, FOREIGN, POLICY, LOG = "empty", "foreign-controller", "policy", "log"  # reasons besides those of file and wire
EXAMPLES = """a DAT file carries what otherwise goes over the network; docs/dat-file.md says how and what it may not do.

examples:
  vantail dat apply hall-a.dat          the manager's file: policy and acknowledgements
  vantail dat collect events.dat        a file for the manager: the events that nobody has acknowledged
  vantail dat stick /media/stick/vantail   both, as when a stick is put in
"""


class DatRefusedError(CommandError):
    """A file of which nothing, or not all, was taken. reason: a stable word."""

    def __init__(self, path: Path, reason: str, why: str) -> None:
        super().__init__(f"{path}: refused, {why}", os.EX_DATAERR)
        self.reason = reason


class Place(NamedTuple):
    """The agent that is asked, and what its site and controller are called."""

    api: Path
    site: str
    controller: str


def add(commands: Any) -> None:
    dat = commands.add_parser(
        "dat",
        help="policy in and events out by file, without a network",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = dat.add_subparsers(title="actions", required=True, metavar="ACTION")
    apply = actions.add_parser("apply", help="take the manager's file, whole or not at all")
    apply.add_argument("file", type=a_path, metavar="FILE", help="that vantail-cloud dat wrote")
    apply.set_defaults(run=_apply)
    collect = actions.add_parser("collect", help="write the events that nobody has acknowledged to a file")
    collect.add_argument("file", type=a_path, metavar="FILE", help="to write, readable by its owner alone")
    collect.add_argument("--force", action="store_true", help="take the place of a FILE that is there")
    collect.set_defaults(run=_collect)
    stick = actions.add_parser("stick", help="take what is for this controller from a folder, and put its events there")
    stick.add_argument("folder", type=a_path, metavar="FOLDER", help="of a stick, named vantail as a rule")
    stick.set_defaults(run=_stick)
    for action in (apply, collect, stick):
        takes_config(action)
        action.add_argument("--json", action="store_true", help="one JSON object")


def _apply(options: argparse.Namespace) -> int:
    done = apply_file(place_of(options), options.file)
    if options.json:
        print(json.dumps(done))
        return os.EX_OK
    if done.get("handover") is not None:
        print(f"{options.file}: a hand-over waits now; go on at the controller, or with: vantail learn")
        return os.EX_OK
    print(f"{options.file}: {policy_words(done['policy'])}")
    for log in done["logs"]:
        print(f"log {log['log'][:8]}: {log_words(log)}")
    return os.EX_OK


def _collect(options: argparse.Namespace) -> int:
    if options.file.exists() and not options.force:
        raise CommandError(f"{options.file}: is there already; give another name, or --force", os.EX_CANTCREAT)
    done = collect_file(place_of(options), options.file)
    if options.json:
        print(json.dumps(done))
        return os.EX_OK
    print(f"{options.file}: {done['events']} events of {len(done['logs'])} logs, {done['bytes'] / 1000:.0f} kB")
    return os.EX_OK


def _stick(options: argparse.Namespace) -> int:
    try:
        place = place_of(options)
    except ApiError:
        controller = load(options.config).controller
        dat_stick.write_result(options.folder, controller, dat_stick.Visit({}, {controller: dat_stick.NO_ANSWER}, {}))
        raise
    done = dat_stick.visit(
        options.folder,
        place.site,
        place.controller,
        apply=lambda path: apply_file(place, path),
        collect=lambda path: collect_file(place, path),
    )
    print(json.dumps(done._asdict()) if options.json else "\n".join(done.lines()))
    return os.EX_DATAERR if done.refused else os.EX_OK


def place_of(options: argparse.Namespace) -> Place:
    """The agent of an agent.toml. ApiError where it does not answer."""
    api = Path(load(options.config).api)
    status = call(api, "status")
    return Place(api, status["site"], status["controller"])


def apply_file(place: Place, path: Path) -> dict[str, Any]:
    """What the agent says of a file that it has taken: see edge/transferring.py, `dat-settle`. DatRefusedError."""
    from edge.uplink.transfer_file import TransferError, read

    transfer, number = secrets.token_hex(8), 0
    try:
        with path.open("rb") as file:
            header, items = read(file)
            _check_addressee(place, path, header)
            for number, item in enumerate(items, 1):
                _take(place, path, transfer, number, item)
    except TransferError as error:
        raise DatRefusedError(path, error.reason, f"nothing was changed: {error}") from None
    except OSError as error:
        raise CommandError(f"{path}: cannot be read ({error.strerror})", os.EX_NOINPUT) from None
    if not number:
        raise DatRefusedError(path, EMPTY, "there is nothing in it; have the manager write it again")
    done = call(place.api, "dat-settle", LONGEST_S, transfer=transfer)
    done.pop("ok")
    _check_outcome(path, done)
    return done


def _check_addressee(place: Place, path: Path, header: Any) -> None:
    """The header is nobody's word: it only saves people a message that is harder to understand."""
    from edge.uplink.transfer_file import CONTROLLER

    if header.reader != CONTROLLER:
        why = "it is for the manager, who takes it with: vantail-cloud dat import"
        raise DatRefusedError(path, FOREIGN, f"nothing was changed: {why}")
    if header.controller != place.controller or place.site not in ("", header.site):
        why = f"it is for {header.site}/{header.controller}, this is {place.site}/{place.controller}; take this one's"
        raise DatRefusedError(path, FOREIGN, f"nothing was changed: {why}")


def _take(place: Place, path: Path, transfer: str, number: int, item: "Item") -> None:
    message = base64.b64encode(item.message).decode()
    refused = call(place.api, "dat-take", LONGEST_S, transfer=transfer, kind=item.kind, message=message)["refused"]
    if refused is not None:
        why = f"nothing was changed: {refused['message']} (item {number}, {item.kind})"
        raise DatRefusedError(path, refused["reason"], why)


def _check_outcome(path: Path, done: dict[str, Any]) -> None:
    policy = done["policy"]
    if done.get("handover"):
        said = TEXTS[done["handover"]]
        raise DatRefusedError(path, done["handover"], f"nothing was changed: {said.what} {said.way_on}")
    if policy["outcome"] == "refused":
        raise DatRefusedError(path, POLICY, f"nothing was changed: {policy['why']}")
    wrong = [log for log in done["logs"] if log["outcome"] == "refused"]
    if wrong:
        raise DatRefusedError(
            path, LOG, f"in part: {policy_words(policy)}; log {wrong[0]['log'][:8]}: {wrong[0]['why']}"
        )


def policy_words(policy: dict[str, Any]) -> str:
    """What became of the policy."""
    before, after = (".".join(map(str, policy[when])) for when in ("before", "after"))
    if policy["outcome"] == "applied":
        return f"policy {after} is in force, it was {before}"
    return f"policy {after} was in force already" if policy["outcome"] == "in-force" else f"policy {after} stays"


def log_words(log: dict[str, Any]) -> str:
    """What became of a log's acknowledgement."""
    return {
        "taken": f"acknowledged up to event {log['after']}, it was {log['before']}",
        "known": f"acknowledged up to event {log['after']} already",
        "absent": "not on this controller (any more)",
    }.get(log["outcome"], log["why"])


def collect_file(place: Place, path: Path) -> dict[str, Any]:
    """Write what the manager has not acknowledged: {file, events, bytes, logs: [{log, acked, last}]}."""
    from edge.uplink.transfer_file import MANAGER, Header, TransferError, save

    logs = call(place.api, "dat-logs", LONGEST_S)["logs"]
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        save(path, Header(MANAGER, place.site, place.controller, made), _collected(place, logs))
        size = path.stat().st_size
    except TransferError as error:
        raise CommandError(f"{path}: {error}", os.EX_CANTCREAT) from None
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror}", os.EX_CANTCREAT) from None
    return {"file": str(path), "events": sum(log["last"] - log["acked"] for log in logs), "bytes": size, "logs": logs}


def _collected(place: Place, logs: list[dict[str, Any]]) -> Iterator["Item"]:
    from edge.uplink.transfer_file import Item

    total, before = sum(log["last"] - log["acked"] for log in logs), 0
    for log in logs:
        after = None
        while after is None or after < log["last"]:
            answer = call(place.api, "dat-collect", LONGEST_S, log=log["log"], after=after)
            yield from (Item(kind, base64.b64decode(message)) for kind, message in answer["messages"])
            if after is not None and answer["after"] <= after:
                break
            after = answer["after"]
            _show(before + min(after, log["last"]) - log["acked"], total)
        before += log["last"] - log["acked"]
    _show(total, total)


def _show(done: int, total: int) -> None:
    """How far it is, on a terminal; wiped away at the end."""
    if total and sys.stderr.isatty():
        bar = f"{'█' * (30 * done // total):░<30} {done} of {total} events" if done < total else ""
        print(f"\r\x1b[K{bar}", end="", file=sys.stderr, flush=True)
