"""Starts Django and brings the database to the schema of this release."""

from pathlib import Path

import django
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from cloud_stub.errors import FolderError
from cloud_stub.folder import DATABASE, locked


def bring_up_to_date(data: Path) -> None:
    """Migrate if this release brings migrations. FolderError where the file is not a database of ours."""
    django.setup()
    try:
        with locked(data):
            executor = MigrationExecutor(connection)
            targets = executor.loader.graph.leaf_nodes()
            if executor.migration_plan(targets):
                executor.migrate(targets)
    except DatabaseError as error:
        raise FolderError(f"{data / DATABASE}: {error}; restore it from a backup or choose another --data") from error
