"""The tests that AUTHCTL_TEST_STORE=postgres leaves out, and why. Every other test takes the store of its registry by that parameter.

A single test that looks into a file is left out by the mark `in_a_file`. `make postgres-more` runs all that is not left out.
"""

from pathlib import Path

_NO_REGISTRY = "it opens no registry"
_BOTH = "it chooses the store itself, and runs on both kinds without the parameter"
_FILE = "it is about the file of a registry"

LEFT_OUT = {
    **dict.fromkeys(
        (
            "test_audit_chain", "test_benchmarks", "test_decisions", "test_demo", "test_filter_texts", "test_glossary", "test_import_rules",
            "test_importing", "test_instants", "test_keys", "test_lifetimes", "test_mutants", "test_names", "test_option_groups", "test_package",
            "test_profiles", "test_receiver_programs", "test_scenario_tables", "test_sizes", "test_staging", "test_store_words",
        ),
        _NO_REGISTRY,
    ),
    **dict.fromkeys(("test_escapes", "test_move_marks", "test_store_locations", "test_store_moves"), _BOTH),
    "test_cluster": "it has a cluster of its own (make postgres-cluster)",
    "test_crash": "it fails or kills at each call of the file system; tests/test_postgres_cli_outages.py and others have the faults of a server",
    "test_current_sqlite": "it is about the SQLite library",
    "test_delivery_crash": "it kills at each call of the file system",
    "test_moving": f"{_BOTH} of places",
    "test_power_cut": "it plays back the writes to a disk",
    "test_restore_killed": "it kills at each call of the file system; tests/test_postgres_restores.py kills a restore on a server",
    "test_service_user": "it makes the service user of the pages, whose registry is a file",
    "test_steps": "it counts the steps of SQLite",
    "test_store_sqlite": "it is about the store in a file",
    "test_upgrade": "it opens files of earlier versions; tests/test_postgres_upgrades.py has those of a server",
    "test_upgrade_imports": "it opens files of earlier versions",
}  # fmt: skip
"""The reason for each file whose tests are all left out."""


def why_left_out(file: Path) -> str | None:
    """Why the tests of a file are left out on PostgreSQL; None if they are not."""
    if file.stem.startswith("test_postgres_"):
        return "it needs a server without the parameter, too (make postgres)"
    return LEFT_OUT.get(file.stem)
