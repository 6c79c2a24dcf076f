"""Row P7: two workers on NATS and PostgreSQL, one of them killed while it holds messages: 0 lost, 0 twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cloud_processes import Cloud, until
from nats_cluster import NatsCluster

pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]
CONTROLLERS, EVENTS_A_SECOND, SECONDS = 40, 40, 25
HELD = 3  # messages at least that the killed worker had taken


def _fleet(cloud: Cloud, cluster: NatsCluster, folder: Path, *words: object) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "firmware_sim.cli", "fleet", "--broker", f"mqtt://127.0.0.1:{cluster.mqtt[0]}", "--json",
        "--data", cloud.data, "--dir", folder, "--controllers", CONTROLLERS, "--events-per-s", EVENTS_A_SECOND, *words,
    ]  # fmt: skip
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, text=True, start_new_session=True, env=cloud.environment
    )


def _report(fleet: subprocess.Popen) -> dict:
    try:
        printed, _ = fleet.communicate(timeout=240)
    finally:
        if fleet.poll() is None:
            fleet.kill()
            fleet.wait()
    return json.loads(printed)


def _events(postgres) -> tuple[int, int]:
    """(rows, different events) in the database."""
    found = postgres.run("SELECT count(*), count(DISTINCT (controller_id, log, seq)) FROM passages_event", "vantail")
    rows, _, different = found.partition("|")
    return int(rows), int(different)


@pytest.fixture
def cloud(tmp_path, database):
    (tmp_path / "cloud").mkdir()
    made = Cloud(tmp_path / "cloud", database)
    made.run("status")  # the schema
    return made


def test_what_a_killed_worker_held_goes_to_the_other(cloud, cluster, postgres, tmp_path):
    """Stopped first, so that it certainly holds messages, then killed: its messages are delivered again, every event of
    every controller is stored and acknowledged, none twice, and no log is found not to fit together."""
    with (
        cloud.ingesting(cluster.url, tmp_path / "one.log") as one,
        cloud.ingesting(cluster.url, tmp_path / "two.log") as two,
    ):
        fleet = _fleet(cloud, cluster, tmp_path / "fleet", "--seconds", SECONDS)
        until(lambda: _events(postgres)[0] > EVENTS_A_SECOND * 3, "events come in", 120)
        os.kill(one.pid, signal.SIGSTOP)
        os.kill(two.pid, signal.SIGSTOP)  # a moment, to count what is held by whom
        until(lambda: cluster.held() >= HELD, "messages are held")
        os.kill(two.pid, signal.SIGCONT)
        os.kill(one.pid, signal.SIGKILL)
        report = _report(fleet)
        assert two.poll() is None
    assert report["ok"], report
    assert report["acked"] == report["events"] > EVENTS_A_SECOND * SECONDS / 2
    assert _events(postgres) == (report["events"], report["events"])
    assert cluster.delivered_again() > 0
    assert json.loads(cloud.run("status", "--json"))["alarms"] == []


def test_a_node_of_the_cluster_dies(cloud, cluster, postgres, tmp_path):
    """Not the one that the controllers are connected to: streams have three copies, nothing is lost or doubled."""
    with cloud.ingesting(cluster.url, tmp_path / "one.log"), cloud.ingesting(cluster.url, tmp_path / "two.log"):
        fleet = _fleet(cloud, cluster, tmp_path / "fleet", "--seconds", SECONDS)
        until(lambda: _events(postgres)[0] > EVENTS_A_SECOND * 3, "events come in", 120)
        cluster.kill(2)
        report = _report(fleet)
    assert report["ok"], report
    assert _events(postgres) == (report["events"], report["events"])


def test_the_database_is_away_for_a_while(cloud, cluster, postgres, tmp_path):
    """PostgreSQL is killed and started again under load: nothing was acknowledged that is not there."""
    with cloud.ingesting(cluster.url, tmp_path / "one.log") as one, cloud.ingesting(cluster.url, tmp_path / "two.log"):
        fleet = _fleet(cloud, cluster, tmp_path / "fleet", "--seconds", SECONDS)
        until(lambda: _events(postgres)[0] > EVENTS_A_SECOND * 3, "events come in", 120)
        postgres.kill()
        postgres.start()
        report = _report(fleet)
        assert one.poll() is None
    assert report["ok"], report
    assert _events(postgres) == (report["events"], report["events"])
    assert postgres.password not in (tmp_path / "one.log").read_text()
