"""One Django for this folder's tests, with its own data folder, emptied before each test.

It is set up when this file is imported, because the test files import models.
"""

import os
import tempfile
from pathlib import Path

import pytest
from cloud_example import EXAMPLE, NOW

from cloud_stub import folder

_KEPT = tempfile.TemporaryDirectory(prefix="vantail-cloud-test-")


def _set_up() -> None:
    os.environ[folder.ENVIRONMENT] = str(folder.prepare(Path(_KEPT.name)))
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloud_stub.settings"
    from cloud_stub.schema import bring_up_to_date

    bring_up_to_date(Path(_KEPT.name))
    # Read once; children of other tests must not find this folder.
    del os.environ[folder.ENVIRONMENT], os.environ["DJANGO_SETTINGS_MODULE"]


_set_up()


@pytest.fixture(autouse=True)
def _english():
    """A page that a test read in French leaves its language to the thread."""
    from django.utils import translation

    translation.deactivate()
    yield
    translation.deactivate()


@pytest.fixture
def data() -> Path:
    """The data folder, its database empty."""
    from django.apps import apps
    from django.db import connection, transaction

    with connection.constraint_checks_disabled(), transaction.atomic():
        for app in ("enrolment", "passages", "residences"):
            for model in apps.get_app_config(app).get_models():
                model._default_manager.all()._raw_delete("default")
    return Path(_KEPT.name)


@pytest.fixture
def site(data):
    """The example residence, imported."""
    from cloud_stub.residences.importing import import_folder

    return import_folder(EXAMPLE, NOW).site


@pytest.fixture
def device(site, tmp_path):
    """Hall A's device, bound, its policy published."""
    from cloud_device import bind

    from cloud_stub.residences.models import Controller
    from cloud_stub.residences.publishing import publish

    controller = Controller.objects.get(slug="hall-a")
    bound = bind(controller, tmp_path / "hall-a")
    publish(controller, NOW)
    return bound
