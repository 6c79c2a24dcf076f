"""Lockdowns: states that the manager sets and that last until he releases them.

They are rows of the policy, so they reach a controller that was off line, and survive its restart. They are published
at once and alone: edits of the residence that nobody has published yet stay where they are.
"""

from datetime import datetime

from django.db import transaction

from cloud_stub.errors import UsageError
from cloud_stub.residences.publishing import Published, publish_modes
from cloud_stub.residences.targets import Target


@transaction.atomic
def lock_down(target: Target, who: str, now: datetime) -> Published | None:
    """Nobody enters there but with an emergency pass; the way out stays. None: before the first policy, which will say
    it."""
    modes = target.controller.modes
    if not target.door:
        modes.exclude(door="").delete()
    if target.door and modes.filter(door="").exists():
        return publish_modes(target.controller, now)
    modes.update_or_create(door=target.door, defaults={"who": who[:200], "at": now})
    return publish_modes(target.controller, now)


@transaction.atomic
def release(target: Target, now: datetime) -> Published | None:
    """End a lockdown; of a controller, also those of its single doors. UsageError where the door is locked down with
    its whole controller."""
    modes = target.controller.modes
    if target.door and modes.filter(door="").exists():
        raise UsageError(f"{target} is locked down with its whole controller; release that")
    (modes.filter(door=target.door) if target.door else modes.all()).delete()
    return publish_modes(target.controller, now)
