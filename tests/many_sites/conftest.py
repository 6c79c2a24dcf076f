"""The servers that these tests run against; the same PostgreSQL serves the benchmarks, so it is kept there."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL of this module's own."""
    from postgres_process import Postgres

    with Postgres() as server:
        yield server


@pytest.fixture
def database(postgres):
    """The URL of an empty database."""
    postgres.run("DROP DATABASE vantail WITH (FORCE)")
    postgres.run("CREATE DATABASE vantail")
    return postgres.url()


@pytest.fixture
def cluster(tmp_path):
    """Three nodes of NATS."""
    from nats_cluster import NatsCluster

    (tmp_path / "nats").mkdir()
    with NatsCluster(tmp_path / "nats") as running:
        yield running
