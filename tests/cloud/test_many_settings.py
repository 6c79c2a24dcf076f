"""Where the database and the broker are: what is understood, and that no password is ever said."""

import pytest

from cloud_stub import database
from cloud_stub.errors import UsageError
from cloud_stub.nats_line import parse_servers

SECRET = "hush-hush"
URL = f"postgresql://vantail:{SECRET}@db.example:5433/doors?sslmode=verify-full"


def test_sqlite_in_the_data_folder_unless_another_is_named(tmp_path):
    """As it was before there was a choice: WAL, every commit flushed, the write lock taken at once."""
    made = database.settings_of("", tmp_path)
    assert (made["ENGINE"], made["NAME"]) == ("django.db.backends.sqlite3", tmp_path / "cloud.sqlite3")
    assert "synchronous=FULL" in made["OPTIONS"]["init_command"]
    assert database.place_of("", tmp_path) == str(tmp_path / "cloud.sqlite3")


def test_a_postgresql_url_in_its_parts(tmp_path):
    """User, password, host, port and name, with what libpq has to know of TLS; commits are flushed, always."""
    made = database.settings_of(URL, tmp_path)
    names = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
    assert [made[name] for name in names] == ["doors", "vantail", SECRET, "db.example", "5433"]
    assert made["OPTIONS"]["sslmode"] == "verify-full"
    assert "synchronous_commit=on" in made["OPTIONS"]["options"]
    assert database.place_of(URL, tmp_path) == "postgresql://db.example:5433/doors"


def test_a_folder_of_sockets_and_escaped_signs(tmp_path):
    """As libpq reads them."""
    made = database.settings_of("postgresql://a%40b:p%2Fq@/doors?host=/run/postgresql", tmp_path)
    assert (made["USER"], made["PASSWORD"], made["HOST"]) == ("a@b", "p/q", "/run/postgresql")


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://vantail:{SECRET}@db/doors", f"postgresql://vantail:{SECRET}@db", f"postgresql://u:{SECRET}@db/a/b",
        f"postgresql://u:{SECRET}@db:none/doors", f"postgresql://u:{SECRET}@db/doors?options=-cfsync%3Doff",
    ],
)  # fmt: skip
def test_what_is_no_database_is_refused_without_its_password(url, tmp_path):
    """One line that says what to write."""
    with pytest.raises(UsageError) as refused:
        database.settings_of(url, tmp_path)
    assert SECRET not in str(refused.value)
    assert "postgresql://" in str(refused.value)


def test_one_of_two_workers_leads_and_the_other_after_it(tmp_path):
    """With SQLite both are on one machine: the lock is a file's, and goes with its holder."""
    one, two = database.Leadership(tmp_path), database.Leadership(tmp_path)
    assert (one.is_ours(), two.is_ours(), one.is_ours()) == (True, False, True)
    one.give_up()
    assert (two.is_ours(), one.is_ours()) == (True, False)


def test_nodes_of_a_cluster():
    """Several, with and without ports; who we are is kept apart and not shown."""
    servers = parse_servers(f"nats://vantail:{SECRET}@n1,n2:4333,[::1]:4444")
    assert servers.addresses == ("n1:4222", "n2:4333", "[::1]:4444")
    assert (servers.credentials, servers.tls) == (("vantail", SECRET), False)
    assert SECRET not in repr(servers)
    assert parse_servers("tls://n1").tls


@pytest.mark.parametrize("url", [f"http://u:{SECRET}@n1", f"nats://u:{SECRET}@", "nats://", f"nats://u:{SECRET}@n1:x"])
def test_what_is_no_cluster_is_refused_without_its_password(url):
    """One line that says what to write."""
    with pytest.raises(UsageError) as refused:
        parse_servers(url)
    assert SECRET not in str(refused.value)
