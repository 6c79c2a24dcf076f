"""Why a step of commissioning was refused: stable words, and for each what to tell people and how to go on.

The words travel in events and on the local API; never rename one. The texts are English, the key of every translation.
"""

from typing import NamedTuple

# Who asks.
PASSWORD = "password"  # noqa: S105 (a reason, no secret)
WRONG_PASSWORD = "wrong-password"  # noqa: S105
WEAK_PASSWORD = "weak-password"  # noqa: S105
OLD_PASSWORD = "old-password"  # noqa: S105
LOCKED = "locked"
BUSY = "busy"

# The hand-over, as it comes in.
STATEMENT = "statement"
NEEDS_RELEASE = "needs-release"
SUPERSEDED = "superseded"
KEYLESS = "keyless"

# The hand-over, as it is used: in this order.
NO_HAND_OVER = "no-hand-over"
FOREIGN_SITE = "foreign-site"
FOREIGN_CONTROLLER = "foreign-controller"
EPOCH = "epoch"
SECRET = "secret"  # noqa: S105
WRONG_NUMBER = "wrong-number"
CLOCK = "clock"
EXPIRED = "expired"
WRONG_KEY = "wrong-key"

# The learning reader.
COUNTDOWN = "countdown"
OFFLINE = "offline"
NOT_SECURE = "not-secure"
UNREADABLE = "unreadable"
OTHER_CARD = "other-card"
TAKEN_EARLY = "taken-early"
LEFT_THERE = "left-there"
NO_KEY = "no-key"
CHANGED = "changed"
CANCELLED = "cancelled"
NOT_STORED = "not-stored"
INTERRUPTED = "interrupted"


class Text(NamedTuple):
    """What happened, and what to do next."""

    what: str
    way_on: str


_BEGIN_AGAIN = "Go back to the controller and start the learning reader again."
_ASK_BOTH = "Ask the new manager for a new hand-over, made from a new transfer number of the old manager."

TEXTS = {
    PASSWORD: Text("The controller's password is needed first.", "Type the controller's password."),
    WRONG_PASSWORD: Text("That is not the controller's password.", "Try again; five wrong tries lock for 30 seconds."),
    WEAK_PASSWORD: Text("That password is too easy to guess.", "Choose 6 to 16 digits that are no row and no repeats."),
    OLD_PASSWORD: Text(
        "That password was chosen under an earlier manager.", "Change the controller's password, then go on."
    ),
    LOCKED: Text(
        "Too many wrong passwords: the controller is locked for a while.", "Wait until the time shown is over."
    ),
    BUSY: Text("A commissioning step is running already.", "Wait for its end, or cancel it."),
    STATEMENT: Text("The hand-over was not signed by those who must sign it, or it was damaged.", _ASK_BOTH),
    NEEDS_RELEASE: Text(
        "The present manager has not released this site.",
        "Ask the old manager to authorise the transfer; the owner's recovery key may sign in the old manager's place.",
    ),
    SUPERSEDED: Text("The old manager has withdrawn this hand-over, or made a newer one.", "Bring the newer one."),
    KEYLESS: Text("The hand-over names no commissioning key.", "Ask the new manager to mark one and to make it again."),
    NO_HAND_OVER: Text(
        "No hand-over is waiting in this controller.",
        "Bring it by file, or connect the controller to the network, and try again.",
    ),
    FOREIGN_SITE: Text("The hand-over is for another site.", "Bring the hand-over of this site."),
    FOREIGN_CONTROLLER: Text("The hand-over is for another controller.", "Bring the hand-over of this controller."),
    EPOCH: Text("The hand-over was used already, or others came between.", _ASK_BOTH),
    SECRET: Text("The two halves of the hand-over do not belong together.", _ASK_BOTH),
    WRONG_NUMBER: Text(
        "The hand-over is not for the manager with that number.",
        "Type the number on the new manager's commissioning card.",
    ),
    CLOCK: Text("The controller does not know the time, and the hand-over has an end.", "Set date and time first."),
    EXPIRED: Text("The hand-over has run out.", _ASK_BOTH),
    WRONG_KEY: Text("That is not the commissioning key of this hand-over.", f"Take the right key. {_BEGIN_AGAIN}"),
    COUNTDOWN: Text("The countdown may last from 10 to 600 seconds.", "Choose a time between these."),
    OFFLINE: Text("The learning reader does not answer.", f"Check its cable, or choose another reader. {_BEGIN_AGAIN}"),
    NOT_SECURE: Text("The learning reader's line is not secure.", "Pair that reader, or choose another one."),
    UNREADABLE: Text("The key could not be read.", f"Hold it flat and still. {_BEGIN_AGAIN}"),
    OTHER_CARD: Text("Another card was read while the key was held there.", f"Hold one key only. {_BEGIN_AGAIN}"),
    TAKEN_EARLY: Text("The key was taken away too early.", f"Hold it for about two seconds. {_BEGIN_AGAIN}"),
    LEFT_THERE: Text("The key was left at the reader.", f"Take it away after two seconds. {_BEGIN_AGAIN}"),
    NO_KEY: Text("No key was presented while the reader blinked fast in red.", _BEGIN_AGAIN),
    CHANGED: Text("Another hand-over came in meanwhile.", _BEGIN_AGAIN),
    CANCELLED: Text("It was cancelled.", _BEGIN_AGAIN),
    NOT_STORED: Text("The new manager could not be stored; the old one stays.", f"Check the disk. {_BEGIN_AGAIN}"),
    INTERRUPTED: Text("The power was cut, or the controller restarted; the old manager stays.", _BEGIN_AGAIN),
}
