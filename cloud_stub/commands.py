"""What each command of `vantail-cloud` does. Django is set up when this is imported."""

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud_stub.enrolment import issuing
from cloud_stub.enrolment.commands import revocation_advice, run_broker_config, run_enrol_token, run_revoke
from cloud_stub.errors import UsageError
from cloud_stub.passages import api, purging, words
from cloud_stub.passages.listing import Selection, as_object, credential_text, local_days, local_time
from cloud_stub.passages.models import Event
from cloud_stub.residences import importing, provisioning, publishing, signature
from cloud_stub.residences.models import Controller, Site

__all__ = ["run_broker_config", "run_enrol_token", "run_revoke"]

FOLLOW_EVERY_S = 0.5


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


def run_import(options: argparse.Namespace) -> int:
    """Exit 0 where the site was imported, 65 where anything was wrong and --partial was not given."""
    done = importing.import_folder(Path(options.folder), _now(options.now), options.partial)
    for problem in done.problems:
        print(problem, file=sys.stderr)
    if options.json:
        print(json.dumps(_import_object(done), ensure_ascii=False))
    if done.site is None:
        advice = "correct them" if options.partial else "correct them, or leave these rows out with --partial"
        print(f"vantail-cloud: nothing imported: {done.left_out} errors; {advice}", file=sys.stderr)
        return os.EX_DATAERR
    if not options.json:
        left_out = f", {done.left_out} errors left out" if done.left_out else ""
        print(f"{done.site.slug}: {done.controllers} controllers, {done.flats} flats, {done.passes} passes{left_out}")
    return os.EX_OK


def _import_object(done: importing.Import) -> dict[str, object]:
    return {
        "ok": done.site is not None,
        "site": done.site.slug if done.site else None,
        "controllers": done.controllers,
        "flats": done.flats,
        "passes": done.passes,
        "problems": [dataclasses.asdict(problem) for problem in done.problems],
    }


def run_provision(options: argparse.Namespace) -> int:
    """Register a device and write the file by which it trusts us."""
    controller = provisioning.find_controller(options.controller)
    path = provisioning.provision(controller, Path(options.keys), signature.manager_public_key(), options.replace)
    print(f"{controller.site.slug}/{controller.slug}: wrote {path}")
    controller.refresh_from_db()
    if options.replace and issuing.revoke_replaced(controller, datetime.now(UTC)):
        print(revocation_advice(issuing.publish_revocations(datetime.now(UTC))))
    return os.EX_OK


def run_publish(options: argparse.Namespace) -> int:
    """Publish for one controller, or for every active one that is provisioned."""
    if options.controller:
        controllers = [provisioning.find_controller(options.controller)]
    else:
        controllers = list(Controller.objects.filter(is_active=True).exclude(device_key="").order_by("pk"))
        if not controllers:
            raise UsageError("no controller is provisioned; run: vantail-cloud provision CONTROLLER --keys DIR")
    now = _now(options.now)
    for controller in controllers:
        done = publishing.publish(controller, now)
        if options.json:
            print(json.dumps(_publish_object(done)))
        else:
            unchanged = "" if done.is_new else ", unchanged"
            print(f"{controller.slug}: revision {done.revision}, {done.rows} rows{unchanged}")
    return os.EX_OK


def _publish_object(done: publishing.Published) -> dict[str, object]:
    return {
        "site": done.controller.site.slug,
        "controller": done.controller.slug,
        "epoch": done.controller.epoch,
        "revision": done.revision,
        "digest": done.controller.digest,
        "rows": done.rows,
        "new": done.is_new,
    }


def run_serve(options: argparse.Namespace) -> int:
    """Pages and ingest until a signal."""
    from cloud_stub.enrolment.opening import EnrolAddress
    from cloud_stub.server import serve  # paho and waitress, which no other command needs

    for name, port in (("--port", options.port), ("--enrol-port", options.enrol_port)):
        if port is not None and not 0 <= port <= 65535:
            raise UsageError(f"{name} {port}: write 0 to 65535")
    enrol = None
    if options.enrol_port is not None:
        enrol = EnrolAddress(options.enrol_listen, options.enrol_port, options.enrol_host)
    serve(options.broker, options.listen, options.port, options.allow_host, options.until_stdin_closes, enrol)
    return os.EX_OK


def run_events(options: argparse.Namespace) -> int:
    """Events in the order in which they happened; with --follow, then as they arrive."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    selection = _selection(options)
    found = selection.events().filter(pk__lte=newest).order_by("at_ms", "pk")
    for event in found.iterator():
        _print_event(event, options.json)
    while options.follow:
        sys.stdout.flush()
        for event in _arrived(selection, newest):
            newest = event.pk
            _print_event(event, options.json)
        time.sleep(FOLLOW_EVERY_S)
    return os.EX_OK


def _arrived(selection: Selection, after: int) -> Iterator[Event]:
    return selection.events().filter(pk__gt=after).order_by("pk").iterator()


def _selection(options: argparse.Namespace) -> Selection:
    zones = list(Site.objects.values_list("time_zone", flat=True)[:2])
    zone = zones[0] if len(zones) == 1 else "UTC"
    return Selection(
        since_ms=_moment("--since", options.since, zone, 0),
        until_ms=_moment("--until", options.until, zone, 1),
        door=options.door,
        text=options.text,
    )


def _now(text: str) -> datetime:
    """The present, or the moment that was asked for; without an offset it is UTC."""
    if not text:
        return datetime.now(UTC)
    return datetime.fromtimestamp((_moment("--now", text, "UTC", 0) or 0) / 1000, UTC)


def _moment(name: str, text: str, zone: str, end: int) -> int | None:
    """A day or a time; without an offset it is local to the only site, or UTC where there are several."""
    try:
        if len(text) <= len("2026-11-23"):
            return local_days(text, text, zone)[end]
        moment = datetime.fromisoformat(text)
        local = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
        return int(local.timestamp() * 1000)
    except ValueError as error:
        raise UsageError(f"{name} {text}: write 2026-11-23, 2026-11-23T08:00 or 2026-11-23T07:00:00Z") from error


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


def run_status(options: argparse.Namespace) -> int:
    """Controllers, how far their logs are here, and what was refused."""
    status = api.status()
    if options.json:
        print(json.dumps(status, ensure_ascii=False))
        return os.EX_OK
    for each in status["controllers"]:
        state = "up to date" if each["up_to_date"] else f"has revision {each['controller_revision']}"
        if not each["provisioned"]:
            state = "not provisioned"
        contact = each["last_contact"] or "never"
        print(f"{each['site']}/{each['controller']}: revision {each['revision']}, {state}, last contact {contact}")
        for log in each["logs"]:
            print(
                f"  log {log['log']}: {log['stored']} events, complete to {log['acknowledged']}, chain {log['chain']}"
            )
    for each in status["alarms"]:
        where = f"log {each['log'][:8]}, events {each['first_seq']} to {each['last_seq']}"
        print(f"ALARM {each['at']} {each['site']}/{each['controller']}: {each['what']} ({where})")
    for name, count in status["counts"].items():
        print(f"{name}: {count}")
    return os.EX_OK
