"""The same real agent, unchanged, against NATS's MQTT listener, with workers on PostgreSQL behind it."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from cloud_processes import Cloud, until
from edge_controller import BARE, DOORS, EXAMPLE, Made, ask, running, vantail

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]
UPLINK = '[uplink]\nbroker = "mqtt://127.0.0.1:{port}"\n\n'


@pytest.fixture
def cloud(tmp_path, database):
    (tmp_path / "cloud").mkdir()
    made = Cloud(tmp_path / "cloud", database)
    made.run("import", EXAMPLE)
    return made


def _controller(folder: Path, cloud: Cloud, port: int) -> Made:
    """Hall B's, as an installer leaves it: its keys bound by the cloud, and no policy yet."""
    folder.mkdir()
    made = Made(folder, "hall-b", {})
    made.config.write_text(BARE.format(controller="hall-b") + UPLINK.format(port=port) + DOORS["hall-b"])
    assert vantail("keygen", "--keys", made.keys).returncode == 0
    cloud.run("provision", "hall-b", "--keys", made.keys)
    return made


def _revision(made: Made) -> int:
    return asyncio.run(ask(made, "status"))["policy"]["revision"]


def _in_cloud(cloud: Cloud) -> set[int]:
    events = [json.loads(line) for line in cloud.run("events", "--json").splitlines()]
    seqs = [event["seq"] for event in events if event["controller"] == "hall-b"]
    assert len(seqs) == len(set(seqs))
    return set(seqs)


def test_an_agent_gets_its_policies_and_its_events_arrive(cloud, cluster, tmp_path):
    """The first policy, then another that is published while it runs; every event of its log is in the cloud, once."""
    made = _controller(tmp_path / "hall-b", cloud, cluster.mqtt[1])
    cloud.run("publish")

    async def story() -> None:
        async with running(made):
            await asyncio.to_thread(until, lambda: _revision(made) == 1, "the first policy is in force")
            changed = tmp_path / "changed"
            shutil.copytree(EXAMPLE, changed)
            text = (changed / "site.toml").read_text("utf-8").replace("unlock_ms = 5000", "unlock_ms = 4500")
            (changed / "site.toml").write_text(text, "utf-8")
            await asyncio.to_thread(cloud.run, "import", changed)
            await asyncio.to_thread(cloud.run, "publish")
            await asyncio.to_thread(until, lambda: _revision(made) == 2, "the second policy is in force")
            await asyncio.to_thread(until, lambda: _all_there(made, cloud), "every event is in the cloud")

    with cloud.ingesting(cluster.url, tmp_path / "one.log"), cloud.ingesting(cluster.url, tmp_path / "two.log"):
        asyncio.run(story())
    assert json.loads(cloud.run("status", "--json"))["alarms"] == []


def _all_there(made: Made, cloud: Cloud) -> bool:
    log = asyncio.run(ask(made, "status"))["uplink"]
    return log["pending"] == 0 and _in_cloud(cloud) == set(range(1, log["last_seq"] + 1))
