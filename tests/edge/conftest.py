"""A folder whose Unix sockets have short paths: a socket's path has at most 107 bytes, tmp_path may be longer."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def folder():
    """Empty, gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="ve", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)
