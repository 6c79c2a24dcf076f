"""`import`, `provision` and `publish`: what a residence is, which devices it has, and what they are told."""

import argparse
import dataclasses
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from cloud_stub.commands.moments import present
from cloud_stub.enrolment import issuing
from cloud_stub.enrolment.commands import revocation_advice
from cloud_stub.errors import UsageError
from cloud_stub.residences import importing, provisioning, publishing, signature
from cloud_stub.residences.models import Controller
from cloud_stub.transfers.leaving import check_import


def run_import(options: argparse.Namespace) -> int:
    """Exit 0 where the site was imported, 65 where anything was wrong and --partial was not given."""
    done = importing.import_folder(Path(options.folder), present(options.now), options.partial, check_import)
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
    """Register a device and write the file by which it trusts us; of all of a site's, each in its own folder."""
    if options.controller.endswith("/*"):
        for controller in provisioning.of_site(options.controller.removesuffix("/*")):
            keys = Path(options.keys) / controller.slug
            path = provisioning.provision(controller, keys, signature.manager_public_key())
            print(f"{controller.site.slug}/{controller.slug}: wrote {path}")
        return os.EX_OK
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
    for done in publishing.publish_all(controllers, present(options.now)):
        if options.json:
            print(json.dumps(_publish_object(done)))
        else:
            unchanged = "" if done.is_new else ", unchanged"
            print(f"{done.controller.slug}: revision {done.revision}, {done.rows} rows{unchanged}")
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
