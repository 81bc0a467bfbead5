"""Settings that a standard or a vendor advises against, each with its source. They are allowed all the same."""

from collections.abc import Iterator

from authctl.instants import DAY, MINUTE, NEVER, SECOND
from authctl.lifetimes import PasswordRule
from authctl.model import OnReuse, PairRules, Profile
from authctl.yaml_files import Path

_ENTRA = "Microsoft Entra, configurable token lifetimes"
_RFC_9700 = "RFC 9700, section 4.14.2"
_ASVS = "OWASP ASVS 5.0"


def advice(profile: Profile) -> Iterator[tuple[Path, str]]:
    """The field of each piece of advice, as a path below the profile, with its text."""
    # decision 42: unwise fields work, and somebody may want them
    if profile.idle_timeout >= NEVER and profile.absolute_timeout >= NEVER:
        yield ("idle_timeout",), f"sessions end neither by inactivity nor by age ({_ASVS}, 7.3.1 and 7.3.2)"
    if profile.ends_on_password_change is PasswordRule.NONE:
        yield (
            ("ends_on_password_change",),
            f"a changed password leaves every session open, a thief's too ({_ASVS}, 7.4.3)",
        )
    if profile.pair:
        yield from _pair_advice(profile, profile.pair)


def _pair_advice(profile: Profile, pair: PairRules) -> Iterator[tuple[Path, str]]:
    if not 10 * MINUTE <= pair.access_lifetime <= DAY:
        yield ("access_lifetime",), f"access tokens live for 10 minutes to a day ({_ENTRA})"
    unused = min(profile.idle_timeout, profile.absolute_timeout)
    if unused >= NEVER:
        yield ("idle_timeout",), f"refresh tokens should end when they are not used for some time ({_RFC_9700})"
    elif not 10 * MINUTE <= unused <= 90 * DAY:
        yield ("idle_timeout",), f"refresh tokens may be unused for 10 minutes to 90 days ({_ENTRA})"
    if 365 * DAY < profile.absolute_timeout < NEVER:
        yield ("absolute_timeout",), f"refresh tokens live for 365 days at the most ({_ENTRA})"
    if pair.grace > 60 * SECOND:
        yield (
            ("refresh", "grace"),
            "a thief can use a spent refresh token for over a minute (Okta grants 60 seconds at the most)",
        )
    if pair.on_reuse is OnReuse.REFUSE:
        yield (
            ("refresh", "on_reuse"),
            f"a refresh token that comes back was copied; its session should be revoked ({_RFC_9700})",
        )
