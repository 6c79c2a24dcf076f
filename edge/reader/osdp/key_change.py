"""One reader's base keys: the present one, and a new one on its way: who is sent it, how often, until when.

Portable and sans-io. KEYSET (SIA OSDP 2.2, section 6) goes to a reader in one of two situations and in no other:
inside a session that the reader's present key began (a rekey), or inside one that the published default key began,
while a person at the site holds a pairing window open for this very reader. The default key proves nothing, so
whoever listens then, or stands between, gets the key: pair at the desk, on a cable that is in sight.
"""

from . import secure
from .facts import NotPaired, Paired

LONGEST_WINDOW_MS = 300_000
MOST_SENDS = 3  # sessions in which KEYSET is sent; in each the same bytes may be repeated after a silence


class PairingError(ValueError):
    """A key change that cannot begin. The message says why and what to do; never a key."""


class KeyChange:
    """The one change that a link may have under way. `until_ms` None: a rekey, without a window."""

    def __init__(self, key, until_ms, sends_left):
        self.key = key
        self.until_ms = until_ms
        self._sends_left = sends_left
        self.may_be_there = sends_left == 0  # the reader may have it: it is good in a handshake
        self.is_taken = False  # the reader said that it took it
        self.why = ""  # what went wrong last
        self._uses_default = False

    @property
    def may_send(self):
        """Whether KEYSET may go out in one more session."""
        return self._sends_left > 0 and not self.is_taken

    def sent(self):
        """KEYSET goes out: from now on the reader may have the key."""
        self._sends_left -= 1
        self.may_be_there = True

    def takes_turns(self, has_key):
        """Whether the next challenge in the window is under the default key: each second one where there is a key
        of ours to try, as an answer to KEYSET may have been lost."""
        self._uses_default = not self._uses_default or not has_key
        return self._uses_default

    def reason_at_end(self):
        """Why the window closed without a paired reader."""
        if self.may_be_there:
            return "time is up: it was sent the key and has not proved it; reset the reader and pair it again"
        return "time is up: " + (self.why or "the reader did not answer")


class ReaderKeys:
    """What one reader may prove to have, and the change under way. `candidate`: a key that may have been sent
    before the last restart; it is not sent again. SecureError for a weak key."""

    def __init__(self, address, scbk, candidate):
        for key in (scbk, candidate):
            why = "" if key is None else secure.weakness(key)
            if why:
                raise secure.SecureError("the key of the reader at address %d is refused: %s" % (address, why))
        self._scbk = scbk
        self._change = None if candidate is None else KeyChange(candidate, None, 0)

    @property
    def is_paired(self):
        """Whether there is a key of the reader's own."""
        return self._scbk is not None

    @property
    def is_changing(self):
        """Whether a pairing window is open or a rekey is under way."""
        return self._change is not None

    @property
    def ours(self):
        """The keys that are good in a handshake: the new one once it was sent, then the present one."""
        change = self._change
        new = () if change is None or not change.may_be_there else (change.key,)
        return new if self._scbk is None else new + (self._scbk,)

    @property
    def may_send(self):
        """Whether KEYSET may go out in one more session."""
        return self._change is not None and self._change.may_send

    def has(self, key):
        """Whether `key` is the reader's, or is on its way to it."""
        keys = (self._scbk, None if self._change is None else self._change.key)
        return any([secure.is_equal(key, each) for each in keys if each is not None])

    def stage(self, now_ms):
        """(what is being waited for, ms until the window closes or None), or None where no key changes."""
        change = self._change
        if change is None:
            return None
        if change.may_be_there:
            words = "proving the new key"
        else:
            words = "sending the new key" if change.until_ms is None else "waiting for a reader in install mode"
        return words, None if change.until_ms is None else max(change.until_ms - now_ms, 0)

    # --- a change's course; each gives what happened ---------------------------------------------------------------

    def begin(self, key, until_ms):
        """A pairing in a window until `until_ms`, or a rekey with None. A rekey that the reader never answered ends
        where a window is opened: the reader was reset, or is another one."""
        why = secure.weakness(key)
        if why:
            raise secure.SecureError("the new key is refused: " + why)
        if self._change is not None and (until_ms is None or self._change.until_ms is not None):
            raise PairingError("a key change of this reader is under way: wait for its end")
        if self.has(key):
            raise PairingError("the new key is the reader's present one: make another")
        self._change = KeyChange(bytes(key), until_ms, MOST_SENDS)

    def is_window_open(self, now_ms):
        """Whether a pairing window is open for this reader."""
        change = self._change
        return change is not None and change.until_ms is not None and now_ms < change.until_ms

    def wants_default(self, now_ms):
        """Whether the next challenge is under the default key: in an open window only."""
        return self.is_window_open(now_ms) and self._change.may_send and self._change.takes_turns(len(self.ours) > 0)

    def note(self, why):
        """What went wrong in the window, for whoever opened it."""
        self._change.why = why

    def take_for_sending(self):
        """The new key, for a KEYSET that is being made."""
        self._change.sent()
        return self._change.key

    def taken(self):
        """The reader said that it took the key. It is not sent again; only a proof counts."""
        if self._change is not None:
            self._change.is_taken = True

    def proved(self, key):
        """The reader has proved `key`, one of ours."""
        change = self._change
        if change is None:
            return ()
        if change.may_be_there and secure.is_equal(key, change.key):
            self._scbk, self._change = change.key, None
            return (Paired(),)
        if change.until_ms is not None:
            return self.give_up("the reader has proved its present key: change it with rekey")
        return () if change.may_send else self.give_up("the reader still has its old key")

    def give_up(self, why):
        """The change is over; the key from before holds."""
        if self._change is None:
            return ()
        self._change = None
        return (NotPaired(why),)

    def close_window(self, why):
        """Close the window before its time. A rekey goes on."""
        if self._change is None or self._change.until_ms is None:
            return ()
        return self.give_up(why)

    def expire(self, now_ms):
        """Close a window whose time is up."""
        change = self._change
        if change is None or change.until_ms is None or now_ms < change.until_ms:
            return ()
        return self.give_up(change.reason_at_end())
