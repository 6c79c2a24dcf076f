"""What each command of `vantail-cloud` does, by subject. Django is set up when this is imported."""

from cloud_stub.commands.orders import (
    run_ask,
    run_forgive,
    run_hold,
    run_lockdown,
    run_open,
    run_release,
    run_unhold,
)
from cloud_stub.commands.passages import run_erase, run_events, run_purge
from cloud_stub.commands.policies import run_import, run_provision, run_publish
from cloud_stub.commands.serving import run_metrics, run_serve, run_status
from cloud_stub.dat_file import run_dat
from cloud_stub.enrolment.commands import run_broker_config, run_enrol_token, run_revoke
from cloud_stub.ingest_command import run_ingest
from cloud_stub.transfers.commands import run_manager, run_transfer

__all__ = [
    "run_ask", "run_broker_config", "run_dat", "run_enrol_token", "run_erase", "run_events", "run_forgive", "run_hold",
    "run_import", "run_ingest", "run_lockdown", "run_manager", "run_metrics", "run_open", "run_provision",
    "run_publish", "run_purge", "run_release", "run_revoke", "run_serve", "run_status", "run_transfer", "run_unhold",
]  # fmt: skip
