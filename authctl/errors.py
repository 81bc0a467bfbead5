"""The errors of authctl, each with a code for programs.

`code` is part of the interface: it does not change when a message is reworded. The command line's exit codes are in
`cli/exit_codes.py`. Worded once, where the fault is found: lower case, no full stop, quoting what was typed.
A hint is the next command to type. Only the outermost boundary catches these. Foreign text in a message
(names, paths, files) is visible text.
"""

from authctl.visible_text import visible


def reason(error: OSError) -> str:
    """Why the operating system failed, as part of a sentence."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


class AuthctlError(Exception):
    """The parent of all errors: a message for a person, perhaps a hint, and a code for a program."""

    code = "internal_error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = visible(message)
        self.hint = hint and visible(hint)

    def __str__(self) -> str:
        return self.message


class InvalidInput(AuthctlError):
    """The input cannot be accepted as it is: wrong usage, a bad name, a bad file."""

    code = "invalid_input"


class InvalidFile(InvalidInput):
    """A file with faults; `faults` has each of them as `file:line:column: message`."""

    code = "invalid_file"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("")
        self.faults = tuple(map(visible, faults))
        self.message = "\n".join(self.faults)


class NotFound(AuthctlError):
    """No such session, user, profile or event."""

    code = "not_found"


class Refused(AuthctlError):
    """Understood and not done: no note, declined, over a limit, or the target exists already."""

    code = "refused"


class LoginRefused(Refused):
    """The authenticator refused the password of the user."""

    # decision 64: a refusal (exit 4), since exit 5 is for tokens

    code = "login_refused"


class AuthenticatorUnavailable(Refused):
    """Whether the password is the user's could not be found out."""

    code = "authenticator_unavailable"


class ReceiverUnavailable(Refused):
    """A receiver cannot be reached now; `retry_after` is the time in seconds that it asked for."""

    code = "receiver_unavailable"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TokenInvalid(AuthctlError):
    """The token does not let its bearer in; the reason is the subclass.

    `action` is the duty of the application besides signing out: None, or "wipe".
    """

    code = "token_invalid"

    def __init__(self, message: str, action: str | None = None) -> None:
        super().__init__(message)
        self.action = action


class TokenUnknown(TokenInvalid):
    """Malformed, forged, or of a session that this registry does not hold: one answer for all."""

    code = "token_unknown"

    def __init__(self, message: str = "this registry did not issue that token") -> None:
        super().__init__(message)


class TokenExpired(TokenInvalid):
    """The session's deadline has passed, or that of its access token."""

    code = "token_expired"


class TokenEnded(TokenInvalid):
    """The session was ended before its deadline (signed out, user disabled, and so on), or the token was replaced."""

    code = "token_ended"


class TokenRevoked(TokenInvalid):
    """An administrator revoked the session."""

    code = "token_revoked"


class TokenMisused(TokenInvalid):
    """The token is good, but not for the application that presents it, or not where it comes from."""

    code = "token_misused"


class ConditionNotMet(TokenInvalid):
    """The token is good, but a condition of its session's profile is not met; `rule` names it."""

    code = "condition_not_met"

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


class TokenReused(TokenInvalid):
    """A refresh token that was exchanged already: unless its profile only refuses, its session is now revoked."""

    code = "token_reused"


class OutcomeUnknown(AuthctlError):
    """Done and in force, but its result could not be read."""

    code = "outcome_unknown"


class OutputFailed(AuthctlError):
    """The operation is done, or there was nothing to do, but the result could not be written to the output."""

    code = "output_failed"


class RegistryUnavailable(AuthctlError):
    """The registry or key ring cannot be used now; the transaction that was due has changed nothing."""

    code = "registry_unavailable"


class RegistryLocked(RegistryUnavailable):
    """Somebody else was writing for longer than the change could wait; nothing has changed."""

    code = "registry_locked"


class DiskFull(RegistryUnavailable):
    """The disk had no room for the change; nothing has changed."""

    code = "disk_full"


class RegistryMoved(RegistryUnavailable):
    """The registry is at another place now, `moved_to`, and is closed here; nothing has changed."""

    code = "registry_moved"
    give_up = "authctl registry move --give-up --note TEXT"
    """The command that gives up a move which was begun and not finished."""

    def __init__(self, message: str, hint: str | None = None, moved_to: str = "") -> None:
        super().__init__(message, hint)
        self.moved_to = moved_to


class IntegrityFailure(AuthctlError):
    """The registry, key ring or audit log is damaged, foreign or tampered with."""

    code = "integrity_failure"


class Overtaken(Exception):
    """A change that had read before its turn found that another one came between: nothing was done, and it is repeated.

    No user sees it.
    """
