"""An LDAP server that is asked by a simple bind with the user's name and password (RFC 4513, section 5.1.3).

Needs the extra `ldap` (python-ldap). A bind without a password succeeds on many servers and proves nothing (section 5.1.2):
blank passwords never get here.
"""

from dataclasses import dataclass

from authctl.errors import AuthenticatorUnavailable
from authctl.names import visible


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
        try:
            import ldap
            from ldap.dn import escape_dn_chars
        except ImportError:
            raise AuthenticatorUnavailable("python-ldap is not installed: pip install 'authctl[ldap]'") from None
        who = self.bind_dn.replace("{username}", escape_dn_chars(username))
        try:
            connection = ldap.initialize(self.url)
            connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
            connection.set_option(ldap.OPT_REFERRALS, 0)
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self.timeout)
            connection.set_option(ldap.OPT_TIMEOUT, self.timeout)
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            if self.ca_file is not None:
                connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self.ca_file)
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
            if self.start_tls:
                connection.start_tls_s()
            try:
                connection.simple_bind_s(who, password)
            finally:
                connection.unbind_ext_s()
        except (ldap.INVALID_CREDENTIALS, ldap.NO_SUCH_OBJECT):
            return False
        except (ldap.LDAPError, ValueError) as error:
            raise AuthenticatorUnavailable(_said(error)) from None
        return True


def _said(error: Exception) -> str:
    """What the server or the library says is wrong."""
    said = error.args[0] if error.args else {}
    return visible(str(said.get("desc") if isinstance(said, dict) else said)[:200])
