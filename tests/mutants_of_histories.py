"""Mutants of the rules that imports and restores follow: each guard is taken out alone, and the random histories must notice.

`python -m tests.mutants_of_histories [--examples N] [WORD ...]` copies the package and the tests to a temporary folder, replaces
one piece of text there, and runs the histories on it. A guard that the histories do not reach by design names the test that does.
The table has for each fault the test that noticed it and the number of the first history that did, or SURVIVED. A mutant that
survived, or a text that is not found, is exit 1.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PLAN = "registry/imports/plan.py"
OPERATIONS = "registry/imports/operations.py"
KNOWN = "registry/imports/known_sessions.py"
KEYS = "registry/imports/known_keys.py"
BEGINNINGS = "registry/imports/beginnings.py"
PARTITION = "registry/imports/partition.py"
PAST = "registry/imports/past_revocations.py"
PART = "registry/imports/session_rows.py"
SHORT = "registry/imports/short_way.py"
REGISTER = "registry/imports/register.py"
REVOKE = "registry/revocations.py"
ROWS = "import_mappings/rows.py"
CLEANUP = "store/nouns/cleanup.py"
CARRIED = "store/sqlite/restrictions.py"
HISTORIES = "histories"
LATE = "tests/test_late_sign_ins.py"
ORDERS = "tests/test_any_order.py::test_each_order_of_the_smallest_histories"

RUN = """
import sys
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.test_histories import STEPS, Histories

begun, noticed = 0, []

class Counted(Histories):
    def __init__(self):
        global begun
        begun += 1
        super().__init__()

    def teardown(self):
        try:
            super().teardown()
        finally:
            if isinstance(sys.exc_info()[1], AssertionError):
                noticed.append(begun)
                print("noticed by history", noticed[0])

run_state_machine_as_test(Counted, settings=settings(
    max_examples=int(sys.argv[1]), stateful_step_count=STEPS, deadline=None, derandomize=True, database=None,
    phases=[Phase.generate], report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
))
"""
"""The histories without a search for the shortest one: the first difference is enough. Its number is printed."""

NOTICED = re.compile(r"^noticed by history (\d+)$", re.MULTILINE)

FAILED = re.compile(r"AssertionError|^E +(assert|Failed: DID NOT RAISE)", re.MULTILINE)
"""How a failed assertion is reported, by the histories and by pytest; any other error is a fault of the mutant itself."""


class Mutant(NamedTuple):
    """A fault, and the replacement in one file of the package that makes it."""

    fault: str
    file: str
    old: str
    new: str
    test: str = HISTORIES
    """The test that has to fail: the histories, or the name of a test where they do not reach it by design."""


MUTANTS = (
    # Late rows and revocations by criteria
    Mutant(
        "a late row that meets the criteria of a revocation is active",
        PLAN,
        "for criteria in self.past.possible(texts, since, span)\n",
        "for criteria in self.past.possible(texts, since, span) if False\n",
    ),
    Mutant(
        "a late row comes under the latest revocation that it meets",
        PARTITION,
        "revoking = next(filter(self._revokes, operations), None)",
        "revoking = max(filter(self._revokes, operations), key=lambda one: one.at, default=None)",
    ),
    Mutant(
        "a late row is active after a revocation of everything",
        PLAN,
        "        if self.past.of_everything:\n",
        "        if False:\n",
    ),
    Mutant(
        "rows of after a revocation decide whether the rows before it meet it",
        PARTITION,
        "            self._take_rows(operation.at, known)\n",
        "            self._take_rows(None, known)\n",
    ),
    Mutant(
        "the known session is not compared",
        PARTITION,
        "        self._part.join(known)\n",
        "        self._part.join(known if until is None else None)\n",
    ),
    *(
        Mutant(f"criteria: {name} is not compared", PAST, f"            {condition}\n", "")
        for name, condition in {
            "the times": "and self._meets_times(session)",
            "the kind": "and (self.kind is None or session.kind == self.kind)",
            "the profile": "and (not self.profiles or fold(session.profile_at(self.revocation)) in self.profiles)",
            "the status": "and self._meets_status(session)",
        }.items()
    ),
    Mutant(
        "criteria: the searched text is not compared",
        PAST,
        "any(self.search in text for text in session.texts.values())",
        "True",
    ),
    Mutant(
        "criteria: texts are not compared",
        PAST,
        "all(session.texts.get(name) in values for name, values in self.texts.items())",
        "True",
    ),
    Mutant(
        "criteria: the profile is that of the present assignment",
        PAST,
        "fold(session.profile_at(self.revocation))",
        "fold(session.profile.name)",
    ),
    Mutant(
        "criteria: the status is that of the present",
        PAST,
        "session.lived_at(self.at)",
        "session.lived_at(NEVER - 1)",
    ),
    Mutant(
        "a session that was spared by name is revoked by a late row",
        PARTITION,
        "return not is_excepted and operation.criteria.is_met_by(self._part)",
        "return operation.criteria.is_met_by(self._part)",
    ),
    Mutant(
        "a session that a revocation of everything spared is revoked by a late row",
        PARTITION,
        "known.session.id in operation.criteria.except_ids\n",
        "known.session.id in operation.criteria.except_ids and '\"everything\"' not in operation.criteria.revocation.selector\n",
    ),
    Mutant(
        "a session that a restore brings back counts as spared by a revocation of everything",
        PARTITION,
        "known.session.id in operation.criteria.except_ids\n",
        "(known.session.id in operation.criteria.except_ids or '\"everything\"' in operation.criteria.revocation.selector)\n",
    ),
    Mutant(
        "a session that is known to be used after the operation is parted",
        PARTITION,
        "if known and known.session.last_used_at > operation.at and not self._parts_known(operation, known):",
        "if False:",
    ),
    Mutant(
        "a revocation by ids binds late rows",
        REVOKE,
        "json.dumps(selector), by_criteria=selection.is_by_criteria",
        "json.dumps(selector), by_criteria=True",
    ),
    Mutant(
        "a revocation by criteria that revokes nothing new is not recorded",
        REVOKE,
        "if not outcome.revoked and not (outcome.selected and selection.is_by_criteria):",
        "if not outcome.revoked:",
    ),
    Mutant(
        "a revocation of everything that revokes nothing new is not recorded",
        REVOKE,
        "unit.tx.count(SessionFilter(except_ids=selection.except_ids)",
        "unit.tx.count(SessionFilter(status=_UNREVOKED, except_ids=selection.except_ids)",
    ),
    Mutant(
        "a revocation by ids that revokes nothing new is recorded",
        REVOKE,
        "(outcome.selected and selection.is_by_criteria)",
        "outcome.selected",
    ),
    Mutant(
        "a revocation that matched nothing is recorded, and binds late rows",
        REVOKE,
        "(outcome.selected and selection.is_by_criteria)",
        "selection.is_by_criteria",
    ),
    Mutant("a clean-up removes the criteria of a revocation", CLEANUP, '        " AND by_criteria = 0"\n', ""),
    # Late rows and other operations
    Mutant(
        "a late row is active after a restore",
        PLAN,
        "if self.restored_at is not None:",
        "if False:",
    ),
    Mutant(
        "a late row is active after its user was disabled and enabled",
        PLAN,
        "if user and user.ended_at is not None:",
        "if False:",
    ),
    Mutant(
        "a late row is active after a changed password",
        PLAN,
        "if user and user.password_changed_at is not None:",
        "if False:",
    ),
    Mutant(
        "a changed password ends sessions whose profile does not ask for it",
        PARTITION,
        "return password_ends(self._part.profile, None)",
        "return True",
    ),
    Mutant(
        "a row of a user who is disabled is active",
        PARTITION,
        "if disabled_at is not None and revoking is None and part.lived_at(now):",
        "if False:",
    ),
    Mutant(
        "a session that expired before a hard end takes rows of after it",
        PARTITION,
        "                    operation.criteria is None\n",
        "                    False\n",
    ),
    Mutant(
        "an older row makes an expired session active",
        PART,
        "if not old.is_alive(old.read_at):",
        "if False:",
    ),
    Mutant(
        "a late row takes back the end that applying a profile made",
        PART,
        "if known and known.session.expires_at > min(",
        "if False and known and known.session.expires_at > min(",
        "tests/test_guards.py::test_a_late_row_does_not_move_an_end_back_that_a_profile_s_application_made",
    ),
    Mutant(
        "a late row joins the session that was registered last, and not the one that began last",
        KNOWN,
        "sorted(chosen, key=lambda known: known.session.created_at)",
        "sorted(chosen, key=lambda known: known.session.number)",
        f"{LATE}::test_a_late_row_joins_the_session_that_began_last_before_it",
    ),
    # Rows without a beginning, in any order of imports
    Mutant(
        "any order: rows without a beginning are not stored beside those with one",
        PLAN,
        "            keeps_rows = is_mixed(group.rows, beginning.known)",
        "            keeps_rows = False",
        ORDERS,
    ),
    Mutant(
        "any order: the stored rows of known sessions are not looked at",
        BEGINNINGS,
        "by_exact_beginning([*rows, *stored])",
        "by_exact_beginning([*rows])",
        ORDERS,
    ),
    Mutant(
        "any order: an end of an earlier session does not part later rows",
        BEGINNINGS,
        "if row.ended_at is not None and not group.has(place_of(row))",
        "if False",
        ORDERS,
    ),
    Mutant(
        "any order: an adopted session without a row is not ended by an earlier listing",
        PLAN,
        "        if self._source is not None:\n            self._plan.changed +=",
        "        if False:\n            self._plan.changed +=",
        ORDERS,
    ),
    Mutant(
        "any order: an adopted session loses its end in the source",
        "registry/imports/adopted.py",
        "    if known.facts.ended_at is not None:",
        "    if False:",
        ORDERS,
    ),
    Mutant(
        "any order: a listing ends a session whose end the source gives",
        PART,
        "self._missing_in_listing() if self.end_in_source is None else None",
        "self._missing_in_listing()",
        ORDERS,
    ),
    Mutant(
        "any order: a listing ends no session whose listed row goes over to another one",
        "registry/imports/complete.py",
        "{*candidates, *self._lost}",
        "{*candidates}",
        ORDERS,
    ),
    # The short ways of decision 154
    Mutant(
        "the short way: an operation that binds every key binds no single row",
        SHORT,
        "if first <= self._bound_until:",
        "if False:",
    ),
    Mutant(
        "the short way: a row of a disabled user, or of a changed password, is not bound",
        SHORT,
        " or username_key in self._users",
        "",
    ),
    Mutant(
        "the short way: rows that differ in a selected detail are judged by the latest",
        SHORT,
        "if self._changes_criteria(rows):",
        "if False:",
        f"{LATE}::test_a_later_change_of_device_moves_nothing",
    ),
    Mutant(
        "the short way: a revocation by criteria binds no single row",
        SHORT,
        " or self._may_be_revoked(details, span)",
        "",
    ),
    Mutant(
        "the short way: a row ahead of the clock is later than every operation",
        SHORT,
        " or row.at > self._rules.now",
        "",
        f"{LATE}::test_three_hours_ahead_is_no_later_than_the_operations_of_the_last_day",
    ),
    Mutant(
        "the short way: a known session is not looked for",
        KEYS,
        "key in self._sessions or key in self._finals",
        "key in self._finals",
    ),
    Mutant(
        "the short way: the end of a session that was cleaned up is not looked for",
        KEYS,
        "key in self._sessions or key in self._finals or",
        "key in self._sessions or",
    ),
    Mutant(
        "the short way: the end of another user's session that was cleaned up is not looked for",
        KEYS,
        "key in self._finals or key in self.finals_without_user for",
        "key in self._finals for",
        f"{LATE}::test_a_row_of_another_user_is_listed_though_the_key_s_session_was_cleaned_up",
    ),
    Mutant(
        "the same rows: a use ahead of the clock is not looked at when the clock gets there",
        PLAN,
        "is_past = all(event.row.at <= self.now for event in events)",
        "is_past = True",
        "tests/test_sources.py::test_the_same_row_that_was_ahead_of_the_clock_is_a_use_after_the_end",
    ),
    Mutant(
        "the same rows: other rows of the same key are not looked at",
        "store/nouns/imports.py",
        "for digest, *row in rows if digest == digests[row[0]]]",
        "for digest, *row in rows]",
    ),
    Mutant(
        "the same rows: those of a session that a restore brings back are not looked at",
        CARRIED,
        "        execute(_FORGET_SAME_ROWS)\n",
        "",
    ),
    Mutant(
        "the same rows: those of a key that another user has, too, are not looked at",
        "store/nouns/imports.py",
        " AND NOT {of_others}",
        "",
    ),
    # What is final
    Mutant(
        "a row of before the end of its session makes another one",
        PLAN,
        "ends = [*(final_end(known) for known in own), *",
        "ends = [*",
    ),
    Mutant(
        "a row that lies in a session that is over makes another one",
        PLAN,
        "any(\n            session.created_at <= at <= session.last_used_at for session in ended\n        )",
        "False",
    ),
    Mutant(
        "a row of before the end of a session that was cleaned up makes another one",
        KEYS,
        "finals = [*self._finals.get(staged.key, ())]",
        "finals = []",
    ),
    Mutant(
        "a row ahead of the clock of a session that was cleaned up makes another one",
        CLEANUP,
        'dialect.greatest("coalesce(r.at, s.ended_at)", "s.last_used_at")',
        '"coalesce(r.at, s.ended_at)"',
    ),
    # Rows ahead of the clock
    Mutant(
        "a row ahead of the clock is later than every operation",
        PLAN,
        "return self.now if at <= self.now + _CLOCKS_DIFFER else self.now - DAY",
        "return at",
    ),
    Mutant(
        "a row far ahead of the clock counts as one of the present",
        PLAN,
        "return self.now if at <= self.now + _CLOCKS_DIFFER else self.now - DAY",
        "return self.now",
    ),
    Mutant(
        "a row a little ahead of the clock counts as one of the day before",
        PLAN,
        "return self.now if at <= self.now + _CLOCKS_DIFFER else self.now - DAY",
        "return self.now - DAY",
    ),
    Mutant(
        "a row ahead of the clock that changed nothing makes a session when the clock gets there",
        REGISTER,
        "    tx.keep_ahead(plan.ahead)\n",
        "",
    ),
    Mutant(
        "a row ahead of the clock that changed nothing is forgotten",
        PLAN,
        "(staged.key, at) in self._known.ahead or ",
        "",
    ),
    Mutant(
        "the session of a user who is disabled ends ahead of the clock",
        PARTITION,
        "max(disabled_at, min(part.last_used_at, now))",
        "max(disabled_at, part.last_used_at)",
    ),
    Mutant(
        "an end that 0.1.0 stored ahead of the clock does not bind rows of now",
        KNOWN,
        "return end and min(end, session.read_at)",
        "return end",
        f"{LATE}::test_an_end_ahead_of_the_clock_as_0_1_0_stored_it_binds_rows_of_now",
    ),
    # Keys that do not determine their user
    Mutant(
        "one user's session becomes another's",
        ROWS,
        '_digests(parts, None if self._names_user else names.fold(str(details["username"])))',
        "_digests(parts, None)",
    ),
    Mutant(
        "an older row under another name is active after the session of its key ended",
        PLAN,
        "[*inherited, *ends_of_others(others, known)]",
        "inherited",
    ),
    Mutant(
        "an older row under another name is active where the session of its key ends in the same import",
        PLAN,
        "[*inherited, *ends_of_others(others, known)]",
        "[*ends_of_others(others, known)]",
    ),
    Mutant(
        "an older row under another name is active after the session of its key was cleaned up",
        PLAN,
        "        if not finals or is_known:\n",
        "        if True:\n",
    ),
    Mutant(
        "a session that was over before another user's session of its key was revoked is revoked with that",
        PARTITION,
        "if later == operation or not later.of_other\n",
        "if True\n",
    ),
    Mutant(
        "the end of another user's session in the same import ends a session that was not meant",
        PLAN,
        "inherited = [end for end in inherited if not is_spared(end, known)]",
        "inherited = list(inherited)",
        f"{LATE}::test_nor_by_another_s_that_ends_in_the_same_import",
    ),
    Mutant(
        "the end of another user's session ends a session that was not meant",
        OPERATIONS,
        "            if not is_spared(end, unended):\n",
        "            if True:\n",
    ),
    Mutant(
        "a row whose key is that of another user's session is not reported",
        PLAN,
        "        if other is not None:\n",
        "        if False:\n",
        f"{LATE}::test_in_one_file_a_shared_key_is_said_too",
    ),
    Mutant(
        "keys that differ by the user alone are in two batches",
        REGISTER,
        "groupby(staging.by_key(), key=lambda staged: staged.key_without_user or staged.key)",
        "groupby(staging.by_key(), key=lambda staged: staged.key)",
        f"{LATE}::test_users_that_share_a_key_are_not_in_two_batches",
    ),
    # A registry of 0.1.0, which the histories do not have
    Mutant(
        "a session of 0.1.0 is not found by its key without the user",
        KEYS,
        "known for known in same if known.key == staged.key_without_user and",
        "known for known in same if False and",
        f"{LATE}::test_a_living_session_of_0_1_0_is_taken_up",
    ),
    Mutant(
        "a session of 0.1.0 is taken up for another user",
        KEYS,
        "others = [known for known in same if fold(known.session.username) != user]",
        "others = []",
        f"{LATE}::test_whom_0_1_0_lost_gets_a_session_of_her_own",
    ),
    Mutant(
        "sessions that 0.1.0 cleaned up are registered again",
        KEYS,
        "finals += self._finals.get(staged.key_without_user, ())",
        "pass",
        f"{LATE}::test_what_was_over_in_0_1_0_stays_over_after_a_clean_up",
    ),
    # Restores
    Mutant(
        "a restore makes users active again who were disabled since",
        CARRIED,
        "FROM {SCHEMA}.users WHERE TRUE ON CONFLICT",
        "FROM {SCHEMA}.users WHERE FALSE ON CONFLICT",
    ),
    Mutant(
        "a restore makes users active again who were disabled since, and whom the backup has as enabled",
        CARRIED,
        "disabled_at = iif({_STAYS_DISABLED}, excluded.disabled_at, disabled_at), ended_at = {{ended_at}}, password_changed_at = {{password_changed_at}}",
        "disabled_at = iif({_STAYS_DISABLED}, excluded.disabled_at, disabled_at), ended_at = {{ended_at}}, password_changed_at = {{password_changed_at}}"
        " WHERE excluded.disabled_at IS NULL",
    ),
    Mutant(
        "a restore undoes revocations since the backup",
        CARRIED,
        "    _carry_sessions(connection, at, ended_at)\n",
        "",
    ),
    Mutant(
        "a restore loses sessions that were used ahead of the clock",
        CARRIED,
        '_IS_TAKEN = f"({_IS_OVER} OR t.last_used_at > :at AND t.number IN (SELECT number FROM {SCHEMA}.imported))"',
        '_IS_TAKEN = f"({_IS_OVER})"',
    ),
    Mutant(
        "a restore loses the data of imports about sessions that were cleaned up",
        CARRIED,
        "keys = sum(execute(sql).rowcount for sql in _FINALS)",
        "keys = 0",
    ),
    Mutant(
        "a restore loses rows ahead of the clock that changed nothing",
        CARRIED,
        '    f"INSERT OR IGNORE INTO imported_ahead (key, at) SELECT key, at FROM {SCHEMA}.imported_ahead",\n',
        "",
    ),
    Mutant(
        "a restore makes a session begin later than a row that it has",
        CARRIED,
        "created_at = min(s.created_at, t.created_at)",
        "created_at = t.created_at",
    ),
    Mutant(
        "a restore makes a session used last before a row that it has",
        CARRIED,
        "last_used_at = max(s.last_used_at, t.last_used_at)",
        "last_used_at = t.last_used_at",
    ),
    # What is typed in a mapping and on the command line, which the histories do not have
    Mutant(
        "half of a twelve-hour clock is accepted",
        "import_mappings/times.py",
        'if ("%I" in directives) != ("%p" in directives):',
        "if False:",
        f"{LATE}::test_half_of_a_twelve_hour_clock_is_a_fault",
    ),
    Mutant(
        "an import that used no row is a success",
        "cli/session_imports.py",
        "if outcome.unused_because and not (allow_empty or allow_partial):",
        "if False:",
        f"{LATE}::test_an_import_of_no_used_row_is_exit_3",
    ),
    Mutant(
        "--allow-empty does not make it one",
        "cli/session_imports.py",
        "if outcome.unused_because and not (allow_empty or allow_partial):",
        "if outcome.unused_because:",
        f"{LATE}::test_an_import_of_no_used_row_is_exit_3",
    ),
    Mutant(
        "with --strict, only the rejected row is left out",
        "registry/imports/reading.py",
        "        if strict:\n",
        "        if False:\n",
        f"{LATE}::test_strict_registers_nothing_where_a_row_is_rejected",
    ),
)

NO_FAULT = Mutant("none", PLAN, "", "")
"""The package as it is: the histories must agree with it, or a mutant would seem to be caught."""


def main() -> int:
    """Try every mutant, or those whose fault has one of the words given; print the table."""
    parser = argparse.ArgumentParser(
        description="Take out each guard of imports and restores; the histories must notice."
    )
    parser.add_argument("words", nargs="*", help="only faults with one of these words")
    parser.add_argument("--examples", type=int, default=600, help="the most histories for each mutant")
    asked = parser.parse_args()
    chosen = [one for one in MUTANTS if not asked.words or any(word in one.fault for word in asked.words)]
    for mutant in chosen:
        check_text(mutant)
    if any(one.test == HISTORIES for one in chosen) and noticed_by(NO_FAULT, asked.examples):
        raise RuntimeError("the histories find a difference without a mutant")
    show("| guard taken out | noticed by | histories |\n|---|---|---|")
    survived = 0
    for mutant in chosen:
        noticed = noticed_by(mutant, asked.examples)
        survived += noticed is None
        test, number = noticed or ("SURVIVED", None)
        show(f"| {mutant.fault} | {test} | {number or ''} |")
    show(f"\n{len(chosen) - survived} of {len(chosen)} noticed")
    return 1 if survived else 0


def show(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201  # a table is printed


def check_text(mutant: Mutant) -> None:
    """Raise ValueError where the text of a mutant is not in its file exactly once."""
    count = (ROOT / "authctl" / mutant.file).read_text().count(mutant.old)
    if count != 1:
        raise ValueError(f"{mutant.file} has {count} times: {mutant.old}")


def noticed_by(mutant: Mutant, examples: int) -> tuple[str, int | None] | None:
    """The test that fails on a copy of the package with the mutant, and not without it, and the first history that did."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("authctl", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "profiles.example.yaml"):
            shutil.copy(ROOT / name, copy)
        if mutant.test != HISTORIES and failure(mutant.test, copy, examples) is not None:
            raise RuntimeError(f"{mutant.test} fails without a mutant")
        file = copy / "authctl" / mutant.file
        file.write_text(file.read_text().replace(mutant.old, mutant.new))
        output = failure(mutant.test, copy, examples)
        if output is None:
            return None
        number = NOTICED.search(output)
        return f"`{mutant.test.partition('::')[2] or mutant.test}`", int(number[1]) if number else None


def failure(test: str, copy: Path, examples: int) -> str | None:
    """The output of a test in a copy of the package if one of its assertions failed; None if it passed."""
    command = [sys.executable, "-c", RUN, str(examples)]
    if test != HISTORIES:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode and not (done.returncode == 1 and FAILED.search(done.stdout)):
        raise RuntimeError(f"the test did not run to its end:\n{done.stdout[-2_000:]}")
    return done.stdout if done.returncode else None


if __name__ == "__main__":
    sys.exit(main())
