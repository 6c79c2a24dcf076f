"""What can go wrong in the cloud, by whose fault; each kind carries its exit code (sysexits)."""

import os


class CloudError(Exception):
    """Base. The message says what was seen and what to do, in one line."""

    exit_code = os.EX_SOFTWARE


class UsageError(CloudError):
    """The command line asks for something that does not exist."""

    exit_code = os.EX_USAGE


class DataError(CloudError):
    """What was read is wrong; nothing of it was stored."""

    exit_code = os.EX_DATAERR


class MissingInputError(CloudError):
    """A file or folder that was named is not there."""

    exit_code = os.EX_NOINPUT


class UnavailableError(CloudError):
    """A service that is needed does not answer, or a port is taken."""

    exit_code = os.EX_UNAVAILABLE


class FolderError(CloudError):
    """The data folder or a file that must be written cannot be used."""

    exit_code = os.EX_CANTCREAT


class ConfigError(CloudError):
    """Something was not set up, or was set up otherwise."""

    exit_code = os.EX_CONFIG
