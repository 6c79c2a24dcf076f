"""Key files: made, loaded, and refused with one line that says what to do."""

import os
import stat

import pytest
import uplink_world as world

from edge.uplink import signing
from edge.uplink.signing import KeyFileError, ManagerTrust

MANAGER = ManagerTrust(
    world.SITE_UID, "clos-des-dunes", "hall-1", world.MANAGER, 3, 12, bytes(range(32)), world.EDGE_TRUST.seal_to
)


def refused(call, path):
    with pytest.raises(KeyFileError) as caught:
        call(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return caught.value


def private_file(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_key_is_written_once_and_loaded(tmp_path):
    """A private key is raw hex in a file of mode 0600, whatever the umask, and is never written over."""
    path = tmp_path / "device.key"
    before = os.umask(0)
    try:
        signing.write_private_key(path, world.DEVICE_KEY)
        signing.write_public_key(tmp_path / "device.pub", world.DEVICE)
    finally:
        os.umask(before)
    assert path.read_text() == bytes(range(32)).hex() + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "device.pub").stat().st_mode) == 0o644
    assert signing.public_bytes(signing.load_private_key(path)) == world.DEVICE
    assert signing.load_public_key(tmp_path / "device.pub") == world.DEVICE
    assert "not written over" in str(refused(lambda at: signing.write_private_key(at, world.OTHER_KEY), path))
    assert signing.public_bytes(signing.load_private_key(path)) == world.DEVICE


def test_generated_keys_differ():
    """Two generated keys are two."""
    assert signing.public_bytes(signing.generate_key()) != signing.public_bytes(signing.generate_key())


def test_the_fingerprint_is_the_beginning_of_the_keys_hash():
    """SHA-256 of the device's public key (RFC 8032 form), its first 16 bytes, as literal bytes."""
    assert world.DEVICE.hex().startswith("03a107bff3ce10be1d70dd18e74bc099")
    assert signing.fingerprint(world.DEVICE).hex() == "56475aa75463474c0285df5dbf2bcab7"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o622, 0o610])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    """Any right of group or others is refused with the command that takes it away."""
    path = private_file(tmp_path / "device.key", bytes(32).hex())
    path.chmod(mode)
    error = refused(signing.load_private_key, path)
    assert error.wrong_mode
    assert f"chmod 600 {path}" in str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [("xyz", "hexadecimal"), ("", "0 bytes"), ("00" * 31, "31 bytes"), ("00" * 33, "33 bytes"), ("é", "ASCII")],
)
def test_a_wrong_key_is_refused_without_its_content(tmp_path, text, says):
    """Not hex, too short, too long, not text: each said, never shown."""
    error = refused(signing.load_private_key, private_file(tmp_path / "device.key", text))
    assert says in str(error)
    assert not error.missing
    assert not error.wrong_mode


def test_a_missing_key_says_how_to_make_it(tmp_path):
    """A missing file names the command that makes it."""
    error = refused(signing.load_private_key, tmp_path / "device.key")
    assert error.missing
    assert "vantail keygen" in str(error)
    assert "vantail-cloud provision" in str(refused(signing.load_manager, tmp_path / "manager.toml"))
    refused(signing.load_private_key, tmp_path)  # a folder


def test_the_manager_survives_its_file(tmp_path):
    """manager.toml comes back as it was written, mode 0600, and can be written again."""
    path = tmp_path / "manager.toml"
    signing.write_manager(path, MANAGER)
    assert signing.load_manager(path) == MANAGER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    signing.write_manager(path, MANAGER._replace(epoch=4))
    assert signing.load_manager(path).epoch == 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["manager.toml"]
    assert MANAGER.trust(world.DEVICE_KEY) == world.EDGE_TRUST


def test_the_code_key_is_not_shown():
    """Printing a manager shows neither its code key nor any other key."""
    assert MANAGER.code_key.hex() not in repr(MANAGER)
    assert repr(MANAGER.code_key) not in repr(MANAGER) + str(MANAGER)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("site_uid", '"00"', "site_uid has 1 bytes, not 16"),
        ("site_uid", '"zz"', "site_uid is not in hexadecimal"),
        ("site_uid", "5", "site_uid is not a text"),
        ("site", '"Clos des Dunes"', "site is not a word"),
        ("controller", '"a/b"', "controller is not a word"),
        ("controller", '""', "controller is not a word"),
        ("manager_key", '"00"', "manager_key has 1 bytes, not 32"),
        ("epoch", '"3"', "epoch is not a number"),
        ("epoch", "true", "epoch is not a number"),
        ("epoch", "-1", "epoch is outside"),
        ("manager", None, "manager is missing"),
        ("code_key", None, "code_key is missing"),
        ("extra", "1", "unknown key 'extra'"),
        ("epoch", "", "not TOML"),
    ],
)
def test_a_wrong_manager_file_names_the_key(tmp_path, name, value, says):
    """Each wrong entry is named, without the values of secrets."""
    path = tmp_path / "manager.toml"
    signing.write_manager(path, MANAGER)
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name} =")]
    private_file(path, "\n".join([*lines, *([] if value is None else [f"{name} = {value}"])]))
    text = str(refused(signing.load_manager, path))
    assert says in text
    assert MANAGER.code_key.hex() not in text


def test_only_slugs_are_written(tmp_path):
    """A name that cannot stand in a topic never gets into the file."""
    with pytest.raises(ValueError, match="not a word"):
        signing.write_manager(tmp_path / "manager.toml", MANAGER._replace(site="a+b"))
    for word, is_right in (("a-1", True), ("", False), ("A", False), ("a.b", False), ("a" * 65, False), ("a\n", False)):
        assert signing.is_slug(word) is is_right
