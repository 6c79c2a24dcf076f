"""`vantail-cloud dat`: a controller's policy and acknowledgements out, its events in, by file (docs/dat-file.md)."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cloud_stub.errors import CloudError, ConfigError, DataError, FolderError, MissingInputError
from edge.uplink import signing, wire
from edge.uplink.transfer_file import CONTROLLER, MANAGER, Header, Item, TransferError, read, save

if TYPE_CHECKING:
    from cloud_stub.residences.models import Controller

MOST_REFUSED = 20  # messages of one file; what follows is not looked at
MOST_LOGS = 1000  # of one controller that a file acknowledges, the newest
EXAMPLES = """\
examples:
  vantail-cloud --data cloud dat export hall-a hall-a.dat            for: vantail dat apply hall-a.dat
  vantail-cloud --data cloud dat import events.dat --answer hall-a.dat   what vantail dat collect wrote"""


def add(commands: Any, place: argparse.ArgumentParser) -> None:
    """`dat` with its actions. place: the options that every command has."""
    dat = commands.add_parser(
        "dat", parents=[place], help="a controller without a network: policy and events by file", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    actions = dat.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", parents=[place], help="write a controller's policy and acknowledgements")
    export.add_argument("controller", metavar="CONTROLLER", help="its id, or SITE/ID")
    export.add_argument("file", metavar="FILE", help="to write, readable by its owner alone")
    taking = actions.add_parser("import", parents=[place], help="store the events that a controller wrote to a file")
    taking.add_argument("file", metavar="FILE", help="that vantail dat collect wrote")
    taking.add_argument("--answer", default="", metavar="FILE", help="to write: what goes back to the controller")
    for action in (export, taking):
        action.add_argument("--force", action="store_true", help="take the place of a file that is there")
        action.add_argument("--json", action="store_true", help="one object")


def run_dat(options: argparse.Namespace) -> int:
    """One of the actions."""
    return _run_export(options) if options.action == "export" else _run_import(options)


# --- to the controller ------------------------------------------------------------------------------------------


def _run_export(options: argparse.Namespace) -> int:
    from cloud_stub.residences.provisioning import find_controller

    controller = find_controller(options.controller)
    if not controller.device_key:
        raise ConfigError(f"{controller.slug}: no device is registered; run: vantail-cloud provision {controller.slug}")
    if not controller.revision:
        raise ConfigError(f"{controller.slug}: nothing was published for it; run: vantail-cloud publish")
    count = _write(Path(options.file), options.force, controller, with_policy=True)
    if options.json:
        print(json.dumps({"file": options.file, "revision": controller.revision, "messages": count}))
    else:
        print(f"{options.file}: revision {controller.revision} for {_name(controller)}, {count} messages")
    return os.EX_OK


def _write(path: Path, force: bool, controller: "Controller", with_policy: bool) -> int:
    if path.exists() and not force:
        raise FolderError(f"{path}: is there already; give another name, or --force")
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    header = Header(CONTROLLER, controller.site.slug, controller.slug, made)
    try:
        return save(path, header, _messages(controller, with_policy))
    except (TransferError, wire.WireError) as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise FolderError(f"{error.filename or path}: {error.strerror}") from error


def _messages(controller: "Controller", with_policy: bool) -> Iterator[Item]:
    """All rows of what is published: nobody knows what the controller will have when the file gets there. Then how far
    each of its logs is here."""
    from cloud_stub.passages.ingest import trust_of
    from cloud_stub.passages.models import Log
    from cloud_stub.residences import publishing, signature

    key, trust = signature.manager_key(), trust_of(controller, signature.seal_key())
    if with_policy:
        rows = publishing.published_rows(controller)
        for part in signing.encode_policy_parts(rows, controller.revision, trust, key):
            yield Item(wire.POLICY, part)
    for log in Log.objects.filter(controller=controller, acknowledged__gt=0).order_by("-pk")[:MOST_LOGS]:
        head = bytes.fromhex(log.chain_head)
        yield Item(wire.ACK, signing.encode_ack(bytes.fromhex(log.log), log.acknowledged, trust, key, head))


# --- from the controller ----------------------------------------------------------------------------------------


class _Taken(NamedTuple):
    """What came of a file. refused: reason → (how often, the first time's words)."""

    messages: int
    events: int
    new: int
    refused: dict[str, tuple[int, str]]


def _run_import(options: argparse.Namespace) -> int:
    path = Path(options.file)
    controller = _sender(path)
    if options.answer and Path(options.answer).exists() and not options.force:
        raise FolderError(f"{options.answer}: is there already; give another name, or --force")
    done = _take(path, controller)
    for reason, (count, said) in done.refused.items():
        print(f"vantail-cloud: {path}: {count} of its messages refused, {said or reason}", file=sys.stderr)
    if not done.messages:
        raise DataError(f"{path}: refused, nothing of it was stored")
    controller.refresh_from_db()
    is_behind = controller.is_active and bool(controller.revision) and not controller.is_up_to_date
    if options.answer:
        _write(Path(options.answer), options.force, controller, with_policy=is_behind)
    if options.json:
        refused = {reason: count for reason, (count, _) in done.refused.items()}
        print(json.dumps({
            "file": options.file, "site": controller.site.slug, "controller": controller.slug, "events": done.events,
            "new": done.new, "refused": refused, "answer": options.answer or None, "behind": is_behind,
        }))  # fmt: skip
        return os.EX_OK
    print(f"{options.file}: {done.events} events of {_name(controller)}, {done.new} of them new")
    if options.answer:
        policy = f" and revision {controller.revision}" if is_behind else ""
        print(f"{options.answer}: acknowledgements{policy}, to be taken back")
    elif is_behind:
        print(f"{controller.slug} has not revision {controller.revision}; write it with: vantail-cloud dat export")
    return os.EX_OK


def _sender(path: Path) -> "Controller":
    """Whom a file names, once it was read through: it is whole."""
    from cloud_stub.residences.models import Controller

    header, count = _looked_through(path)
    if header.reader != MANAGER:
        raise DataError(f"{path}: refused, it is for {header.site}/{header.controller}; take there: vantail dat apply")
    if not count:
        raise DataError(f"{path}: refused, there is nothing in it; collect it again")
    known = Controller.objects.filter(site__slug=header.site, slug=header.controller).select_related("site").first()
    if known is None or not known.device_key:
        raise DataError(f"{path}: refused, it is of {header.site}/{header.controller}, which has no device here")
    return known


def _looked_through(path: Path) -> tuple[Header, int]:
    try:
        with path.open("rb") as file:
            header, items = read(file)
            return header, sum(1 for _ in items)
    except TransferError as error:
        raise DataError(f"{path}: refused, {error}") from error
    except OSError as error:
        raise MissingInputError(f"{path}: {error.strerror}") from error


def _take(path: Path, controller: "Controller") -> _Taken:
    """Give each message to the ingest, as if it came over the line."""
    from cloud_stub.passages.ingest import Ingest, trust_of
    from cloud_stub.passages.models import Event
    from cloud_stub.residences import signature

    ingest, trust = Ingest(signature.manager_key()), trust_of(controller, signature.seal_key())
    before, messages, events = Event.objects.filter(controller=controller).count(), 0, 0
    counts: Counter[str] = Counter()
    said: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for item in read(file)[1]:
                reason, words, size = _looked_at(item, trust)
                topic = f"v1/{controller.site.slug}/{controller.slug}/up/{item.kind}"
                answers = ingest.handle(topic, item.message, datetime.now(UTC))  # refusals are counted there, too
                if reason or not answers:
                    counts[reason or "not-taken"] += 1
                    said.setdefault(reason or "not-taken", words)
                    if counts.total() == MOST_REFUSED:
                        break
                    continue
                messages, events = messages + 1, events + size
    except (TransferError, OSError) as error:
        raise CloudError(f"{path}: changed while it was read ({error}); import it again") from error
    new = Event.objects.filter(controller=controller).count() - before
    return _Taken(messages, events, new, {reason: (counts[reason], said[reason]) for reason in counts})


def _looked_at(item: Item, trust: signing.Trust) -> tuple[str, str, int]:
    """(why it is refused, in words; "" where it is right, how many events are in it)."""
    try:
        if item.kind == wire.HELLO:
            signing.verify_hello(item.message, trust)
            return "", "", 0
        return "", "", len(signing.verify_events(item.message, trust).stretch.events)
    except wire.WireError as error:
        return error.reason, str(error), 0


def _name(controller: "Controller") -> str:
    return f"{controller.site.slug}/{controller.slug}"
