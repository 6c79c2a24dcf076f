"""`events`, `purge` and `erase`: what happened at the doors, and how the persons go from it."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from cloud_stub.commands.moments import moment, only_zone
from cloud_stub.errors import UsageError
from cloud_stub.passages import purging, words
from cloud_stub.passages.listing import Selection, as_object, credential_text, local_time
from cloud_stub.passages.models import Event

FOLLOW_EVERY_S = 0.5


def run_events(options: argparse.Namespace) -> int:
    """Events in the order in which they happened; with --follow, then as they arrive."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    selection = _selection(options)
    found = selection.events().filter(pk__lte=newest).order_by("at_ms", "pk")
    interrupt = _Interrupt()
    if options.follow:  # whatever we were started by: in the background of a script SIGINT is ignored
        signal.signal(signal.SIGINT, interrupt)
    for event in found.iterator():
        _print_event(event, options.json)
    while options.follow and not interrupt.has_come:
        sys.stdout.flush()
        for event in _arrived(selection, newest):
            newest = event.pk
            _print_event(event, options.json)
        time.sleep(FOLLOW_EVERY_S)
    return 128 + signal.SIGINT if options.follow else os.EX_OK


class _Interrupt:
    """Ends what runs by KeyboardInterrupt, and remembers it: raised in a callback of a library it may get lost."""

    has_come = False

    def __call__(self, *_: object) -> NoReturn:
        self.has_come = True
        raise KeyboardInterrupt


def _arrived(selection: Selection, after: int) -> Iterator[Event]:
    return selection.events().filter(pk__gt=after).order_by("pk").iterator()


def _selection(options: argparse.Namespace) -> Selection:
    zone = only_zone()
    return Selection(
        since_ms=moment("--since", options.since, zone, 0),
        until_ms=moment("--until", options.until, zone, 1),
        door=options.door,
        text=options.text,
    )


def _print_event(event: Event, as_json: bool) -> None:
    if as_json:
        print(json.dumps(as_object(event), ensure_ascii=False))
        return
    local = local_time(event.at_ms, event.controller.site.time_zone)
    result = words.RESULTS.get(words.result_key(event.result, event.reason), event.result)
    columns = (
        local.strftime("%Y-%m-%d %H:%M:%S"), event.door or event.controller.slug, words.kind(event.medium), result,
        words.describe(event.medium, event.result, event.reason), event.holder,
        credential_text(event.medium, event.credential), event.detail,
    )  # fmt: skip
    print("  ".join(str(column) for column in columns if column))


def run_purge(options: argparse.Namespace) -> int:
    """Take the persons from events that are older than they may be kept."""
    if options.days < 1:
        raise UsageError(f"--days {options.days}: give at least 1")
    purged = purging.purge(int((time.time() - options.days * 86_400) * 1000))
    print(f"{purged} events name nobody any more")
    return 0


def run_erase(options: argparse.Namespace) -> int:
    """Take one person from every event."""
    if not (options.credential or options.call_code):
        raise UsageError("erase whom? give --credential, --call-code or both")
    if options.credential and not (options.credential.isascii() and options.credential.isdecimal()):
        raise UsageError(f"'{options.credential}' is no number; write the digits on the badge")
    print(f"{purging.erase(options.credential, options.call_code)} events name that person no more")
    return 0
