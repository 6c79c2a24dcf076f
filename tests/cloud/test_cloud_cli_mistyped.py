"""What a person types wrongly to `vantail-cloud`: one line that says what to do, the right code, nothing made."""

import os
import subprocess
import sys

import pytest
from cloud_example import EXAMPLE
from enrolment_box import code_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.parametrize("command", [("status",), ("events",), ("publish",), ("purge",), ("enrol-token", "hall-a")])
def test_a_mistyped_data_folder_is_not_made(tmp_path, command):
    """`--data TYPO status` would else begin an empty cloud with keys of its own, and tell that all is well."""
    typo = tmp_path / "clowd"
    done = subprocess.run(
        [sys.executable, "-m", "cloud_stub.cli", "--data", typo, *command],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == os.EX_USAGE
    assert done.stderr == (
        f"vantail-cloud: data folder {typo}: no such folder; check --data, or begin one with: import DIR\n"
    )
    assert not typo.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", EXAMPLE, "--now", "9999-12-31"), "--now 9999-12-31: "),
        (("import", EXAMPLE, "--now", "9999-12-30"), "1970 to 2999"),
        (("import", EXAMPLE, "--now", "0001-01-01"), "1970 to 2999"),
        (("events", "--until", "9999-12-31"), "--until 9999-12-31: "),
        (("events", "--since", "x\ny\x1b[2J"), "--since x y [2J: "),
        (("provision", "a\nb", "--keys", "k"), "no controller a b; known: "),
    ],
)
def test_what_is_no_value_is_one_line(site, arguments, says):
    """64 for each: not a fault of the program, and no second line or control character from what was typed."""
    code, out, err = code_of(*arguments)
    assert (code, out) == (os.EX_USAGE, "")
    assert err.startswith("vantail-cloud: ")
    assert says in err
    assert err.count("\n") == 1
    assert err.strip().isprintable()
