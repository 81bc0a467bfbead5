"""The exit code of each error. The table of all exit codes is the help topic exit-codes."""

from authctl.errors import (
    AuthctlError,
    IntegrityFailure,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    OutputFailed,
    Refused,
    RegistryUnavailable,
    TokenInvalid,
)

EXIT_CODES: dict[type[AuthctlError], int] = {
    AuthctlError: 1,
    InvalidInput: 2,
    NotFound: 3,
    Refused: 4,
    TokenInvalid: 5,
    RegistryUnavailable: 6,
    IntegrityFailure: 7,
    OutcomeUnknown: 8,
    OutputFailed: 8,
}
"""By class; a class that is not here has the exit code of its parent."""


def exit_code_of(error: type[AuthctlError]) -> int:
    """The exit code of a class of errors."""
    # decision 129: the exit codes belong to the command line; an HTTP door answers with other numbers
    return next(EXIT_CODES[parent] for parent in error.__mro__ if parent in EXIT_CODES)
