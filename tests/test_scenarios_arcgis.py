"""ArcGIS tokens, each scenario a test named after its row. S is `default_lifetime`, L is `max_lifetime`.

Lifetimes, the shared key and bindings as in Esri's documentation of ArcGIS Server tokens.
"""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from authctl import (
    InvalidInput,
    Refused,
    Registry,
    TokenExpired,
    TokenMisused,
    TokenUnknown,
    key_ring,
    profiles,
    read_sealed,
)
from authctl.instants import DAY, HOUR, MINUTE, SECOND
from tests.conftest import Authctl, Clock, Install

ARCGIS = """\
version: 1
default_profile: arcgis
profiles:
  arcgis: {tokens: requested, default_lifetime: 60m, max_lifetime: 1d}
  sealed: {tokens: requested, sealed: true}
  address: {tokens: requested, sealed: true, bind: address}
  referrer: {tokens: requested, bind: referrer}
  bound-pair: {tokens: pair, bind: address, refresh: {grace: 30s}}
  single: {idle_timeout: 3d}
"""


pytestmark = pytest.mark.usefixtures("ring_looked_at_each_time")


@pytest.fixture
def arcgis(install: Install) -> Registry:
    """A registry with profiles of requested lifetimes."""
    return install(ARCGIS)


def sign_in(registry: Registry, profile: str = "arcgis", lifetime: int | timedelta | None = None, **details):
    """A session with a token for so long."""
    return registry.issue(username="alice", application="ArcGIS Pro", profile=profile, lifetime=lifetime, **details)


def lifetime_of(issued) -> int:
    """For how long a token is good."""
    return issued.expires_at - issued.session.created_at


def test_g1_nothing_requested_gets_the_default(arcgis: Registry, clock: Clock):
    """S from the sign-in, however much it is used."""
    issued = sign_in(arcgis)
    assert lifetime_of(issued) == HOUR
    for _ in range(59):
        clock.forward(minutes=1)
        assert arcgis.verify(issued.access_token).expires_at == issued.expires_at
    clock.forward(minutes=1, microseconds=-1)
    assert arcgis.verify(issued.access_token).last_used_at > issued.session.created_at
    clock.forward(microseconds=1)
    with pytest.raises(TokenExpired):
        arcgis.verify(issued.access_token)
    assert arcgis.session(issued.session.id).ended_reason == "lifetime"


@pytest.mark.parametrize("minutes", [30, 60, 100])
def test_g2_as_requested(arcgis: Registry, minutes: int):
    """Shorter than the default, equal, longer: what was asked for, as a timedelta or in microseconds."""
    assert lifetime_of(sign_in(arcgis, lifetime=timedelta(minutes=minutes))) == minutes * MINUTE
    assert lifetime_of(sign_in(arcgis, lifetime=minutes * MINUTE)) == minutes * MINUTE


def test_g3_exactly_the_maximum(arcgis: Registry):
    """Granted."""
    assert lifetime_of(sign_in(arcgis, lifetime=DAY)) == DAY


@pytest.mark.parametrize("over", [1, SECOND, 364 * DAY, 2**62])
def test_g4_above_the_maximum(arcgis: Registry, over: int):
    """Refused, naming the maximum; never shortened silently, and nothing is registered."""
    with pytest.raises(Refused, match="'arcgis' grants 1d at the most"):
        sign_in(arcgis, lifetime=DAY + over)
    assert arcgis.count() == 0


@pytest.mark.parametrize("lifetime", [0, -1, timedelta(0), timedelta(seconds=-1), -(2**63), 1.5, True])
def test_g5_no_lifetime_at_all(arcgis: Registry, lifetime: int | timedelta):
    """Zero and negative are wrong usage."""
    with pytest.raises(InvalidInput, match="above zero"):
        sign_in(arcgis, lifetime=lifetime)


@pytest.mark.parametrize(
    ("lifetime", "code", "said"),
    [
        ("30m", 0, ""),
        ("1d", 0, ""),
        ("24h1s", 4, "grants 1d at the most, not 1d 1s"),
        ("0s", 2, "above zero"),
        ("-5m", 2, "not a length of time"),
        ("soon", 2, "not a length of time"),
        ("60", 2, "not a length of time"),
        ("9223372036854775808", 2, "not a length of time"),
        ("9223372036854775808s", 2, "longer than 1,000 years"),
        ("never", 2, "not a length of time"),
        ("1 month", 2, "calendar months"),
    ],
)
def test_g4_and_g5_through_the_command(authctl: Authctl, tmp_path: Path, lifetime: str, code: int, said: str):
    """Above the maximum is refused (4), what is no lifetime is wrong usage (2), and nothing is registered."""
    (tmp_path / "arcgis.yaml").write_text(ARCGIS)
    authctl("init", "--profiles", str(tmp_path / "arcgis.yaml"))
    ran = authctl("tokens", "issue", "--user", "alice", "--application", "ArcGIS Pro", f"--lifetime={lifetime}")
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert authctl("sessions", "list", "--count").out == ("1\n" if code == 0 else "0\n")


def test_a_lifetime_is_only_for_profiles_that_take_one(arcgis: Registry):
    """Elsewhere the timeouts decide, and asking is refused."""
    with pytest.raises(Refused, match="'single' does not take a lifetime"):
        sign_in(arcgis, "single", lifetime=HOUR)


def test_g6_an_expired_token(arcgis: Registry, clock: Clock):
    """Refused as expired, sealed or not."""
    issued = [sign_in(arcgis, profile, lifetime=MINUTE) for profile in ("arcgis", "sealed")]
    clock.forward(minutes=1)
    for one in issued:
        with pytest.raises(TokenExpired, match="the session has expired"):
            arcgis.verify(one.access_token)


def rewritten(home: Path, change) -> None:
    """Change the key ring file as `change` says of its list of keys."""
    path = home / "keys.json"
    document = json.loads(path.read_text())
    document["keys"] = change(document["keys"])
    path.write_text(json.dumps(document))


def fresh_key(home: Path, tmp_path: Path) -> dict:
    """Another key, made as `authctl init` makes one."""
    key_ring.create(tmp_path / "another.json", 0)
    return json.loads((tmp_path / "another.json").read_text())["keys"][0]


@pytest.mark.parametrize("profile", ["arcgis", "sealed"])
def test_g7_the_shared_key_changed_with_no_grace(arcgis: Registry, home: Path, tmp_path: Path, profile: str):
    """Every token issued before is invalid, online and offline; new ones are good."""
    before = sign_in(arcgis, profile)
    rewritten(home, lambda _keys: [fresh_key(home, tmp_path)])
    with pytest.raises(TokenUnknown):
        arcgis.verify(before.access_token)
    with pytest.raises(TokenUnknown):
        read_sealed(before.access_token, home / "keys.json")
    assert arcgis.verify(sign_in(arcgis, profile).access_token).status == "active"


@pytest.mark.parametrize("profile", ["arcgis", "sealed"])
def test_g8_the_shared_key_rotated_with_grace(arcgis: Registry, home: Path, tmp_path: Path, profile: str):
    """Old tokens live until the old key is retired."""
    before = sign_in(arcgis, profile)
    rewritten(home, lambda keys: [{**keys[0], "state": "verifying"}, fresh_key(home, tmp_path)])
    after = sign_in(arcgis, profile)
    assert before.access_token[5:13] != after.access_token[5:13]
    for one in (before, after):
        assert arcgis.verify(one.access_token).id == one.session.id
    rewritten(home, lambda keys: [{**keys[0], "state": "retired"}, keys[1]])
    with pytest.raises(TokenUnknown):
        arcgis.verify(before.access_token)
    assert arcgis.verify(after.access_token).id == after.session.id


def test_g9_a_sealed_token_shows_nothing(arcgis: Registry, home: Path):
    """Neither user nor expiry without the key, not in any spelling; with it, offline, both."""
    issued = sign_in(arcgis, "address", ip="10.1.2.3")
    raw = bytes.fromhex(issued.access_token[5:])
    for told in (
        "alice",
        "ArcGIS",
        "10.1.2.3",
        issued.session.id,
        str(issued.expires_at),
        str(issued.expires_at // SECOND),
    ):
        assert told.encode() not in raw
        assert told not in issued.access_token
    inside = read_sealed(issued.access_token, home / "keys.json")
    assert (inside.username, inside.application, inside.session_id) == ("alice", "ArcGIS Pro", issued.session.id)
    assert (inside.issued_at, inside.expires_at) == (issued.session.created_at, issued.expires_at)
    assert (inside.bound_to, inside.bound_value) == ("address", "10.1.2.3")
    assert sign_in(arcgis, "address", ip="10.1.2.3").access_token[5:] != issued.access_token[5:]


def test_no_secret_in_what_a_log_would_show(arcgis: Registry, home: Path):
    """Neither tokens nor the session's secret are in the text of what was issued or read."""
    issued = sign_in(arcgis, "sealed")
    inside = read_sealed(issued.access_token, home / "keys.json")
    assert issued.access_token not in repr(issued)
    assert inside.secret not in repr(inside)


def test_g9_every_byte_changed_is_refused(arcgis: Registry, home: Path):
    """And every character removed, every other spelling, and every other token's part."""
    token = sign_in(arcgis, "sealed").access_token
    other = sign_in(arcgis, "sealed").access_token
    raw = bytes.fromhex(token[13:])
    changed = [
        token[:13] + bytes(b ^ (bit if at == i else 0) for i, b in enumerate(raw)).hex()
        for at in range(len(raw))
        for bit in (1, 0x80)
    ]
    changed += [token[:at] + token[at + 1 :] for at in range(len(token))]
    changed += [
        token.upper(),
        token + "00",
        token + "0",
        "acat_" + token[5:],
        "acrt_" + token[5:],
        token[:13] + other[13:37] + token[37:],
    ]
    changed += [token[:at] + sign + token[at + 1 :] for at in range(5, 13) for sign in "0f" if token[at] != sign]
    assert arcgis.verify(token).status == "active"
    for one in changed:
        with pytest.raises(TokenUnknown):
            arcgis.verify(one)
        with pytest.raises(TokenUnknown):
            read_sealed(one, home / "keys.json")


def test_g9_the_key_alone_opens_no_session(arcgis: Registry, home: Path, install: Install):
    """A holder of the key can make a sealed token and read it, and the registry knows better: the secret is not its own."""
    from authctl.token_encryption import Sealed
    from authctl.tokens import TokenMint

    issued = sign_in(arcgis, "sealed")
    ring = key_ring.load(home / "keys.json")
    real = read_sealed(issued.access_token, home / "keys.json")
    content = Sealed(real.number, real.session_id, "00" * 16, "mallory", "ArcGIS Pro", 0, real.expires_at, None, None)
    forged = TokenMint(ring).seal(ring.signing.id, content)
    assert read_sealed(forged, home / "keys.json").username == "mallory"
    with pytest.raises(TokenUnknown):
        arcgis.verify(forged)


def test_sealed_and_plain_tokens_cannot_stand_in_for_each_other(arcgis: Registry, home: Path):
    """The claims of one kind, minted as the other by a holder of key and secret, are unknown."""
    from authctl.token_encryption import Sealed
    from authctl.tokens import TokenKind, TokenMint

    plain, sealed = sign_in(arcgis), sign_in(arcgis, "sealed")
    ring = key_ring.load(home / "keys.json")
    mint = TokenMint(ring)
    inside = read_sealed(sealed.access_token, home / "keys.json")
    as_plain = mint.mint(TokenKind.ACCESS, ring.signing.id, inside.number, 0, bytes.fromhex(inside.secret))
    claims = mint.read(plain.access_token)
    content = Sealed(claims.number, plain.session.id, claims.secret.hex(), "alice", "ArcGIS Pro", 0, 0, None, None)
    for forged in (as_plain, mint.seal(ring.signing.id, content)):
        with pytest.raises(TokenUnknown):
            arcgis.verify(forged)


def test_a_name_too_long_for_a_sealed_token_registers_nothing(arcgis: Registry):
    """4 KiB is what a token may have."""
    with pytest.raises(InvalidInput, match="do not fit into a token of 4,096 bytes"):
        arcgis.issue(username="ж" * 1_000, application="ArcGIS Pro", profile="sealed")
    assert arcgis.count() == 0
    assert arcgis.issue(username="x" * 1_000, application="ArcGIS Pro", profile="sealed").session.sealed


@pytest.mark.parametrize(
    ("registered", "good", "bad"),
    [
        (
            "10.1.2.3",
            ["10.1.2.3", "::ffff:10.1.2.3", " 10.1.2.3 "],
            ["10.1.2.4", "::ffff:10.1.2.4", "10.1.2.30", "", "x"],
        ),
        ("2001:db8::1", ["2001:DB8:0:0::1"], ["2001:db8::2", "10.1.2.3"]),
        ("::ffff:10.1.2.3", ["10.1.2.3"], ["10.1.2.4"]),
        ("gateway-7", ["GATEWAY-7"], ["gateway-8", "10.1.2.3"]),
    ],
)
@pytest.mark.parametrize("profile", ["address", "bound-pair"])
def test_g10_bound_to_an_address(arcgis: Registry, registered: str, good: list[str], bad: list[str], profile: str):
    """Refused elsewhere, and where nobody says where it comes from; good in every spelling of the address."""
    issued = sign_in(arcgis, profile, ip=registered)
    for one in good:
        assert arcgis.verify(issued.access_token, ip=one).id == issued.session.id
    for one in (*bad, None):
        with pytest.raises(TokenMisused, match="bound to the address"):
            arcgis.verify(issued.access_token, ip=one)
    if issued.refresh_token:
        for one in (*bad, None):
            with pytest.raises(TokenMisused):
                arcgis.refresh(issued.refresh_token, ip=one)
        assert arcgis.refresh(issued.refresh_token, ip=good[0]).session.generation == 1
    assert arcgis.session(issued.session.id).status == "active"


@pytest.mark.parametrize(
    ("registered", "good", "bad"),
    [
        (
            "https://gis.example.org/viewer",
            [
                "https://gis.example.org/viewer",
                "https://GIS.example.org:443/viewer/",
                "https://gis.example.org/viewer/index.html?map=1#top",
            ],
            [
                "http://gis.example.org/viewer",
                "https://gis.example.org/",
                "https://gis.example.org/viewers",
                "https://gis.example.org/viewer/../admin",
                "https://gis.example.org/viewer/%2e%2e/admin",
                "https://gis.example.org/viewer/..;/admin",
                "https://gis.example.org:0/viewer",
                "https://gis.example.org.evil.test/viewer",
                "https://gis.example.org@evil.test/viewer",
                "https://gis.example.org:8443/viewer",
                "https://evil.test/?https://gis.example.org/viewer",
                "gis.example.org/viewer",
                "https://gis.example.org:99999999/viewer",
                "",
            ],
        ),
        (
            "https://gis.example.org",
            ["https://gis.example.org/", "https://gis.example.org/any"],
            ["https://example.org/"],
        ),
        ("my-desktop-client", ["my-desktop-client"], ["my-desktop-client/2", "https://gis.example.org"]),
    ],
)
def test_g10_bound_to_a_referrer(arcgis: Registry, registered: str, good: list[str], bad: list[str]):
    """Good on the registered page and below it, and refused elsewhere."""
    issued = sign_in(arcgis, "referrer", referrer=registered)
    for one in good:
        assert arcgis.verify(issued.access_token, referrer=one).id == issued.session.id
    for one in (*bad, None):
        with pytest.raises(TokenMisused, match="bound to the referrer"):
            arcgis.verify(issued.access_token, referrer=one)


@pytest.mark.parametrize(("profile", "option"), [("address", "--ip"), ("referrer", "--referrer")])
def test_g10_through_the_commands(authctl: Authctl, tmp_path: Path, profile: str, option: str):
    """A sign-in without the fact is wrong usage; a verify without it, or with another, is refused."""
    (tmp_path / "arcgis.yaml").write_text(ARCGIS)
    authctl("init", "--profiles", str(tmp_path / "arcgis.yaml"))
    named = ("tokens", "issue", "--user", "alice", "--application", "ArcGIS Pro", "--profile", profile)
    refused = authctl(*named)
    assert (refused.code, f"hint: give {option}" in refused.err) == (2, True)
    value = "10.1.2.3" if profile == "address" else "https://gis.example.org"
    token = authctl(*named, option, value).out
    assert authctl("tokens", "verify", option, value, stdin=token).code == 0
    assert authctl("tokens", "verify", stdin=token).code == 5
    assert authctl("tokens", "verify", option, "elsewhere", "-o", "json", stdin=token).json == {"active": False}


def test_a_tightened_maximum_shortens_at_once_and_loosened_gives_no_more_than_was_asked_for(
    arcgis: Registry, clock: Clock
):
    """A day was asked for; with 2 hours at the most it ends then, and with a year at the most again after that day."""
    issued = sign_in(arcgis, lifetime=DAY)
    short = sign_in(arcgis, lifetime=10 * MINUTE)
    clock.forward(minutes=5)

    def apply(longest: str) -> tuple[int, int]:
        text = ARCGIS.replace("max_lifetime: 1d", f"max_lifetime: {longest}")
        outcome = arcgis.profiles.apply(profiles.read(text.encode(), "profiles.yaml"), note="another maximum")
        return outcome.shortened, outcome.lengthened

    assert apply("2h") == (1, 0)
    found = arcgis.session(issued.session.id)
    assert (found.expires_at, found.first_deadline) == (found.created_at + 2 * HOUR, "absolute")
    assert apply("365d") == (0, 1)
    found = arcgis.session(issued.session.id)
    assert (found.expires_at, found.first_deadline) == (found.created_at + DAY, "lifetime")
    assert arcgis.session(short.session.id).expires_at == short.expires_at


def test_every_profile_of_the_example_issues_what_it_says(install: Install):
    """Each of them registers a session whose tokens verify."""
    registry = install((Path(__file__).parents[1] / "profiles.example.yaml").read_text())
    for name, profile in registry.profiles.in_force().profiles.items():
        facts = {"ip": "10.1.2.3", "referrer": "https://gis.example.org", "platform": "Windows 11"}
        issued = registry.issue(username="alice", application="any", profile=name, **facts)
        assert registry.verify(issued.access_token, **facts).profile == name
        assert (issued.refresh_token is not None) == (profile.pair is not None)
