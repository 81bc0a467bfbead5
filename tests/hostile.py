"""An installation full of hostile text, and command lines that show it: every command, each with what it would say.

Used in pipes and on a terminal by `test_terminal.py`.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.conftest import HOSTILE, Authctl

EVIL = HOSTILE[0] + "\u202e"
NOTE = "note " + "".join(HOSTILE)
ACTOR = "actor " + HOSTILE[0]
FIELDS = ("application", "application-version", "device", "platform", "ip", "user-agent", "referrer")
PROFILES = """\
version: 1
default_profile: default
profiles:
  default: {idle_timeout: 3d, continuity: true, on_revoke: wipe}
  strict: {conditions: {networks: [10.0.0.0/8]}}
  elsewhere: {authenticator: nowhere}
  asking: {authenticator: staff, cache: {}}
  pairs: {tokens: pair}
"""
FILES = {
    "evil.yaml": b'version: 1\nprofiles: {"\\e[31m": {idle_timeout: "\\e[31m"}}\n\xe2\x80\xae: 1\n',
    "choice.yaml": b'version: 1\nprofiles: {a: {tokens: "\\e[31m", bind: "\\e[31m"}}\n',
    "held.yaml": PROFILES.encode(),
    "short.yaml": PROFILES.replace("3d", "1d").encode()
    + b'assignments: [{application: "\\e[5;41m\xe2\x80\xae", profile: strict}]\n',
    "described.yaml": PROFILES.encode() + b'  told: {description: "\\e[5;41m\\u202e"}\n',
    "evil.csv": f"{HOSTILE[0]};{HOSTILE[1]}\n1;2\n".encode(),
    "evil-users.csv": "".join(f'"{cell}"\n' for cell in (EVIL, "alice", *HOSTILE)).encode(),
    "evil.jsonl": json.dumps({"u": HOSTILE[0], "t": HOSTILE[1]}).encode() + b"\n",
    "map.yaml": b"fields: {username: u, at: t, application: a}\nkey: [username, application]\n",
    "evil-map.yaml": b'fields: {username: u, at: t}\nkey: ["\\e[5;41m\\u202e", username]\n',
}

TELLER = f"""#!{sys.executable}
import json, sys
for line in sys.stdin:
    print(json.dumps({{"jti": json.loads(line)["jti"], "verdict": "refuse", "reason": {EVIL!r}}}))
print({EVIL!r}, file=sys.stderr)
sys.exit(3)
"""
"""A receiver that answers with hostile text."""


def sessions(authctl: Authctl, user: str, *texts: str, profile: str = "default") -> list[dict]:
    """Sessions of a user, each with one text in all of its fields, as they are issued."""
    details = [[part for name in FIELDS for part in (f"--{name}", text)] for text in texts]
    return [
        authctl("tokens", "issue", "--user", user, *flags, "--profile", profile, "-o", "json").json for flags in details
    ]


def command_lines(authctl: Authctl, home: Path, folder: Path) -> list[tuple[str, ...]]:
    """Fill an installation, and say what to run on it; what shows it whole comes first, what changes it last."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (home / "authenticators.yaml").touch(0o600)
    (home / "authenticators.yaml").write_text("version: 1\nauthenticators: {staff: {command: [/bin/true]}}\n")
    teller = folder / "teller"
    teller.touch(0o700)
    teller.write_text(TELLER)
    (home / "receivers.yaml").touch(0o600)
    (home / "receivers.yaml").write_text(
        f"version: 1\nreceivers: {{teller: {{command: [{teller}], events: [session-revoked], notes: true}}}}\n"
    )
    shown = sessions(authctl, "alice", *HOSTILE)[0]["session"]["id"]
    authctl("revoke", "--user", "alice", "--note", NOTE, "--actor", ACTOR)
    seq = authctl("audit", "list", "--limit", "1", "-o", "id").out.strip()
    assert authctl("profiles", "apply", str(folder / "held.yaml"), "--note", "for outages").code == 0
    before = datetime.now(UTC) - timedelta(days=2)
    (folder / "old.jsonl").write_text(json.dumps({"u": "olga", "t": before.isoformat(), "a": EVIL}) + "\n")
    assert authctl("sessions", "import", str(folder / "old.jsonl"), "--map", str(folder / "map.yaml")).code == 0
    sessions(authctl, "dan", *HOSTILE)
    wiping, verified, ended, revoked = (one["access_token"] for one in sessions(authctl, "frank", *[EVIL] * 4))
    authctl("tokens", "revoke", wiping, "--note", NOTE)
    (pair,) = sessions(authctl, "grace", EVIL, profile="pairs")
    login = ("login", "--user", "erin", "--application", EVIL, "--profile", "asking")
    assert authctl(*login, stdin="secret\n").code == 0
    key = authctl("keys", "list", "-o", "id").out.strip()
    authctl("keys", "rotate", "--note", NOTE, "--actor", ACTOR)

    def at(name: str) -> str:
        return str(folder / name)

    moved = ("--home", at("moved"), "--registry", at("moved/registry.db"))
    assert authctl(*moved, "init").code == 0
    moving = ("registry", "move", "--to", at(f"{EVIL} registry"), "--note", NOTE, "--actor", ACTOR, "--yes")
    assert authctl(*moved, *moving).code == 0

    mapped = ("--map", at("map.yaml"))
    why = ("--note", "lost device")
    return [
        ("sessions", "list"),
        ("sessions", "list", "--search", EVIL),
        ("sessions", "list", "--wipe", EVIL),
        ("sessions", "list", "--wipe", "pending"),
        ("sessions", "list", "--status", "revoked"),
        *(("sessions", "list", "--group-by", group) for group in ("user", "application", "platform")),
        ("sessions", "show", shown),
        ("sessions", "show", EVIL),
        ("stats",),
        ("stats", "--days", EVIL),
        ("stats", "--html", at(f"{EVIL}.html"), "--prometheus", at(f"{EVIL}/none.prom")),
        ("audit", "list"),
        ("audit", "list", "--session", EVIL),
        ("audit", "show", seq),
        *(("audit", "export", "--format", form) for form in ("jsonl", "ocsf", "ecs", "caep")),
        ("audit", "verify"),
        ("users", "list"),
        ("users", "show", "alice"),
        ("users", "show", EVIL),
        ("profiles", "list"),
        ("profiles", "show", EVIL),
        *(("profiles", "check", at(name)) for name in ("evil.yaml", "choice.yaml", "described.yaml", EVIL)),
        *(("profiles", "diff", at(name)) for name in ("short.yaml", "described.yaml", "evil.yaml")),
        ("receivers", "list"),
        ("receivers", "show", "teller"),
        ("receivers", "show", EVIL),
        ("receivers", "test", "teller"),
        ("receivers", "key"),
        ("receivers", "example", EVIL),
        ("deliver",),
        ("deliver", "--check"),
        ("deliveries", "list"),
        ("deliveries", "list", "--receiver", EVIL),
        ("deliveries", "show", "1"),
        ("deliveries", "show", EVIL),
        ("deliveries", "retry", EVIL),
        ("deliveries", "retry", "1"),
        ("deliveries", "drop", "1", "--note", NOTE),
        ("sessions", "list", "--delivery", EVIL),
        ("cache", "list"),
        ("cache", "list", "--user", EVIL),
        ("keys", "list"),
        ("clients", "add", EVIL, "--may", "introspect"),
        ("clients", "add", "shop", "--may", EVIL),
        ("clients", "add", "shop", "--may", "revoke", "--revoke-note", NOTE, "--application", EVIL),
        ("clients", "list"),
        ("clients", "show", "shop"),
        ("clients", "show", EVIL),
        ("clients", "rotate", "shop", "--note", NOTE, "--actor", ACTOR),
        ("clients", "remove", "shop", "--note", NOTE),
        ("serve", "--bind", EVIL),
        ("serve", "--bind", "127.0.0.1:0", "--proxy", EVIL),
        ("doctor",),
        ("--home", at(EVIL), "doctor"),
        ("--home", at(EVIL), "cleanup"),
        ("continuity", "status"),
        (EVIL,),
        ("sessions", EVIL),
        ("sessions", "list", EVIL),
        ("init", "--profiles", at("evil.yaml")),
        ("--home", at(f"{EVIL} home"), "init"),
        ("sessions", "import", at("evil.jsonl"), *mapped),
        ("sessions", "import", at("evil.csv"), *mapped),
        ("sessions", "import", at("evil.csv"), *mapped, "--encoding", EVIL),
        ("sessions", "import", at("old.jsonl"), "--map", at("evil-map.yaml")),
        ("sessions", "import", EVIL, "--map", EVIL),
        ("sessions", "import", EVIL, "--map", f"./{EVIL}"),
        ("imports", "list"),
        ("imports", "show", "1"),
        ("imports", "show", EVIL),
        ("imports", "undo", "1", "--note", NOTE, "--dry-run"),
        ("imports", "undo", "1", "--note", NOTE),
        ("completion", "zsh", "--", "authctl", "revoke", "--application", ""),
        ("completion", "fish", "--", "authctl", "users", "show", EVIL),
        ("completion", "bash", "--", f"authctl users show '{EVIL}", EVIL),
        ("console", EVIL),
        ("mappings", "list"),
        ("mappings", "show", EVIL),
        ("mappings", "show", "samba"),
        ("examples", "list"),
        ("examples", "show", EVIL),
        ("examples", "show", "profiles.yaml"),
        ("profiles", "example"),
        ("help",),
        ("help", EVIL),
        ("help", "sessions", EVIL),
        ("help", "times"),
        (f"--{EVIL}", "sessions", "list"),
        ("tokens", "verify", verified),
        ("tokens", "verify", wiping),
        ("tokens", "verify", EVIL, "--ip", EVIL, "--platform", EVIL),
        ("tokens", "verify"),
        ("explain", verified),
        ("explain", wiping, "--ip", EVIL),
        ("explain", EVIL),
        ("tokens", "explain", verified, "--application", EVIL),
        ("tokens", "wipe-done", EVIL),
        ("tokens", "wipe-done", wiping),
        ("tokens", "issue", "--user", EVIL, "--application", "A"),
        ("tokens", "issue", "--user", "bob", "--application", "A", f"--lifetime={EVIL}"),
        ("tokens", "issue", "--user", "bob", "--application", EVIL, "--device", EVIL),
        ("tokens", "issue", "--user", "erin", "--application", EVIL, "--profile", "strict", "--ip", EVIL),
        ("tokens", "refresh", EVIL),
        ("tokens", "refresh", pair["refresh_token"]),
        ("login", "--user", EVIL, "--application", "A"),
        ("login", "--user", "erin", "--application", EVIL, "--profile", "asking", "--kind", "web"),
        ("login", "--user", "erin", "--application", EVIL, "--profile", "elsewhere"),
        ("revoke", EVIL, *why),
        ("revoke", "--user", EVIL, *why),
        ("revoke", "--device", EVIL, *why, "--dry-run"),
        ("revoke", "--application", EVIL, *why),
        ("revoke", "--all", "--note", NOTE),
        ("revoke", "--platform", HOSTILE[1]),
        ("revoke", "--from", at("evil.csv"), "--column", EVIL, *why),
        ("revoke", "--from", at("evil-users.csv"), "--column", EVIL, *why),
        ("revoke", "--from", at("evil-users.csv"), "--column", EVIL, "--plan", at("evil-users.plan")),
        ("revoke", "--user", "dan", "--keep", "1", "--plan", at(f"{EVIL}.plan"), "--actor", ACTOR),
        ("revoke", "--user", "dan", "--plan", at(f"{EVIL}.plan")),
        ("revoke", "--apply", at(f"{EVIL}.plan"), "--dry-run"),
        ("revoke", "--apply", at(f"{EVIL}.plan"), "--note", NOTE),
        ("revoke", "--apply", at("evil.yaml"), "--note", NOTE),
        ("keys", "retire", EVIL, *why),
        ("keys", "retire", key, "--compromised", "--note", NOTE, "--dry-run"),
        ("keys", "retire", key, "--sign-out", "--note", NOTE),
        ("keys", "retire", key, "--sign-out"),
        ("profiles", "apply", at("short.yaml"), "--note", NOTE),
        ("profiles", "apply", at("short.yaml")),
        ("profiles", "apply", at("evil.yaml"), "--note", NOTE),
        ("imports", "undo", "1", "--note", NOTE, "--actor", ACTOR, "--yes"),
        ("imports", "list"),
        ("cleanup", "--older-than", EVIL),
        ("cleanup", "--check", "--max-age", EVIL),
        ("cleanup", "--archive", at(f"{EVIL} archive")),
        ("cleanup", "--archive", at(f"{EVIL} archive")),
        ("backup", at(f"{EVIL} copy")),
        ("backup", at(f"{EVIL} copy")),
        ("backup", at(f"{EVIL}/copy")),
        ("restore", EVIL, "--note", "disk failed"),
        ("registry", "move", "--to", at(EVIL), "--note", NOTE, "--dry-run"),
        (*moved, "registry", "move", "--to", at(f"{EVIL} registry")),
        (*moved, "registry", "move", "--to", at(EVIL), "--yes"),
        (*moved, "sessions", "list"),
        (*moved, "doctor"),
        ("--home", at("moved"), "--registry", at(f"{EVIL} registry"), "audit", "list"),
        ("registry", "move", "--give-up", "--note", NOTE, "--actor", ACTOR, "--yes"),
        (*moved, "registry", "move", "--give-up", "--note", NOTE, "--yes"),
        ("registry", "move", "--to", at(f"{EVIL}/new"), "--yes"),
        ("registry", "move", "--to", f"postgresql://{EVIL}@localhost:1/{EVIL}", "--yes"),
        ("registry", "move", "--to", f"{EVIL}://{EVIL}", "--yes"),
        ("continuity", "start", "--profile", EVIL, *why),
        ("continuity", "start", "--until", EVIL, *why),
        ("continuity", "start", "--note", NOTE, "--actor", ACTOR),
        ("continuity", "status"),
        ("continuity", "end", "--profile", EVIL, *why),
        ("continuity", "end", "--note", NOTE),
        ("users", "disable", EVIL, *why),
        ("users", "disable", "bob", "--note", NOTE, "--actor", ACTOR),
        ("users", "disable", "olga"),
        ("users", "enable", EVIL, *why),
        ("users", "enable", "bob", "--note", NOTE),
        ("users", "password-changed", "erin", "--note", f"{EVIL}why"),
        ("sessions", "end", EVIL),
        ("sessions", "end", ended),
        ("tokens", "revoke", EVIL, *why),
        ("tokens", "revoke", revoked, "--note", NOTE),
        ("cache", "clear", "--user", "nobody", "--note", NOTE),
        ("keys", "rotate", "--note", NOTE),
        ("keys", "rotate"),
        ("audit", "accept", "--note", NOTE),
        ("doctor", "--accept-clock", "--note", NOTE),
        ("restore", at(f"{EVIL} copy"), "--dry-run"),
        ("restore", at(f"{EVIL} copy"), "--note", NOTE, "--actor", ACTOR, "--yes"),
    ]
