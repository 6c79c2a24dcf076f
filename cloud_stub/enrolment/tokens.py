"""One-time tokens: each lets one device enrol as one controller, for some hours."""

import base64
import hashlib
import secrets
from datetime import datetime, timedelta

from cloud_stub.enrolment.models import Token
from cloud_stub.enrolment.request import RefusedError
from cloud_stub.residences.models import Controller

TOKEN_BYTES = 16  # 128 random bits: not to be guessed, so a plain hash keeps them
GROUP = 6  # letters between two dashes, for those who type them
KEPT_DAYS = 30  # after a token's end: until then, who used it can be told


def create(controller: Controller, broker: str, may_replace: bool, now: datetime, hours: float) -> str:
    """A new token for `controller`. broker: the address that its device is told. may_replace: another device than the
    one that is registered may take its place."""
    Token.objects.filter(expires_at__lt=now - timedelta(days=KEPT_DAYS)).delete()
    letters = base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode().rstrip("=").lower()
    Token.objects.create(
        controller=controller, digest=_digest(letters), broker=broker, may_replace=may_replace, created_at=now,
        expires_at=now + timedelta(hours=hours),
    )  # fmt: skip
    return "-".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))


def redeemable(text: str, device_key: bytes, now: datetime) -> Token:
    """The token that a device shows, locked until the transaction ends. RefusedError where it is unknown, over, or was
    used by another device."""
    found = Token.objects.select_for_update().filter(digest=_digest(_letters(text)))
    token = found.select_related("controller__site").first()
    again = "have the manager make another: vantail-cloud enrol-token"
    if token is None:
        raise RefusedError(401, f"this token is not known here; check it, or {again}")
    if token.used_by and token.used_by != device_key.hex():
        raise RefusedError(401, f"this token was used by another device; {again}")
    if now >= token.expires_at:
        raise RefusedError(401, f"this token ended on {token.expires_at:%Y-%m-%d at %H:%M} UTC; {again}")
    if not token.controller.is_active:
        raise RefusedError(403, f"controller {token.controller.slug} is no longer part of its site")
    return token


def use(token: Token, device_key: bytes, now: datetime) -> None:
    """From now on the token is this device's alone."""
    token.used_at = token.used_at or now
    token.used_by = device_key.hex()
    token.save(update_fields=["used_at", "used_by"])


def withdraw(controller: Controller) -> int:
    """Tokens of `controller` count no more; how many there were."""
    return Token.objects.filter(controller=controller).delete()[0]


def _letters(text: str) -> str:
    return text.replace("-", "").replace(" ", "").lower()


def _digest(letters: str) -> str:
    return hashlib.sha256(letters.encode()).hexdigest()
