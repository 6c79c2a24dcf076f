"""Starts Django and brings the database to the schema of this release."""

import os
from pathlib import Path

import django
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from cloud_stub import database
from cloud_stub.errors import CloudError, ConfigError, FolderError, UnavailableError
from cloud_stub.folder import locked
from edge.uplink import signing


def bring_up_to_date(data: Path) -> None:
    """Migrate if this release brings migrations. FolderError where the file is not a database of ours, UnavailableError
    where a server does not let us in, ConfigError where its data is another manager's."""
    django.setup()
    try:
        with locked(data):
            _migrate()
            _claim()
    except DatabaseError as error:
        raise _explained(data, error) from error


def _migrate() -> None:
    if _plan(MigrationExecutor(connection)):
        with database.migrating():
            executor = MigrationExecutor(connection)  # looked at again: another process may have done it meanwhile
            if _plan(executor):
                executor.migrate(executor.loader.graph.leaf_nodes())


def _plan(executor: MigrationExecutor) -> object:
    return executor.migration_plan(executor.loader.graph.leaf_nodes())


def _claim() -> None:
    if connection.vendor != "postgresql":
        return  # the database lies in one folder with the keys
    from cloud_stub.residences import signature

    public = signature.manager_public_key() + signature.seal_public_key()
    ours = f"vantail: of the manager with the keys {signing.fingerprint(public).hex()}"
    found = database.claim(ours)
    if found != ours:
        raise ConfigError(
            "this database is of a manager with other keys; copy manager.key, seal.key and secret.key from the data "
            "folder that it was made with"
        )


def _explained(data: Path, error: DatabaseError) -> CloudError:
    url = os.environ.get(database.ENVIRONMENT, "")
    place, said = database.place_of(url, data), str(error).strip().splitlines()[0]
    if url:
        return UnavailableError(f"{place}: {said}; check --database and whether the server runs")
    return FolderError(f"{place}: {said}; restore it from a backup or choose another --data")
