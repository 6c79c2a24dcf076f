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
        for app in ("transfers", "enrolment", "passages", "residences"):
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


@pytest.fixture
def hall(site):
    """Hall A's controller, which no device is yet."""
    from cloud_stub.residences.models import Controller

    return Controller.objects.get(slug="hall-a")


@pytest.fixture(scope="module")
def lasting_door():
    """One listener for a file's tests."""
    from enrolment_box import listening

    from cloud_stub.enrolment import opening

    with listening(opening.open_listener(Path(_KEPT.name), opening.EnrolAddress("127.0.0.1", 0, []))) as made:
        yield made


@pytest.fixture
def door(hall, lasting_door):
    """The enrolment listener on a free loopback port, as `serve` opens it."""
    answers = dict(lasting_door.answers)
    yield lasting_door
    lasting_door.answers = answers


@pytest.fixture
def run(data, capsys, monkeypatch):
    """Run one command in this process, on the tests' data folder: (exit code, stdout, stderr)."""
    from cloud_stub import cli

    monkeypatch.setattr(cli, "_open_data", lambda path: None)

    def command(*arguments):
        capsys.readouterr()
        code = cli.main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return command
