"""What a command could not do."""


class CommandError(Exception):
    """One line for stderr, and the exit code (sysexits.h)."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
