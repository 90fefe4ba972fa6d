"""The errors carvid raises for what a caller can mend, each with the exit code the command line gives it.

Libraries raise; only `carvid.cli` turns an error into a message and an exit code. A message says what was
found, what was expected and what to do.
"""


class CarvidError(Exception):
    """Base of every error meant for the caller."""

    exit_code = 1


class UsageError(CarvidError):
    """An option, a query or a configuration that cannot be used (exit code 2)."""

    exit_code = 2


class InputError(CarvidError):
    """A source that cannot be read, or data that contradicts itself (exit code 3)."""

    exit_code = 3


class WeightsError(InputError):
    """Model weights that cannot be found or fetched, or are not what they claim to be (exit code 3)."""


class OutputError(CarvidError):
    """An output place that exists already, cannot be written, or is full (exit code 4)."""

    exit_code = 4
