"""The session timeouts of Office 365 services, each scenario a test named after its row, under the profiles that the
project's example ships."""

from datetime import timedelta
from pathlib import Path

import pytest

from authctl import InvalidFile, Registry, TokenEnded, TokenExpired, profiles
from authctl.instants import DAY, HOUR
from tests.conftest import Authctl, Clock, Install

EXAMPLE = (Path(__file__).parents[1] / "profiles.example.yaml").read_text()


@pytest.fixture
def office(install: Install) -> Registry:
    """A registry with the profiles of the example."""
    return install(EXAMPLE)


def ends_after(registry: Registry, session_id: str) -> timedelta:
    """How long after its registration a session ends, as it stands."""
    session = registry.session(session_id)
    return timedelta(microseconds=session.expires_at - session.created_at)


def test_o1_sharepoint_online_keep_me_signed_in(office: Registry, clock: Clock):
    """Five days without use; used at 0, 4 and 8 days, it lives until 13."""
    issued = office.issue(username="alice", application="SharePoint Online")
    assert issued.session.profile == "sharepoint"
    for _ in range(2):
        clock.forward(days=4)
        office.verify(issued.access_token)
    clock.forward(days=5, microseconds=-1)
    assert office.session(issued.session.id).status == "active"
    clock.forward(microseconds=1)
    with pytest.raises(TokenExpired):
        office.verify(issued.access_token)
    assert ends_after(office, issued.session.id) == timedelta(days=13)


def test_o2_sharepoint_online_as_it_is_today(office: Registry, clock: Clock):
    """A use moves the deadline only once 24 hours have passed since the last that did: at 20 hours not, at 25 it does."""
    issued = office.issue(username="alice", application="SharePoint", profile="sharepoint-daily")
    clock.forward(hours=20)
    used = office.verify(issued.access_token)
    assert used.last_used_at == used.read_at
    assert ends_after(office, issued.session.id) == timedelta(days=5)
    clock.forward(hours=5)
    office.verify(issued.access_token)
    assert ends_after(office, issued.session.id) == timedelta(days=6, hours=1)
    clock.forward(hours=23, minutes=59)
    office.verify(issued.access_token)
    assert ends_after(office, issued.session.id) == timedelta(days=6, hours=1)
    clock.forward(minutes=2)
    office.verify(issued.access_token)
    assert ends_after(office, issued.session.id) == timedelta(days=7, hours=1, minutes=1)
    assert office.session(issued.session.id).slid_at == office.now()


def test_o2_a_use_that_moves_the_deadline_is_written_however_shortly_after_another(office: Registry, clock: Clock):
    """Written at 23:59:30, which moves nothing; used again at 24:00:10, which does."""
    issued = office.issue(username="alice", application="SharePoint", profile="sharepoint-daily")
    clock.forward(hours=23, minutes=59, seconds=30)
    office.verify(issued.access_token)
    clock.forward(seconds=40)
    office.verify(issued.access_token)
    assert ends_after(office, issued.session.id) == timedelta(days=6, seconds=10)


def test_o3_outlook_web_app_is_adjustable(office: Registry, clock: Clock):
    """Six hours without use; adjusted, active sessions follow at once."""
    issued = office.issue(username="alice", application="Outlook Web App")
    assert ends_after(office, issued.session.id) == timedelta(hours=6)
    clock.forward(hours=5)
    assert office.verify(issued.access_token).expires_at == office.now() + 6 * HOUR
    adjusted = profiles.read(EXAMPLE.replace("idle_timeout: 6h", "idle_timeout: 2h").encode(), "profiles.yaml")
    office.profiles.apply(adjusted, note="shared computers")
    assert office.session(issued.session.id).expires_at == office.now() + 2 * HOUR
    clock.forward(hours=2)
    with pytest.raises(TokenExpired):
        office.verify(issued.access_token)


def test_o4_sharepoint_and_onedrive_mobile(office: Registry, clock: Clock):
    """An access token of an hour, a refresh token that may be unused for 90 days, and no longest age."""
    issued = office.issue(username="alice", application="OneDrive Mobile for iOS")
    for _ in range(4):
        assert issued.expires_at == office.now() + HOUR
        assert issued.session.expires_at == office.now() + 90 * DAY
        clock.forward(days=90, microseconds=-1)
        issued = office.refresh(issued.refresh_token)
    clock.forward(days=90)
    with pytest.raises(TokenExpired):
        office.refresh(issued.refresh_token)


def test_o5_yammer_lives_as_long_as_the_browser(office: Registry, clock: Clock):
    """It ends when the application says so; where that message is lost, the cap ends it, used or not."""
    reported, lost = (office.issue(username="alice", application="Yammer") for _ in range(2))
    clock.forward(hours=23)
    for one in (reported, lost):
        assert office.verify(one.access_token).expires_at == one.session.created_at + DAY
    assert office.end([reported.access_token]).ended == 1
    with pytest.raises(TokenEnded):
        office.verify(reported.access_token)
    assert office.session(reported.session.id).ended_reason == "signed_out"
    clock.forward(hours=1)
    with pytest.raises(TokenExpired):
        office.verify(lost.access_token)
    assert office.session(lost.session.id).ended_reason == "absolute"


@pytest.mark.parametrize("cap", ["", ", absolute_timeout: never"])
def test_o5_the_cap_is_required(cap: str):
    """A browser session without one could stay open for ever."""
    text = f"version: 1\nprofiles: {{yammer: {{browser: true{cap}}}}}"
    with pytest.raises(InvalidFile, match="2:30: a browser session needs an absolute_timeout"):
        profiles.read(text.encode(), "profiles.yaml")


def test_o6_without_keep_me_signed_in(authctl: Authctl, tmp_path: Path):
    """The caller names the browser's profile; the browser's end is reported by id or token, through the command, too."""
    (tmp_path / "example.yaml").write_text(EXAMPLE)
    authctl("init", "--profiles", str(tmp_path / "example.yaml"))
    named = ("--user", "alice", "--application", "SharePoint Online", "--profile", "yammer", "--kind", "web")
    token = authctl("tokens", "issue", *named).out
    assert authctl("tokens", "verify", stdin=token).code == 0
    ended = authctl("sessions", "end", "-", "-o", "json", stdin=token).json
    assert (ended["ended"], ended["sessions"][0]["ended_reason"]) == (1, "signed_out")
    assert authctl("tokens", "verify", stdin=token).code == 5
