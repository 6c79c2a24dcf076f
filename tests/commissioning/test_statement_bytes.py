"""The statements of a hand-over as bytes: what each signature binds, who can read what, and hostile bytes."""

import random
from pathlib import Path

import pycddl
import pytest
from commissioning_world import (
    DEVICE,
    DEVICE_PUBLIC,
    KEY,
    NUMBER,
    OWNER,
    SECRET,
    SITE,
    certificate_of,
    claim_of,
    key_of,
    operational_of,
    release_of,
    root_of,
    signed_claim,
)

from edge.uplink import statements, wire
from edge.uplink.keys import public_bytes
from edge.uplink.sealing import device_seal_public, seal
from edge.uplink.statements import OperationalKeys
from edge.uplink.wire import WireError

OLD, OWNER_PUBLIC = operational_of(1), public_bytes(OWNER)
OLD_PUBLIC = public_bytes(OLD)


def reason_of(function, *given: object) -> str:
    """The reason with which bytes are refused."""
    with pytest.raises(WireError) as caught:
        function(*given)
    return caught.value.reason


def resigned(kind: str, payload: dict, key) -> bytes:
    """A well signed message with any content."""
    packed = wire.encode(payload)
    return wire.join_frame(packed, key.sign(wire.signed_bytes(kind, packed)))


# --- release -----------------------------------------------------------------------------------------------------


def test_a_release_comes_back_as_it_was() -> None:
    raw = statements.encode_release(release_of(2), OLD)
    assert statements.verify_release(raw, OLD_PUBLIC, OWNER_PUBLIC) == release_of(2)


def test_the_owner_may_sign_in_the_managers_place() -> None:
    """It says so, and goes before any of the manager's; without a recovery key nobody may."""
    raw = statements.encode_release(release_of(2), OWNER)
    found = statements.verify_release(raw, OLD_PUBLIC, OWNER_PUBLIC)
    assert found.is_recovery
    assert found.rank > release_of(2, issue=1 << 60).rank
    assert reason_of(statements.verify_release, raw, OLD_PUBLIC, b"") == wire.SIGNATURE
    assert reason_of(statements.verify_release, raw, OLD_PUBLIC, OLD_PUBLIC) == wire.SIGNATURE


def test_a_message_of_another_kind_is_no_release() -> None:
    """Signed by the right key, over the same bytes, as something else."""
    body = {"kind": "release", "site": SITE, "epoch": 2, "hash": bytes(32), "expires": 9, "issue": 1}
    assert reason_of(statements.verify_release, resigned("policy", body, OLD), OLD_PUBLIC) == wire.SIGNATURE
    assert statements.verify_release(resigned("release", body, OLD), OLD_PUBLIC).epoch == 2
    other = {**body, "kind": "claim"}
    assert reason_of(statements.verify_release, resigned("release", other, OLD), OLD_PUBLIC) == wire.MALFORMED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"site": bytes(15)}, wire.MALFORMED), ({"epoch": -1}, wire.MALFORMED), ({"epoch": 1 << 32}, wire.MALFORMED),
        ({"hash": "x"}, wire.MALFORMED), ({"expires": 1.5}, wire.MALFORMED), ({"issue": True}, wire.MALFORMED),
        ({"more": 1}, wire.UNKNOWN_KEY),
    ],
)  # fmt: skip
def test_a_release_of_another_form_is_refused(change: dict, reason: str) -> None:
    body = {"kind": "release", "site": SITE, "epoch": 2, "hash": bytes(32), "expires": 9, "issue": 1, **change}
    assert reason_of(statements.verify_release, resigned("release", body, OLD), OLD_PUBLIC) == reason


def test_no_release_is_made_that_would_be_refused() -> None:
    with pytest.raises(WireError, match="epoch"):
        statements.encode_release(release_of(1 << 40), OLD)


# --- claim -------------------------------------------------------------------------------------------------------


def test_a_claim_comes_back_as_it_was() -> None:
    assert statements.verify_claim(signed_claim(claim_of(2)), DEVICE) == claim_of(2)


def test_only_the_device_reads_a_claim() -> None:
    """The secret, the code key and the token are nowhere in its bytes; another device opens nothing."""
    claim = claim_of(2)
    raw = signed_claim(claim)
    for hidden in (SECRET, claim.code_key, claim.token.encode(), claim.key_mark, claim.cloud.encode()):
        assert hidden not in raw
    assert reason_of(statements.verify_claim, raw, key_of("another device")) == wire.FOREIGN_CONTROLLER


def test_nobody_puts_his_root_key_before_anothers_secret() -> None:
    """The sealed part of a good claim, taken out and signed again under another root key, number, site or epoch."""
    good = signed_claim(claim_of(2))
    body = wire.decode(wire.cut_frame(good[32:]).payload)
    thief = key_of("thief")
    stolen = {**body, "root": public_bytes(thief)}
    raw = public_bytes(thief) + resigned("claim", stolen, thief)
    assert reason_of(statements.verify_claim, raw, DEVICE) == wire.SEALED
    for change in ({"manager": 9}, {"epoch": 3}, {"site": bytes(16)}):
        raw = good[:32] + resigned("claim", {**body, **change}, root_of(2))
        assert reason_of(statements.verify_claim, raw, DEVICE) == wire.SEALED


def test_the_root_key_in_front_is_the_one_within() -> None:
    """Another root in front does not verify; another within is refused."""
    good = signed_claim(claim_of(2))
    body = wire.decode(wire.cut_frame(good[32:]).payload)
    assert reason_of(statements.verify_claim, public_bytes(root_of(3)) + good[32:], DEVICE) == wire.SIGNATURE
    raw = good[:32] + resigned("claim", {**body, "root": public_bytes(root_of(3))}, root_of(2))
    assert reason_of(statements.verify_claim, raw, DEVICE) == wire.MALFORMED


def test_a_claim_whose_certificate_is_another_roots_is_refused() -> None:
    """Sealed rightly, signed rightly, and the operational key certified by somebody else."""
    claim = claim_of(2)
    body = wire.decode(wire.cut_frame(signed_claim(claim)[32:]).payload)
    words = statements._seal_words(body)
    inner = {
        "secret": SECRET, "mark": claim.key_mark, "certificate": certificate_of(2, 1, 3), "seal": bytes(32),
        "code": bytes(32), "site": "a", "controller": "b", "cloud": "", "ca": b"", "token": "", "recovery": b"",
    }  # fmt: skip
    sealed = seal(device_seal_public(DEVICE_PUBLIC), wire.encode(inner), words)
    raw = claim.root_key + resigned("claim", {**body, "sealed": sealed}, root_of(2))
    assert reason_of(statements.verify_claim, raw, DEVICE) == wire.SIGNATURE


def test_no_claim_is_made_that_names_other_keys() -> None:
    for change in ({"root_key": bytes(32)}, {"manager_key": bytes(32)}, {"serial": 2}, {"controller_uid": bytes(16)}):
        with pytest.raises(ValueError, match="does not name"):
            signed_claim(claim_of(2, **change))


def test_the_key_mark_is_for_one_key_one_site_one_manager() -> None:
    """Another number, epoch, manager, root or secret gives another mark; b"" is nobody's."""
    claim = claim_of(2)
    assert claim.is_key(KEY)
    for other in (KEY + 1, 0, -1, 1 << 64):
        assert not claim.is_key(other)
    for change in (
        {"epoch": 3},
        {"manager": 9},
        {"root_key": bytes(32)},
        {"secret": b"t" * 16},
        {"site_uid": bytes(16)},
    ):
        assert not claim._replace(**change).is_key(KEY)
    assert not claim_of(2, key=None).is_key(KEY)


# --- certificates ------------------------------------------------------------------------------------------------


def test_a_withdrawn_key_stays_withdrawn() -> None:
    """Y7: only a higher serial is taken; an older certificate, or another one of the same serial, is refused."""
    root = root_of(2)
    keys = OperationalKeys(public_bytes(root), b"a" * 32, 4)
    newer = keys.accept(statements.encode_certificate(b"b" * 32, 6, root))
    assert newer == OperationalKeys(public_bytes(root), b"b" * 32, 6)
    assert newer.accept(statements.encode_certificate(b"b" * 32, 6, root)) == newer
    for key, serial in ((b"a" * 32, 4), (b"c" * 32, 6), (b"b" * 32, 5), (b"a" * 32, 0)):
        assert reason_of(newer.accept, statements.encode_certificate(key, serial, root)) == wire.VERSION


def test_only_the_root_certifies() -> None:
    """Neither an operational key nor another manager's root."""
    keys = OperationalKeys(public_bytes(root_of(2)), public_bytes(operational_of(2)), 1)
    for signer in (operational_of(2), root_of(3)):
        assert reason_of(keys.accept, statements.encode_certificate(b"x" * 32, 9, signer)) == wire.SIGNATURE


def test_what_a_withdrawn_key_signs_is_refused() -> None:
    """A release by the operational key of serial 1, after serial 2 was accepted."""
    root, first, second = root_of(2), operational_of(2), operational_of(3)
    keys = OperationalKeys(public_bytes(root), public_bytes(first), 1)
    raw = statements.encode_release(release_of(3), first)
    assert statements.verify_release(raw, keys.key).epoch == 3
    keys = keys.accept(statements.encode_certificate(public_bytes(second), 2, root))
    assert reason_of(statements.verify_release, raw, keys.key) == wire.SIGNATURE


# --- the norm ----------------------------------------------------------------------------------------------------


def test_every_statement_obeys_the_cddl(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/commissioning.md is the norm: what is sent, and what is sealed, is valid by it; with one more it is not."""
    text = (Path(__file__).parents[2] / "docs" / "commissioning.md").read_text("utf-8")
    norm = text.split("```cddl\n", 1)[1].split("```", 1)[0]
    sealed: list[bytes] = []
    monkeypatch.setattr(
        statements, "seal", lambda key, packed, words: (sealed.append(packed), seal(key, packed, words))[1]
    )
    claim = signed_claim(claim_of(2))
    statements.encode_start(statements.Start(NUMBER, "274951", "hall", 90), claim, DEVICE_PUBLIC)
    release = statements.encode_release(release_of(2), OLD)
    sent = {
        "release": wire.cut_frame(release).payload, "claim": wire.cut_frame(claim[32:]).payload,
        "claim-sealed": sealed[0], "start-sealed": sealed[1], "certificate": wire.cut_frame(certificate_of(2)).payload,
        "handover": statements.encode_handover(release, claim),
    }  # fmt: skip
    for name, payload in sent.items():
        schema = pycddl.Schema(f"this = {name}\n{norm}")
        schema.validate_cbor(payload)
        with pytest.raises(pycddl.ValidationError):
            schema.validate_cbor(wire.encode({**wire.decode(payload), "more": 1}))


# --- start, enrolment --------------------------------------------------------------------------------------------


def test_a_start_is_for_one_device_and_one_claim() -> None:
    """The password in it is readable to the device alone, and goes with no other claim."""
    start = statements.Start(NUMBER, "274951", "hall", 90)
    claim, other = signed_claim(claim_of(2)), signed_claim(claim_of(2))
    raw = statements.encode_start(start, claim, DEVICE_PUBLIC)
    assert statements.open_start(raw, claim, DEVICE) == start
    assert b"274951" not in raw
    assert "274951" not in repr(start)
    assert reason_of(statements.open_start, raw, other, DEVICE) == wire.SEALED
    assert reason_of(statements.open_start, raw, claim, key_of("another device")) == wire.SEALED
    assert reason_of(statements.open_start, b"", claim, DEVICE) == wire.SEALED
    with pytest.raises(WireError, match="countdown_s"):
        statements.encode_start(start._replace(countdown_s=601), claim, DEVICE_PUBLIC)


def test_what_is_left_to_enrol_with() -> None:
    """As in the claim; nothing for a site without a cloud; the token is not printed."""
    claim = claim_of(2)
    found = statements.decode_enrolment(statements.encode_enrolment(claim))
    assert found == (claim.cloud, claim.ca, claim.token)
    assert claim.token not in repr(found)
    assert statements.encode_enrolment(claim._replace(cloud="")) == b""


# --- hostile bytes -----------------------------------------------------------------------------------------------


def test_both_together_as_one_text() -> None:
    assert statements.decode_handover(statements.encode_handover(b"r", b"c")) == (b"r", b"c", b"")
    assert statements.decode_handover(statements.encode_handover(b"r", b"c", b"s")) == (b"r", b"c", b"s")
    assert reason_of(statements.decode_handover, bytes(70_000)) == wire.OVERSIZED
    assert reason_of(statements.decode_handover, wire.encode({"kind": "handover", "release": b""})) == wire.MALFORMED


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_damaged_byte_passes(seed: int) -> None:
    """Flipped, cut and doubled bytes of each statement are refused with a reason, never with another error."""
    dice = random.Random(seed)
    release, claim = statements.encode_release(release_of(2), OLD), signed_claim(claim_of(2))
    certificate = certificate_of(2)
    checks = (
        (release, lambda raw: statements.verify_release(raw, OLD_PUBLIC, OWNER_PUBLIC)),
        (claim, lambda raw: statements.verify_claim(raw, DEVICE)),
        (certificate, lambda raw: statements.verify_certificate(raw, public_bytes(root_of(2)))),
        (statements.encode_handover(release, claim), lambda raw: _both(*statements.decode_handover(raw))),
    )
    for good, check in checks:
        check(good)
        for _ in range(150):
            at = dice.randrange(len(good))
            damaged = dice.choice((
                good[:at], good[:at] + bytes((good[at] ^ 1 << dice.randrange(8),)) + good[at + 1 :],
                good + good[-1 - at :], good[at:],
            ))  # fmt: skip
            if damaged != good:
                reason_of(check, damaged)


def _both(release: bytes, claim: bytes, start: bytes) -> None:
    assert start == b""
    statements.verify_release(release, OLD_PUBLIC, OWNER_PUBLIC)
    statements.verify_claim(claim, DEVICE)
