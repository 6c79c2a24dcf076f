"""The way to a session with one reader: what it is, whether it has a secure channel, whether it has the key.

Portable and sans-io. Source: SIA OSDP 2.2, annex D. Four questions a step, in STEPS: which command, is the reply
right, what is next if so, what if not.

    OFFLINE ► CAPABILITIES ► CHALLENGE ► CRYPTOGRAM ► SECURE, or PAIRING where the default key was proved
                   └────────────┴────────────┴──► CLEAR (answers, but has not proved the key)
"""

from collections import namedtuple

from . import frame, messages, secure

OFFLINE, CAPABILITIES, CHALLENGE, CRYPTOGRAM, SECURE, PAIRING, CLEAR = (
    "offline", "capabilities", "challenge", "cryptogram", "secure", "pairing", "clear",
)  # fmt: skip


class Handshake:
    """The commands of the way up, and what their replies prove.

    `choose` the keys before the challenge. One challenge is enough for two of ours: the reader's cryptogram tells
    which one it has, so after a power cut in a key change neither end has to guess.
    """

    def __init__(self, aes, random_bytes, crc):
        self._aes = aes
        self._random_bytes = random_bytes
        self._crc = crc
        self.identity = None
        self.capabilities = None
        self.session = None  # the one that the reader's cryptogram belongs to
        self.key = None  # its base key; None for the default key
        self.is_default = False
        self._keys = ()
        self._candidates = ()
        self._server_cryptogram = b""

    def choose(self, keys, is_default):
        """Which base keys are good in the coming challenge: our own, the newest first, or the default key alone."""
        self._keys = () if is_default else keys
        self.is_default = is_default

    def forget(self):
        """The session is over."""
        self.session = self.key = None
        self.is_default = False
        self._keys = self._candidates = ()

    def know(self, value):
        """What the reader says of itself later on: an Identity or Capabilities."""
        if isinstance(value, messages.Identity):
            self.identity = value
        else:
            self.capabilities = value

    def command(self, state, address, sequence):
        """The bytes of a step's command."""
        message, security = STEPS[state].command(self)
        code, data = messages.pack_command(message)
        return frame.encode(address, sequence, code, data, security, False, True, self._crc)

    # --- commands: (message, security block) ---------------------------------------------------------------------

    def _ask_id(self):
        return messages.AskId(0), b""

    def _ask_capabilities(self):
        return messages.AskCapabilities(0), b""

    def _challenge(self):
        cp_random = bytes(self._random_bytes(8))
        if self.is_default:
            self._candidates = ((secure.DefaultKeySession(self._aes, cp_random, self._crc), None),)
        else:
            self._candidates = tuple(
                [(secure.Session(self._aes, key, cp_random, self._crc), key) for key in self._keys]
            )
        return messages.Challenge(cp_random), bytes((secure.SCS_11, self._key_mark()))

    def _cryptogram(self):
        return messages.ServerCryptogram(self._server_cryptogram), bytes((secure.SCS_13, self._key_mark()))

    def _key_mark(self):
        return secure.KEY_IS_DEFAULT if self.is_default else secure.KEY_IS_OURS

    # --- judging replies: "" where right, else why not -----------------------------------------------------------

    def _take_identity(self, value, reply):
        if not isinstance(value, messages.Identity):
            return "it does not say what it is"
        self.identity = value
        return ""

    def _take_capabilities(self, value, reply):
        if not isinstance(value, messages.Capabilities):
            return "no secure channel: it does not say what it can do"
        self.capabilities = value
        security = messages.capability(value, messages.CAP_SECURITY)
        if security is None or not security[0] & 1:
            return "no secure channel: the reader says that it has none"
        return ""

    def _take_client_cryptogram(self, value, reply):
        if not isinstance(value, messages.ClientCryptogram):
            return "no secure channel: the challenge was not answered"
        if reply.security[1:2] != bytes((self._key_mark(),)):
            if self.is_default:
                return "no secure channel: the reader is not in install mode"
            return "no secure channel: the reader has only the default key"
        for session, key in self._candidates:
            if secure.is_equal(value.cryptogram, session.client_cryptogram(value.random)):
                self.session, self.key = session, key
                self._server_cryptogram = session.server_cryptogram(value.random)
                return ""
        return "no secure channel: the reader has another key"

    def _take_initial_mac(self, value, reply):
        if not isinstance(value, messages.InitialMac) or reply.security[1:2] != bytes((secure.SUCCESS,)):
            return "no secure channel: the reader refused our answer"
        if not secure.is_equal(value.mac, self.session.start(self._server_cryptogram)):
            return "no secure channel: the reader's first MAC is wrong"
        return ""


class Step(namedtuple("Step", ("command", "block", "take", "next", "otherwise"))):
    """command: makes the message and its security block. block: the security block type of a right reply, 0 for
    none. take: keeps a right reply, says what is wrong with another."""

    __slots__ = ()


STEPS = {
    OFFLINE: Step(Handshake._ask_id, 0, Handshake._take_identity, CAPABILITIES, OFFLINE),
    CAPABILITIES: Step(Handshake._ask_capabilities, 0, Handshake._take_capabilities, CHALLENGE, CLEAR),
    CHALLENGE: Step(Handshake._challenge, secure.SCS_12, Handshake._take_client_cryptogram, CRYPTOGRAM, CLEAR),
    CRYPTOGRAM: Step(Handshake._cryptogram, secure.SCS_14, Handshake._take_initial_mac, SECURE, CLEAR),
}


def describe(identity):
    """A reader's identity in a few words: vendor, model, firmware (section 7)."""
    if identity is None:
        return ""
    vendor = "".join("%02x" % byte for byte in identity.vendor)
    firmware = ".".join(str(byte) for byte in identity.firmware)
    return "vendor %s model %d.%d firmware %s" % (vendor, identity.model, identity.version, firmware)
