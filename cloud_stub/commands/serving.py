"""`serve`, `status` and `metrics`: the pages with the MQTT side, and where everything stands."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from cloud_stub.errors import UnavailableError, UsageError
from cloud_stub.passages import api, standing


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


def run_status(options: argparse.Namespace) -> int:
    """Controllers, how far their logs are here, and what was refused."""
    status = api.status()
    if options.json:
        print(json.dumps(status, ensure_ascii=False))
        return os.EX_OK
    for each in status["controllers"]:
        policy = "" if each["up_to_date"] else f", has revision {each['controller_revision']}"
        contact = each["last_contact"] or "never"
        print(
            f"{each['site']}/{each['controller']}: {_badge_words(each)}; revision {each['revision']}{policy}, "
            f"last contact {contact}"
        )
        for door in each["lockdowns"]:
            print(f"  LOCKED DOWN: {door or 'all doors'}")
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


def _badge_words(controller: dict[str, Any]) -> str:
    waiting = controller["events_waiting"]
    return {
        standing.UP_TO_DATE: "up to date",
        standing.WAITING: f"{waiting} events waiting" if waiting != 1 else "1 event waiting",
        standing.BEHIND: "up to date but for its policy",
        standing.SILENT: f"silent since {controller['silent_since']}",
        standing.NEVER: "no contact yet",
        standing.UNBOUND: "not provisioned",
    }[controller["badge"]]


def run_metrics(options: argparse.Namespace) -> int:
    """What the page /metrics says, but for the queue, which only the process that serves knows."""
    try:
        from cloud_stub.passages import figures
    except ModuleNotFoundError as error:
        raise UnavailableError(f"{error.name} is not installed; run: pip install 'vantail[cloud,metrics]'") from error
    sys.stdout.write(figures.render(datetime.now(UTC)).decode())
    return os.EX_OK
