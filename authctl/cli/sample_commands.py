"""The sample commands at the end of each help text, by the path of the command. Loaded for a help text alone; a test runs each of them."""

SAMPLE_COMMANDS: dict[str, tuple[str, ...]] = {
    "completion": ("authctl completion bash > authctl.bash",),
    "console": ("authctl console",),
    "init": ("authctl init", "authctl --home /var/lib/authctl init --profiles profiles.yaml"),
    "demo": ("authctl demo",),
    "sessions list": (
        "authctl sessions list --user alice --kind all",
        "authctl sessions list --search AL-PHONE",
        "authctl sessions list --status revoked --created-since yesterday",
    ),
    "sessions show": ("authctl sessions show htpsgxk2",),
    "sessions end": ("authctl sessions end htpsgxk2", "authctl sessions end - < token"),
    "sessions import": ("authctl sessions import alice.json --map jupyterhub --dry-run",),
    "imports list": ("authctl imports list",),
    "imports show": ("authctl imports show 1",),
    "imports undo": ('authctl imports undo 1 --note "wrong mapping" --yes',),
    "mappings list": ("authctl mappings list",),
    "mappings show": ("authctl mappings show samba > samba.yaml",),
    "revoke": (
        'authctl revoke --user alice --note "lost device"',
        "authctl revoke --application Teams --keep 1 --plan teams.plan",
        'authctl revoke --from leavers.csv --column email --note "left the company"',
    ),
    "tokens issue": ("authctl tokens issue --user alice --application Outlook --device AL-PC",),
    "tokens verify": ("authctl tokens verify < token",),
    "tokens explain": ("authctl tokens explain < token",),
    "explain": (
        "authctl explain htpsgxk2",
        "authctl explain --ip 10.1.2.3 < token",
        "authctl explain htpsgxk2 --at 1h",
    ),
    "tokens refresh": ("authctl tokens refresh < refresh-token",),
    "tokens revoke": ('authctl tokens revoke --note "found in a log file" < token',),
    "tokens wipe-done": ("authctl tokens wipe-done < token",),
    "stats": (
        "authctl stats --days 30",
        "authctl stats --html sessions.html",
        "authctl stats -q --prometheus /var/lib/node_exporter/authctl.prom",
    ),
    "users list": ("authctl users list --disabled",),
    "users show": ("authctl users show alice",),
    "users disable": (
        'authctl users disable alice --note "left the company"',
        'authctl users disable alice --until 14d --note "parental leave"',
    ),
    "users enable": ('authctl users enable alice --note "back from leave"',),
    "users password-changed": (
        'authctl users password-changed alice --note "reset at the help desk"',
        'authctl users password-changed alice --except htpsgxk2 --note "changed by herself"',
    ),
    "continuity start": ('authctl continuity start --until 4h --note "the identity provider is down"',),
    "continuity end": ('authctl continuity end --note "the identity provider is back"',),
    "continuity status": ("authctl continuity status",),
    "login": ("authctl login --user alice --application Outlook < password",),
    "cache list": ("authctl cache list --user alice",),
    "cache clear": ('authctl cache clear --user alice --note "password reset"',),
    "keys list": ("authctl keys list",),
    "keys rotate": ('authctl keys rotate --note "yearly rotation"',),
    "keys retire": ('authctl keys retire 3f0e2eda --compromised --note "key file was copied" --dry-run',),
    "clients add": (
        'authctl clients add shop --may introspect --may revoke --revoke-note "signed out"',
        "authctl clients add proxy --may verify --application Shop",
    ),
    "clients list": ("authctl clients list",),
    "clients show": ("authctl clients show shop",),
    "clients rotate": ('authctl clients rotate shop --note "yearly rotation"',),
    "clients remove": ('authctl clients remove shop --note "the shop was closed"',),
    "serve": (
        "authctl serve",
        "authctl serve --bind unix:/run/authctl/door.sock --group www-data",
        "authctl serve --bind 0.0.0.0:8443 --tls-cert door.pem --tls-key door.key --workers 2",
    ),
    "audit list": ("authctl audit list --user alice", "authctl audit list --since yesterday --action session.revoke"),
    "audit show": ("authctl audit show 2",),
    "audit export": ("authctl audit export --format ecs", "authctl audit export --format ocsf --after 1200"),
    "audit verify": ("authctl audit verify",),
    "audit accept": ('authctl audit accept --note "restored from a snapshot"',),
    "profiles list": ("authctl profiles list",),
    "profiles show": ("authctl profiles show default",),
    "profiles check": ("authctl profiles check profiles.yaml",),
    "profiles diff": ("authctl profiles diff profiles.yaml",),
    "profiles apply": ('authctl profiles apply profiles.yaml --note "shorter timeouts" --yes',),
    "receivers list": ("authctl receivers list",),
    "receivers show": ("authctl receivers show synapse",),
    "receivers test": ("authctl receivers test synapse",),
    "receivers example": ("authctl receivers example", "authctl receivers example jupyterhub > receiver"),
    "receivers key": ("authctl receivers key",),
    "deliver": ("authctl deliver", "authctl deliver --check --max-age 1h"),
    "deliveries list": ("authctl deliveries list --state pending", "authctl deliveries list --user alice"),
    "deliveries show": ("authctl deliveries show 1",),
    "deliveries retry": ("authctl deliveries retry 1",),
    "deliveries drop": ('authctl deliveries drop 1 --note "the system was shut down"',),
    "cleanup": ("authctl cleanup --dry-run", "authctl cleanup -q", "authctl cleanup --check --max-age 2d"),
    "doctor": ("authctl doctor",),
    "registry move": (
        "authctl registry move --to moved.db --dry-run",
        'authctl registry move --give-up --note "the new server is not ready"',
    ),
    "backup": ("authctl backup registry-copy.db",),
    "restore": ('authctl restore registry-copy.db --note "disk failed" --dry-run',),
    "profiles example": ("authctl profiles example > profiles.yaml",),
    "examples list": ("authctl examples list",),
    "examples show": (
        "authctl examples show authctl-cleanup.service",
        "authctl examples show authctl-cleanup.cron",
    ),
    "help": ("authctl help exit-codes", "authctl help sessions list"),
}

_OF_AUTHCTL = (*SAMPLE_COMMANDS["sessions list"][:1], *SAMPLE_COMMANDS["revoke"][:1], *SAMPLE_COMMANDS["help"][:1])
_MOST = 3


def sample_commands_of(path: str) -> tuple[str, ...]:
    """The sample commands of a command; of a noun the first ones of its verbs, and of `authctl` itself (no path) those of every day."""
    if not path:
        return _OF_AUTHCTL
    verbs = [lines[0] for name, lines in SAMPLE_COMMANDS.items() if name.startswith(f"{path} ")]
    return SAMPLE_COMMANDS.get(path) or tuple(verbs[:_MOST])
