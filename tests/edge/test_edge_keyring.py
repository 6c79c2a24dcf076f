"""The keys folder: every key that the configuration needs, and one line for each that is missing, open or wrong."""

import pytest
from edge_controller import make

from edge import keyring
from edge.config import load
from edge.uplink.signing import KeyFileError


@pytest.fixture
def made(folder):
    """A controller with two OSDP readers."""
    return make(folder, "hall-a")


def refused(made):
    with pytest.raises(KeyFileError) as caught:
        keyring.load(load(made.config))
    assert "\n" not in str(caught.value)
    return caught.value


def test_keys_are_read(made):
    """The device's, the manager's, each reader's."""
    keys = keyring.load(load(made.config))
    assert keys.reader_keys == {reader: (key, None) for reader, key in made.reader_keys.items()}
    assert keys.keys_of("another") == (None, None)
    assert keys.manager.controller == "hall-a"
    assert len(keys.code_key) == 32


def test_no_key_is_printed(made):
    """Neither the manager's code key nor a reader's key stands in what a log could repeat of them."""
    keys = keyring.load(load(made.config))
    assert keys.code_key.hex() not in repr(keys.manager)
    assert repr(keys.code_key) not in repr(keys.manager)


@pytest.mark.parametrize("name", ["device.key", "manager.toml"])
def test_missing_file_is_named(made, name):
    """With what makes it, and marked as missing for the exit code."""
    (made.keys / name).unlink()
    error = refused(made)
    assert f"{made.keys / name}: no such file; " in str(error)
    assert error.missing


def test_no_reader_is_paired_yet(made):
    """Without osdp.toml the agent starts all the same, so that readers can be paired; none of them has a key."""
    (made.keys / "osdp.toml").unlink()
    assert keyring.load(load(made.config)).keys_of("hall-a-in") == (None, None)


@pytest.mark.parametrize("name", ["device.key", "manager.toml", "osdp.toml"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_file_that_others_may_read_is_refused(made, name, mode):
    """With the command that mends it, and marked as such for the exit code."""
    (made.keys / name).chmod(mode)
    error = refused(made)
    assert str(made.keys / name) in str(error)
    assert "chmod 600" in str(error)
    assert error.wrong_mode


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('hall-a-in = "', 'hall-a-in = "00', ("hall-a-in", "32 hex digits")),
        ('hall-a-in = "', 'hall-a-in = "xx', ("hall-a-in", "32 hex digits")),
        ('hall-a-in = "', "hall-a-in = ", ("cannot be read",)),
    ],
)
def test_wrong_reader_key_is_named_but_not_shown(made, old, new, words):
    """The reader stands in the message, its key does not."""
    path = made.keys / "osdp.toml"
    path.write_text(path.read_text().replace(old, new))
    message = str(refused(made))
    assert not [word for word in words if word not in message], message
    assert made.reader_keys["hall-a-in"].hex() not in message


def test_two_readers_of_one_key_are_refused(made):
    """A key that is known of one reader must not open the line of another."""
    same = made.reader_keys["hall-a-in"].hex()
    (made.keys / "osdp.toml").write_text(f'hall-a-in = "{same}"\ncellar-in = "{same}"\n')
    message = str(refused(made))
    assert "hall-a-in" in message
    assert "cellar-in" in message
    assert same not in message


def test_keys_of_another_controller_are_refused(made):
    """manager.toml and agent.toml name one controller."""
    made.config.write_text(made.config.read_text().replace('controller = "hall-a"', 'controller = "hall-c"'))
    message = str(refused(made))
    assert "hall-a" in message
    assert "hall-c" in message
