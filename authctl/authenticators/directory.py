"""An LDAP server that is asked by a simple bind with the user's name and password (RFC 4513, section 5.1.3).

Needs the extra `ldap` (python-ldap). A bind without a password succeeds on many servers and proves nothing (section 5.1.2):
blank passwords never get here. Directories compare names in their own way, and some take a name for another: whom it let in it is
asked (RFC 4532), and where that is not who authctl would register, it is no answer.
"""

from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from authctl.errors import AuthenticatorUnavailable
from authctl.names import fold
from authctl.visible_text import visible


@dataclass(frozen=True, slots=True)
class Directory:
    """`Authenticator` over an LDAP server."""

    url: str
    bind_dn: str
    """With `{username}` where the user's name belongs."""
    start_tls: bool
    ca_file: str | None
    timeout: float
    """In seconds."""

    def authenticate(self, username: str, password: str) -> bool:
        """As `Authenticator.authenticate`."""
        # decision 69: the time-outs of libldap do not cover the TLS handshake
        try:
            import ldap  # noqa: F401  # decision 63: an extra, because most installations do not use it
        except ImportError:
            message = "python-ldap is not installed: pip install 'authctl[ldap]'"
            raise AuthenticatorUnavailable(message) from None
        answer: SimpleQueue[bool | AuthenticatorUnavailable] = SimpleQueue()
        # libldap's own time-outs do not cover TLS, and nothing can call it back
        Thread(target=lambda: answer.put(self._answer(username, password)), daemon=True).start()
        try:
            # The thread is left to itself: it holds a password, and ends with the process or with the connection.
            result = answer.get(timeout=self.timeout)
        except Empty:
            raise AuthenticatorUnavailable(f"no answer within {self.timeout:g} s") from None
        if isinstance(result, AuthenticatorUnavailable):
            raise result
        return result

    def _answer(self, username: str, password: str) -> bool | AuthenticatorUnavailable:
        # decision 68: a directory may take one name for another, and a disabled user came back in that way
        import ldap
        from ldap.dn import escape_dn_chars

        # Escaped: a name such as `alice,ou=admins` would bind as somebody else.
        who = self.bind_dn.replace("{username}", escape_dn_chars(username))
        try:
            connection = self._connected()
            try:
                connection.simple_bind_s(who, password)
                if not _is_meant(connection.whoami_s(), who, username):
                    return AuthenticatorUnavailable("it matched another name, or did not return the name")
            finally:
                connection.unbind_ext_s()
        except (ldap.INVALID_CREDENTIALS, ldap.NO_SUCH_OBJECT):
            return False
        except (ldap.LDAPError, ValueError) as error:
            return AuthenticatorUnavailable(_in_words(error))
        return True

    def _connected(self) -> Any:
        import ldap

        connection = ldap.initialize(self.url)
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
        # A referral would send the password to another server, which nobody has named.
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self.timeout)
        connection.set_option(ldap.OPT_TIMEOUT, self.timeout)
        connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        if self.ca_file is not None:
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self.ca_file)
        # Last: libldap takes the TLS options above only when a new context is made.
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if self.start_tls:
            connection.start_tls_s()
        return connection


def _is_meant(identity: str, bind_dn: str, username: str) -> bool:
    """Whether the identity that a server returns is the meant user, as authctl compares names.

    Where it answers with no distinguished name, as Active Directory does, only a name that no server could take for
    another of authctl's users is safe: one in ASCII.
    """
    from ldap.dn import str2dn

    if not identity.startswith("dn:"):
        return username.isascii()
    try:
        identified, asked = ([fold(part[1]) for rdn in str2dn(dn) for part in rdn] for dn in (identity[3:], bind_dn))
    except Exception:  # noqa: BLE001  # no distinguished name, in the library's many ways
        return False
    return identified == asked


def _in_words(error: Exception) -> str:
    """The problem, as the server or the library words it."""
    details = error.args[0] if error.args else {}
    return visible(str(details.get("desc") if isinstance(details, dict) else details)[:200])
